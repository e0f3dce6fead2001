"""`sinks.OpenSearch` and `sinks.Elasticsearch`: the newest image of each item as a document that is searched.

Theory of operation: of a batch the newest change of each item is compared with the version that its document
has, and written under the state that was read; a conflict is read again. A change that makes an item is tried
as a new document at once, without a read. A deletion stays as a document without attributes, which the alias
that readers search does not show. Repeats, replays, late writers and lost answers therefore change nothing.
Rules of this file: versions are compared here and nowhere else; never those of the server, because they have
63 bits, and forget deletions after a minute. Needs the extra `search`. Decision 70.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
from msgspec import Struct

from tailrace.app.columns import declared_entities
from tailrace.app.item import entity_of
from tailrace.app.plain import to_item
from tailrace.aws.places import Access
from tailrace.errors import ApiError, InternalError, SettingsError, SinkError, SourceError, Throttled
from tailrace.leases.generation import check_kept
from tailrace.ports import Clock, Failure, FailureKind, Outcome, RecordBatch, SinkRow
from tailrace.sinks.intercepting import KEEPER, Keep, ServiceCall
from tailrace.sinks.law import applies
from tailrace.sinks.messages import Failures
from tailrace.sinks.search.answers import ActionResult, ItemAnswer, raised_of
from tailrace.sinks.search.client import Login, SearchClient
from tailrace.sinks.search.documents import RowState, digest, document_id
from tailrace.sinks.search.fields import (
    DELETED,
    KEY,
    MISFITS,
    VERSION,
    Fields,
    Fitted,
    declared_mapping,
    fitted,
)
from tailrace.sinks.search.index import FieldConflict, IndexOptions, NoRoomForFields, SearchIndex, seen_of
from tailrace.sinks.search.requests import (
    MOST_ACTIONS,
    MOST_BYTES,
    GuardedWrite,
    IndexedRow,
    rows_after,
    rows_to_forget,
    rows_to_sweep,
)
from tailrace.streams.record import MILLISECOND, ChangeRecord, image
from tailrace.streams.version import Version
from tailrace.values.types import Item

ROUNDS: Final = 8
"""So often a conflict is read again; each time another writer has got on."""
PAGE: Final = 250
"""Rows of one search: a document has up to 400 KB. Units: documents."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,200}")
SEVERAL: Final = Failure(
    error="the transform made several documents of one change, and an index has one an item: let it return "
    "one of them",
    final=True,
)
SERVERLESS: Final = ".aoss.amazonaws.com"


class Candidate(Struct, frozen=True):
    """A change as the document that it leaves. Shape: `is_new`: the item was not there before."""

    place: int
    record: ChangeRecord
    id: str
    body: bytes
    is_new: bool


