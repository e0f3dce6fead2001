"""One index of a cluster: made, read by id, written under guards, searched.

Theory of operation: what is written is guarded by the state that was read, so two writers never overwrite one
another; what is lost on the way is asked again, because a guard that held once does not hold again. Searches
see what was refreshed, so each is preceded by a refresh.
Rules of this file: the order of requests, and nothing else: what they say is in requests.py, what answers
mean in answers.py. A request that is too large is halved here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct, field

from tailrace.errors import Refused, SettingsError, Unavailable
from tailrace.ports import Failure
from tailrace.sinks.search.answers import (
    NO_ROOM,
    ActionResult,
    ItemAnswer,
    RequestTooLarge,
    bulk_items,
    raised_of,
    read_answer,
    whole_hits,
)
from tailrace.sinks.search.client import SearchTransport
from tailrace.sinks.search.documents import SOURCES_ID
from tailrace.sinks.search.fields import DELETED, OURS, SOURCES, VERSION, Fields, fields_of, mapping_of
from tailrace.sinks.search.requests import (
    ALL_SUFFIX,
    INDEX_SUFFIX,
    JSON,
    LINES,
    MOST_ACTIONS,
    MOST_BYTES,
    GuardedWrite,
    IndexedRow,
    SeenState,
    bulk_body,
    halves,
    in_bulks,
    index_body,
    read_body,
)
from tailrace.streams.version import NOTHING, Version

EXISTS: Final = "resource_already_exists_exception"
NO_ALIAS: Final = "invalid_alias_name_exception"
ONE_TYPE: Final = (
    "a field keeps its type: take it out of mapping= or item=, or give the sink another index name and fill "
    "that by a snapshot"
)


class IndexOptions(Struct, frozen=True):
    """How an index is made and written. Shape: as the sinks of sink.py have them."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    create: bool = True
    most_fields: int = 1_000
    most_bytes: int = MOST_BYTES
    most_actions: int = MOST_ACTIONS


class FieldConflict(Exception):
    """Another writer has given a field another type: read the mapping again."""


class NoRoomForFields(Exception):
    """The index has as many fields as it may: the words are the server's, and say what to do."""


class SearchIndex:
    """The index of a sink. `fields` are the ones that are known here; there may be more."""

    def __init__(self, transport: SearchTransport, options: IndexOptions) -> None:
        self._transport = transport
        self._options = options
        self._all = f"{options.name}{ALL_SUFFIX}"
        self.fields: Fields = {}

    # ---- the index -----------------------------------------------------------------------------------------

    async def make_ready(self) -> None:
        """Make it where it is not, and know its fields. Raises: Unavailable with what to do, Throttled."""
        name = self._options.name
        for _ in range(2):
            mappings = await self._get(f"/{self._all}/_mapping")
            if mappings is not None:
                break
            await self._make()
        else:
            raise Unavailable(
                f"{self._transport.place}: index {name}{INDEX_SUFFIX} is there, and alias {self._all} is not",
                hint=f"give it back its aliases, or delete the index: DELETE /{name}{INDEX_SUFFIX}",
            )
        if len(mappings) != 1 or self._all in mappings:
            raise Unavailable(
                f"{self._transport.place}: {self._all} must be an alias of one index, and stands for "
                f"{', '.join(sorted(mappings))}",
                hint="give the sink another index name, or let the alias stand for one index",
            )
        await self._check_aliases(next(iter(mappings)))
        own = {**self._options.mapping, "dynamic": False}
        own["properties"] = {**own.get("properties", {}), **OURS}
        try:
            await self._ask("PUT", f"/{self._all}/_mapping", orjson.dumps(own))
        except Refused as error:
            raise Unavailable(str(error), hint=ONE_TYPE) from error
        await self.read_fields()

    async def _make(self) -> None:
        options = self._options
        body = index_body(options.name, options.settings, options.mapping, options.most_fields)
        index = f"{options.name}{INDEX_SUFFIX}"
        if not options.create:
            raise Unavailable(
                f"{self._transport.place}: alias {self._all} is not there, and create_index=False",
                hint=f"PUT /{index} {body.decode()}",
            )
        answer = await self._transport.ask("PUT", f"/{index}", body)
        if answer.status == 400 and EXISTS.encode() in answer.body:
            return  # by another worker, at the same time
        if answer.status == 400 and NO_ALIAS.encode() in answer.body:
            raise Unavailable(
                f"{self._transport.place}: {options.name} is an index already, and readers need an alias of "
                "this name that shows no deleted rows",
                hint="give the sink another index name, or delete the index and fill it by a snapshot",
            )
        read_answer(self._call("PUT", f"/{index}"), answer.status, answer.retry_after, answer.body)

    async def _check_aliases(self, index: str) -> None:
        """What readers search hides deleted rows. Raises: Unavailable."""
        aliases = (await self._ask("GET", f"/{index}/_alias"))[index]["aliases"]
        shown = aliases.get(self._options.name)
        if shown is None or DELETED not in orjson.dumps(shown.get("filter", {})).decode():
            add = {"index": index, "alias": self._options.name, "filter": {"term": {DELETED: False}}}
            await self._ask("POST", "/_aliases", orjson.dumps({"actions": [{"add": add}]}))

    async def read_fields(self) -> None:
        """Know the fields that are there now."""
        (index,) = (await self._ask("GET", f"/{self._all}/_mapping")).values()
        self.fields = fields_of(index["mappings"])

    async def add_fields(self, added: Fields) -> None:
        """Declare fields. Raises: FieldConflict, NoRoomForFields; Unavailable, Throttled."""
        try:
            await self._ask("PUT", f"/{self._all}/_mapping", orjson.dumps(mapping_of(added)))
        except Refused as error:
            raise FieldConflict(str(error)) from error
        except Unavailable as error:
            if NO_ROOM in str(error):
                raise NoRoomForFields(str(error)) from error
            raise
        self.fields = {**self.fields, **added}

    # ---- rows ----------------------------------------------------------------------------------------------

    async def stored(self, ids: Sequence[str]) -> dict[str, IndexedRow]:
        """The rows that are there, by their ids. Raises: Unavailable, Throttled."""
        rows: dict[str, IndexedRow] = {}
        for start in range(0, len(ids), self._options.most_actions):
            part = ids[start : start + self._options.most_actions]
            for document in await self._documents(part, VERSION):
                rows[document["_id"]] = IndexedRow(_version_of(document["_source"]), seen_of(document))
        return rows

    async def _documents(self, ids: Sequence[str], field: str) -> list[dict[str, Any]]:
        path = f"/{self._all}/_mget"
        answer = await self._ask("POST", path, read_body(ids, field))
        documents = answer.get("docs")
        if not isinstance(documents, list) or [one.get("_id") for one in documents] != list(ids):
            raise Unavailable(f"{self._call('POST', path)}: the answer is of another request")
        for document in documents:
            if (error := document.get("error")) is not None:
                raise Unavailable(f"{self._call('POST', path)}: {error}")
        return [document for document in documents if document["found"]]

    async def bulk(self, writes: Sequence[GuardedWrite]) -> list[ItemAnswer]:
        """Do them, in requests that fit. Returns: what became of each. Raises: Unavailable, Throttled, for
        whatever was not answered: some of it may have been done.
        """
        answers: list[ItemAnswer] = []
        for chunk in in_bulks(writes, self._options.most_actions, self._options.most_bytes):
            answers += await self._bulk(chunk)
        return answers

    async def _bulk(self, chunk: Sequence[GuardedWrite]) -> list[ItemAnswer]:
        path = f"/{self._all}/_bulk"
        try:
            answer = await self._ask("POST", path, bulk_body(chunk), LINES)
        except RequestTooLarge as error:
            if len(chunk) == 1:
                words = f"{error}: a document of {len(chunk[0].body or b''):,} bytes is more than it takes"
                return [ItemAnswer(ActionResult.FAILED, Failure(error=f"413 {words}", final=True))]
            first, second = halves(chunk)
            return [*await self._bulk(first), *await self._bulk(second)]
        actions, ids = [write.action for write in chunk], [write.id for write in chunk]
        return bulk_items(self._call("POST", path), answer, actions, ids)

    async def search(self, body: bytes) -> list[dict[str, Any]]:
        """Hits among everything that was written before. Raises: Unavailable, also for a part of them."""
        path = f"/{self._all}/_search"
        refreshed = await self._ask("POST", f"/{self._all}/_refresh")
        if refreshed.get("_shards", {}).get("failed"):
            raise Unavailable(f"{self._call('POST', path)}: not every shard could be refreshed")
        return whole_hits(self._call("POST", path), await self._ask("POST", path, body))

    # ---- sources -------------------------------------------------------------------------------------------

    async def sources(self) -> tuple[dict[str, int], SeenState | None]:
        """The numbers of sources that are kept, and what to replace."""
        documents = await self._documents([SOURCES_ID], SOURCES)
        if not documents:
            return {}, None
        kept = documents[0]["_source"][SOURCES]
        return {entry["source"]: entry["generation"] for entry in kept}, seen_of(documents[0])

    async def keep_sources(self, sources: Mapping[str, int], seen: SeenState | None) -> bool:
        """Replace them. Returns: whether nobody else did since they were seen. Raises: SinkError."""
        kept = [{"source": name, "generation": number} for name, number in sorted(sources.items())]
        body = orjson.dumps({SOURCES: kept})
        (answer,) = await self.bulk([GuardedWrite(0, SOURCES_ID, body, seen)])
        if answer.failure is not None:
            raise raised_of(self._call("POST", f"/{self._all}/_bulk"), answer.failure)
        return answer.result is ActionResult.DONE

    # ---- asking --------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str) -> str:
        return f"{self._transport.place}: {method} {path}"

    async def _ask(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> dict[str, Any]:
        answer = await self._transport.ask(method, path, body, kind)
        return read_answer(self._call(method, path), answer.status, answer.retry_after, answer.body)

    async def _get(self, path: str) -> dict[str, Any] | None:
        answer = await self._transport.ask("GET", path)
        if answer.status == 404:
            return None
        return read_answer(self._call("GET", path), answer.status, answer.retry_after, answer.body)


def _version_of(source: Mapping[str, Any]) -> Version:
    """The version of a row. A document that somebody else has put there is older than every change."""
    text = source.get(VERSION)
    return NOTHING if text is None else Version.from_text(text)


def seen_of(document: Mapping[str, Any]) -> SeenState:
    """The state of a document that was read. Raises: SettingsError where the server does not tell it."""
    try:
        return SeenState(document["_seq_no"], document["_primary_term"])
    except KeyError as error:
        raise SettingsError(
            f"the server tells no {error} of its documents, so no write can be guarded: it takes "
            "OpenSearch 1.0 or Elasticsearch 7.10 at least"
        ) from error