@dataclass(slots=True, kw_only=True)
class SearchMirror:
    """What both products share; declared as one of them.

    Shape:   `index` is the name that readers search, an alias without deleted rows; rows are written through
             the alias `INDEX-all`, to the index `INDEX-000001`. `mapping` and `settings` are added to those
             of the index; a field that `mapping` declares is taken as declared, else one that `item` does, an
             `Item` class. Without `create_index` the
             index must be there with both aliases. `most_fields` is how many fields it may have, sub-fields
             counted. With a transform that returns dictionaries those are the documents. At most one of
             `basic` (name, password), `api_key` and `access`; `ca` is a file of certificates.
    Units:   `most_bytes` of one request, `timeout` seconds for one.
    """

    url: str = field(kw_only=False)
    index: str = field(kw_only=False)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    item: type | None = None
    create_index: bool = True
    most_fields: int = 1_000
    most_bytes: int = MOST_BYTES
    most_actions: int = MOST_ACTIONS
    basic: tuple[str, str] | None = field(default=None, repr=False)
    ca: str | None = None
    timeout: float = 60.0
    _clock: Clock | None = field(default=None, init=False, repr=False, compare=False)
    _client: SearchClient | None = field(default=None, init=False, repr=False, compare=False)
    _index: SearchIndex | None = field(default=None, init=False, repr=False, compare=False)
    product: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise SettingsError(
                f"{self.product}: {self.url!r} is not allowed; it begins with https:// or http://"
            )
        if "@" in urlsplit(self.url).netloc:
            raise SettingsError(
                f"{self.product}: a password in the url would stand in logs; give basic=(name, password)"
            )
        if SERVERLESS in self.url:
            raise SettingsError(
                f"{self.product}: {self.url} is OpenSearch Serverless, which is not supported: what it does "
                "with guarded writes, refreshes and aliases is not known here; use a domain of OpenSearch"
            )
        if not NAME.fullmatch(self.index):
            raise SettingsError(
                f"{self.product}: index {self.index!r} is not allowed; up to 201 small letters, digits, '.', "
                "'_' and '-', the first a letter or digit"
            )
        for name in ("most_fields", "most_bytes", "most_actions"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{self.product}: {name} is {getattr(self, name)}, and at least 1")

    @property
    def keys_at_once(self) -> int:
        """So many items are in one request."""
        return self.most_actions

    @property
    def tells_repeats(self) -> bool:
        """Whether a repeated change has no effect: its version is not larger."""
        return True

    def login(self) -> Login:
        """Who asks."""
        return Login(self.basic)

    async def open(self, clock: Clock) -> None:
        """Make the index where it is not. Raises: Unavailable with what to do; Throttled."""
        self._clock = clock
        if KEEPER.get() is None:
            await self._ready()

    async def close(self) -> None:
        """Close its connections. Repeatable."""
        client, self._client, self._index = self._client, None, None
        if client is not None:
            await client.close()

    async def _ready(self) -> SearchIndex:
        if self._index is None:
            if self._client is None:
                self._client = SearchClient(self.url, self.login(), self.ca, self.timeout)
            options = IndexOptions(
                self.index,
                self.settings,
                self._whole_mapping(),
                self.create_index,
                self.most_fields,
                self.most_bytes,
                self.most_actions,
            )
            index = SearchIndex(self._client, options)
            try:
                await index.make_ready()
            except BaseException:
                await self.close()
                raise
            self._index = index
        return self._index

    def _whole_mapping(self) -> dict[str, Any]:
        if self.item is None:
            return dict(self.mapping)
        entities = declared_entities(entity_of(self.item).table)
        kinds = next(one.kinds for one in entities if one.name == self.item.__name__)
        own = declared_mapping(kinds)["properties"]
        return {**self.mapping, "properties": {**own, **self.mapping.get("properties", {})}}

    # ---- changes as documents ------------------------------------------------------------------------------

    def item_of(self, batch: RecordBatch, place: int) -> Item | None:
        """What the document of a change shows, None for a removal; override it. Raises: SinkError for what
        cannot be shown.
        """
        record = batch.records[place]
        if record.event_name == "REMOVE":
            return None
        if batch.values is None:
            if record.new is None:
                raise SinkError(f"{self.product} needs the new image: the stream's view type has none")
            return image(record.new)
        value = batch.values[place]
        if not isinstance(value, Mapping):
            raise SinkError(f"{self.product} writes dictionaries, not {type(value).__name__}")
        return to_item(value)

    def _candidates(
        self, batch: RecordBatch, failures: Failures, fields: Fields, no_room: str = ""
    ) -> tuple[list[Candidate], dict[str, str]]:
        """The documents of a batch, and the fields that they need. `no_room`: why there can be none."""
        known = dict(fields)
        added: dict[str, str] = {}
        candidates: list[Candidate] = []
        made: set[tuple[bytes, Version]] = set()
        for place, record in enumerate(batch.records):
            if failures.holds_back(record):
                continue
            if batch.values is not None and (record.key, record.version) in made:
                failures.add_record(place, record, SEVERAL)
                continue
            made.add((record.key, record.version))
            try:
                item = self.item_of(batch, place)
                shown = Fitted({}, {}, 0) if item is None else fitted(item, known)
                state = RowState(record.key, record.version, record.created_us, item is None).fields
            except (ApiError, SettingsError, SinkError, SourceError) as error:
                failures.add_record(place, record, Failure(error=str(error), final=True))
                continue
            if shown.added and no_room:
                failures.add_record(place, record, Failure(FailureKind.UNAVAILABLE, no_room))
                continue
            known.update(shown.added)
            added.update(shown.added)
            misfits = {MISFITS: shown.misfits} if shown.misfits else {}
            body = orjson.dumps({**shown.document, **misfits, **state})
            is_new = batch.is_snapshot or record.event_name == "INSERT"
            candidates.append(
                Candidate(place, record, document_id(record.key, image(record.keys) or {}), body, is_new)
            )
        return candidates, added

    async def _documents(self, index: SearchIndex, batch: RecordBatch, failures: Failures) -> list[Candidate]:
        """The documents of a batch, after their fields were declared."""
        for _ in range(ROUNDS):
            fresh = Failures()
            candidates, added = self._candidates(batch, fresh, index.fields)
            try:
                if added:
                    await index.add_fields(added)
            except FieldConflict:
                await index.read_fields()
                continue
            except NoRoomForFields as error:
                candidates, _ = self._candidates(batch, fresh, index.fields, str(error))
            for place, failure in fresh.by_place.items():
                failures.add_record(place, batch.records[place], failure)
            return candidates
        raise Throttled(f"{self.product}: other writers keep changing the fields of {self.index}")

    # ---- writing -------------------------------------------------------------------------------------------

    async def write(self, batch: RecordBatch) -> Outcome:
        """Apply what is newer than its row. Raises: Unavailable, Throttled, for the whole batch."""
        failures = Failures()
        if (keep := KEEPER.get()) is not None:
            return self._keep(batch, failures, keep)
        index = await self._ready()
        candidates = await self._documents(index, batch, failures)
        rows: dict[bytes, list[Candidate]] = {}
        for candidate in candidates:
            rows.setdefault(candidate.record.key, []).append(candidate)
        if rows:
            await self._apply(index, rows, failures)
        return failures.outcome

    def _keep(self, batch: RecordBatch, failures: Failures, keep: Keep) -> Outcome:
        for candidate in self._candidates(batch, failures, {})[0]:
            parameters = {"url": self.url, "index": self.index, "id": candidate.id, "body": candidate.body}
            keep(ServiceCall(self.product.lower(), "index", parameters))
        return failures.outcome

    async def _apply(
        self, index: SearchIndex, rows: dict[bytes, list[Candidate]], failures: Failures
    ) -> None:
        """Write the newest of each row; where it is refused, the newest before it."""
        unread = {one.id for changes in rows.values() for one in changes if not one.is_new}
        stored: dict[str, IndexedRow] = {}
        for _ in range(ROUNDS):
            if unread:
                stored = {name: row for name, row in stored.items() if name not in unread}
                stored.update(await index.stored(sorted(unread)))
                unread = set()
            writes: list[tuple[bytes, Candidate, GuardedWrite]] = []
            for key in sorted(rows):
                newest = max(rows[key], key=_newness)
                there = stored.get(newest.id)
                if applies(newest.record.version, None if there is None else there.version):
                    guard = None if there is None else there.guard
                    writes.append((key, newest, GuardedWrite(newest.place, newest.id, newest.body, guard)))
            rows = {key: rows[key] for key, _, _ in writes}
            if not writes:
                return
            answers = await index.bulk([write for _, _, write in writes])
            for (key, newest, _), answer in zip(writes, answers, strict=True):
                if answer.result is ActionResult.CONFLICT:
                    unread.add(newest.id)
                else:
                    left = _after(rows.pop(key), newest, answer, failures)
                    if left:
                        rows[key] = left
        busy = Failure(FailureKind.THROTTLED, f"{self.index}: other writers keep changing this document")
        for changes in rows.values():
            first = min(changes, key=lambda one: one.place)
            failures.add_record(first.place, first.record, busy)

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Compare and set. Raises: SinkError for a document that is refused, Unavailable, Throttled."""
        index, failures = await self._ready(), Failures()
        candidates = await self._documents(index, batch, failures)
        for failure in failures.by_place.values():
            raise raised_of(self.index, failure)
        mended = [False] * len(batch.records)
        for candidate in candidates:
            mended[candidate.place] = await self._mend(index, candidate, seen[candidate.place])
        return mended

    async def _mend(self, index: SearchIndex, candidate: Candidate, seen: Version | None) -> bool:
        for _ in range(ROUNDS):
            there = (await index.stored([candidate.id])).get(candidate.id)
            if (None if there is None else there.version) != seen:
                return False
            guard = None if there is None else there.guard
            (answer,) = await index.bulk([GuardedWrite(0, candidate.id, candidate.body, guard)])
            if answer.failure is not None:
                raise raised_of(self.index, answer.failure)
            if answer.result is ActionResult.DONE:
                return True
        raise Throttled(f"{self.index}: other writers keep changing document {candidate.id!r}")

    # ---- what is there -------------------------------------------------------------------------------------

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is. Raises: Unavailable, Throttled."""
        return (await (await self._ready()).sources())[0]

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError naming source and numbers; Unavailable, Throttled."""
        index = await self._ready()
        for _ in range(ROUNDS):
            kept, seen = await index.sources()
            check_kept(f"index {self.index} at {self.url}", kept, sources)
            after = {**kept, **sources}
            if after == kept or await index.keep_sources(after, seen):
                return
        raise Throttled(f"{self.index}: other workers keep changing its sources")

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows, in the order of their keys."""
        index = await self._ready()
        rows: list[SinkRow] = []
        while len(rows) < limit:
            wanted = min(PAGE, limit - len(rows))
            hits = await index.search(rows_after(rows[-1].key if rows else after, wanted))
            rows += [_row(hit["_source"]) for hit in hits]
            if len(hits) < wanted:
                break
        return rows

    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        """What the digests of these rows are once they are written. Raises: SinkError for one that cannot
        be.
        """
        index, failures = await self._ready(), Failures()
        candidates, added = self._candidates(batch, failures, index.fields)
        if added:  # another worker may have given them a type meanwhile
            await index.read_fields()
            candidates, _ = self._candidates(batch, failures, index.fields)
        for failure in failures.by_place.values():
            raise raised_of(self.index, failure)
        return [digest(orjson.loads(candidate.body)) for candidate in candidates]

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """Delete what is shown below a version. It is deleted now, by the sink's clock."""
        if self._clock is None:
            raise InternalError(f"{self.product}: swept before it was opened, and a deletion has a time")
        now_us = self._clock.now().wall_ms * MILLISECOND

        def body(source: Mapping[str, Any]) -> bytes:
            return orjson.dumps(RowState(bytes.fromhex(source[KEY]), tombstone, now_us, True).fields)

        return await self._replace(lambda wanted: rows_to_sweep(first, last, below, wanted), body, limit)

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away old deletions."""
        return await self._replace(lambda wanted: rows_to_forget(before_us, wanted), lambda _: None, limit)

    async def _replace(
        self,
        query: Callable[[int], bytes],
        body: Callable[[Mapping[str, Any]], bytes | None],
        limit: int,
    ) -> int:
        """Write something else in place of what a search finds, at most so often. Returns: how often."""
        index, done = await self._ready(), 0
        contended = 0
        while done < limit:
            wanted = min(MOST_ACTIONS, limit - done)
            hits = await index.search(query(wanted))
            writes = [
                GuardedWrite(place, hit["_id"], body(hit["_source"]), seen_of(hit))
                for place, hit in enumerate(hits)
            ]
            answers = await index.bulk(writes) if writes else []
            for answer in answers:
                if answer.failure is not None:
                    raise raised_of(self.index, answer.failure)
            done += sum(answer.result is ActionResult.DONE for answer in answers)
            if all(answer.result is ActionResult.DONE for answer in answers):
                if len(hits) < wanted:
                    break
            else:
                contended += 1
                if contended > ROUNDS:
                    raise Throttled(f"{self.index}: other writers keep changing these documents")
        return done


def _newness(candidate: Candidate) -> tuple[Version, int]:
    return candidate.record.version, -candidate.place


def _after(
    changes: list[Candidate], written: Candidate, answer: ItemAnswer, failures: Failures
) -> list[Candidate]:
    """What of a row is still to be written after an answer: where its newest change is refused for good, what
    stands before that in the batch. An outage fails the row from its first change on: had that counted as
    written, and its newest were given up later, it would be in no document.
    """
    if answer.failure is None:
        return []
    if answer.failure.kind is FailureKind.RECORD:
        failures.add_record(written.place, written.record, answer.failure)
        return [one for one in changes if one.place < written.place]
    first = min(changes, key=lambda one: one.place)
    failures.add_record(first.place, first.record, answer.failure)
    return []


def _row(document: Mapping[str, Any]) -> SinkRow:
    version = Version.from_text(document[VERSION])
    return SinkRow(bytes.fromhex(document[KEY]), version, document[DELETED], digest(document))


@dataclass(slots=True, kw_only=True)
class OpenSearch(SearchMirror):
    """An index of OpenSearch, also of a domain of Amazon OpenSearch Service.

    Shape:   as SearchMirror; `access` signs requests to a domain of AWS.
    """

    access: Access | None = None
    product: ClassVar[str] = "OpenSearch"

    def login(self) -> Login:
        """Who asks. Raises: SettingsError for two of them."""
        return _one_of(self.product, Login(self.basic, access=self.access))


@dataclass(slots=True, kw_only=True)
class Elasticsearch(SearchMirror):
    """An index of Elasticsearch 7.10 or later.

    Shape:   as SearchMirror; `api_key` is one in its encoded form.
    """

    api_key: str | None = field(default=None, repr=False)
    product: ClassVar[str] = "Elasticsearch"

    def login(self) -> Login:
        """Who asks. Raises: SettingsError for two of them."""
        return _one_of(self.product, Login(self.basic, self.api_key))


def _one_of(product: str, login: Login) -> Login:
    if sum(one is not None for one in (login.basic, login.api_key, login.access)) > 1:
        raise SettingsError(f"{product}: give one of basic=, api_key= and access=, not several")
    return login
