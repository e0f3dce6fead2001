"""The past of a table, as its journal tells it: one item's states and changes, the whole table at a moment,
what differs between two.

Theory of operation: a question begins with the journal as it is now: its manifest, what the live stream has
beyond it (where there is one to ask: tail.py), and which times it covers. One item is judged by core/past.py
over all its changes. Whole tables are folded by DuckDB where the journal covers the moment without a gap, and
else item by item by the same law as one, those that are known. A table that was made anew has another
journal; the one that covers the moment answers.
Rules of this file: nothing is written, nothing guessed: `NotKnown` says what is missing. What was fetched
stays on disk until `close`. One loop uses a reader.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.query import query_range
from tailrace.errors import NotKnown, SettingsError, Unavailable
from tailrace.expressions.keys import KeyCondition
from tailrace.journal.core.attributes import Blame, ItemDifference, blame_of, item_difference
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.moment import last_us, spoken
from tailrace.journal.core.past import (
    COARSE_US,
    Coverage,
    HistoryEntry,
    PastState,
    before,
    deleted,
    history_of,
    in_order,
    state_at,
    unread_words,
    with_ties,
)
from tailrace.journal.core.places import JournaledTable
from tailrace.journal.core.records import EVERYTHING, PART_CHANGES, SCAN, Selection
from tailrace.journal.run.folding import (
    PastRelation,
    Rows,
    all_rows,
    as_of_sql,
    asked_rows,
    changed_sql,
    relation_of,
)
from tailrace.journal.run.lost_times import lost_times
from tailrace.journal.run.reading import JournalGap, JournalReader, JournalView, change_of
from tailrace.journal.run.tail import Tail, TailBounds, TailReader
from tailrace.ports import ArchiveStore, Clock, LogReader
from tailrace.runtime.threads import in_thread
from tailrace.streams.dates import micros_of
from tailrace.streams.version import Version
from tailrace.tables.schema import TableSchema

LOG: Final = logging.getLogger("tailrace.past")
BATCH: Final = 5_000
OUT: Final = "as_of(…, incomplete=True) answers with what is known"


class JournalNow(Struct, frozen=True):
    """One incarnation's journal as it is at this moment. Shape: `live` is what the stream alone has, `missed`
    what it has no more and the journal has not; `labels` of the streams of both.
    """

    view: JournalView
    coverage: Coverage
    live: tuple[JournalChange, ...]
    missed: tuple[JournalGap, ...] = ()
    labels: frozenset[str] = frozenset()

    async def of_key(self, key: bytes) -> list[JournalChange]:
        """All that is there of one item, by version. Raises: Unavailable."""
        live = [change for change in self.live if change.key == key]
        return in_order([*await self.view.history(key), *live], self.coverage.inexact_us)

    async def rows(self, selection: Selection = EVERYTHING, without: frozenset[str] = frozenset()) -> Rows:
        """What DuckDB reads; segments of the names `without` are left out. Raises: Unavailable."""
        generations = {change.version.generation for change in self.live}
        files = [file for file in self.view.files(selection) if file.name not in without]
        for file in files:
            for version in (file.first_version, file.last_version):
                # A segment that does not say its versions may have any.
                generations.add(Version.from_packed(bytes.fromhex(version)).generation if version else -1)
        one = generations.pop() if len(generations) == 1 else -1
        paths = tuple(await self.view.paths_of(files))
        return Rows(paths, self.live, self.view.scratch, one if one >= 0 else None, self.coverage.inexact_us)


class WrittenItem(Struct, frozen=True):
    """An item that was written between two moments. Shape: `changes` within them, by version."""

    key: bytes
    changes: tuple[JournalChange, ...]
    before: PastState
    after: PastState

    @property
    def unknown(self) -> str:
        """Why it is not known what it was or became; "": it is."""
        return self.before.unknown or self.after.unknown


class PastReader:
    """The past of one table. Shape: `table` may find out which, at the first question; `log` reads the live
    stream, within `bounds`; None: the archive alone is asked. `warned` is told in words when that was to be
    read and was not.
    """

    def __init__(
        self,
        archive: ArchiveStore,
        table: JournaledTable | Callable[[], Awaitable[JournaledTable]],
        clock: Clock,
        log: LogReader | None = None,
        bounds: TailBounds = TailBounds(),  # noqa: B008 - a value
        warned: Callable[[str], None] = LOG.warning,
    ) -> None:
        self._archive = archive
        self._table = table
        self._clock = clock
        self._log = log
        self._bounds = bounds
        self._warned = warned
        self._opened: JournalReader | None = None
        self._tail: TailReader | None = None
        self._last: tuple[int, list[JournalNow]] | None = None
        self.unread = ""
        """Why the last answer is the archive's alone, where the live stream was to be read too."""

    def close(self) -> None:
        """Delete what was fetched. Repeatable."""
        if self._opened is not None:
            self._opened.close()

    async def newest(self) -> JournalNow | None:
        """The journal of the table as it is now, or as it was last; None: there is none. Raises:
        Unavailable.
        """
        journals = await self.known()
        return journals[-1] if journals else None

    async def at(self, at_us: int, *, incomplete: bool = False) -> "TableThen":
        """The table at a moment. Raises: SettingsError for one that is still to come; Unavailable."""
        self._check_past(at_us)
        journals = await self.journals(at_us)
        return TableThen(self._name, journal_at(journals, at_us), at_us, incomplete)

    async def history(self, key: bytes) -> list[HistoryEntry]:
        """Every change of an item, the oldest first, of all incarnations of the table. Raises: NotKnown where
        nothing is there to be told from, Unavailable.
        """
        journals = await self.journals()
        entries = [entry for now in journals for entry in history_of(await now.of_key(key), now.coverage)]
        newest = journals[-1].coverage
        if not (entries or newest.first_us or newest.is_live):
            raise NotKnown(
                f"{self._name}: the journal has nothing yet, or was deleted, or not copied",
                hint=f"tailrace journal status PLACE; tailrace journal verify PLACE --table {self._name}",
            )
        return entries

    async def blame(self, key: bytes, actor: str | None = None) -> list[Blame]:
        """Who last set each path of an item as it is now; none for one that is not there. Raises: NotKnown,
        Unavailable.
        """
        now = (await self.journals())[-1]
        changes = await now.of_key(key)
        state = state_at(changes, self._now_us(), now.coverage)
        if not state.is_known:
            raise NotKnown(f"{self._name}: {state.unknown}")
        return blame_of(changes, actor)

    async def diff(
        self, since_us: int, until_us: int, *, incomplete: bool = False
    ) -> AsyncGenerator[ItemDifference]:
        """The items that are not the same at two moments, by key. Raises: NotKnown, SettingsError,
        Unavailable.
        """
        out = OUT.replace("as_of", "diff")
        now = await self.between(since_us, until_us, "" if incomplete else out)
        async for written in self._written(now, since_us, until_us):
            if unknown := written.unknown:
                if incomplete:
                    continue
                raise NotKnown(f"{self._name}: an item is not known: {unknown}", hint=out)
            told = item_difference(written.key, written.before.item, written.after.item)
            if told is not None:
                yield told

    async def written(self, since_us: int, until_us: int) -> AsyncGenerator[WrittenItem]:
        """The items that were written after a moment and by another, by key; also those that became again
        what they had been. Raises: NotKnown, SettingsError, Unavailable.
        """
        now = await self.between(since_us, until_us, None)
        async for written in self._written(now, since_us, until_us):
            if written.unknown:
                raise NotKnown(f"{self._name}: an item is not known: {written.unknown}")
            yield written

    async def between(self, since_us: int, until_us: int, hint: str | None = None) -> JournalNow:
        """The journal that has both moments. Shape: a `hint` "" says that it need not know all between them.
        Raises: NotKnown, SettingsError, Unavailable.
        """
        self._check_past(until_us)
        if since_us > until_us:
            raise SettingsError(
                f"{spoken(since_us)} is after {spoken(until_us)}", hint="name the earlier time first"
            )
        journals = await self.journals(until_us)
        now = journal_at(journals, until_us)
        if now.view.folder != journal_at(journals, since_us).view.folder:
            raise NotKnown(f"{self._name} was deleted and made anew between these times")
        reason = self._unknown_between(now.coverage, since_us, until_us)
        if reason and hint != "":
            raise NotKnown(f"{self._name}: {reason}", hint=hint)
        return now

    async def _written(self, now: JournalNow, since_us: int, until_us: int) -> AsyncGenerator[WrittenItem]:
        rows = await now.rows()
        asked = asked_rows(rows, changed_sql(rows, since_us, until_us), BATCH)
        async for changes in _grouped(asked, now.coverage.inexact_us):
            before, after = (state_at(changes, at_us, now.coverage) for at_us in (since_us, until_us))
            within = tuple(
                change
                for change in changes
                if since_us < change.created_us <= until_us and change.origin != SCAN
            )
            yield WrittenItem(changes[0].key, within, before, after)

    @staticmethod
    def _unknown_between(coverage: Coverage, since_us: int, until_us: int) -> str:
        """Why changes between two moments may be missing; "": none are. What never changed does not differ,
        so no base is needed.
        """
        begin_us = coverage.begin_us
        if begin_us is None:
            return "the journal has nothing yet"
        if since_us < (begin_us if coverage.base_us is None else min(begin_us, coverage.base_us)):
            return before(begin_us)
        return next((gap.words for gap in coverage.lost if gap.overlaps(since_us, until_us)), "")

    def _check_past(self, at_us: int) -> None:
        if at_us >= self._now_us() + 1_000_000:
            raise SettingsError(
                f"{spoken(at_us)} is still to come: it is {spoken(self._now_us())}",
                hint="name a time of the past",
            )

    @property
    def _name(self) -> str:
        return "" if self._opened is None else self._opened.table.name

    def _now_us(self) -> int:
        return last_us(self._clock.now().wall_ms)

    # ---- what is there -------------------------------------------------------------------------------------

    async def journals(self, until_us: int | None = None) -> list[JournalNow]:
        """As `known`, at least one. Raises: Unavailable where there is none."""
        if journals := await self.known(until_us):
            return journals
        raise Unavailable(
            f"there is no journal of table {self._name} here",
            hint=f"app.archive({self._name}, …) keeps one, from when a worker runs",
        )

    async def known(self, until_us: int | None = None) -> list[JournalNow]:
        """Every incarnation, the oldest first; the newest has the live stream. Shape: with `until_us` what is
        known up to then will do. Raises: Unavailable.
        """
        reader, tails = await self._readers()
        now_ms = self._clock.now().monotonic_ms
        if self._last is not None and now_ms - self._last[0] < self._bounds.fresh_ms:
            return self._last[1]
        views = await reader.views()
        archived: dict[tuple[str, str], int] = {}
        for view in views:
            archived.update(view.positions)
        tail = await tails.read(archived, until_us) if views else Tail()
        if tail.unread and tail.unread != self.unread:
            self._warned(f"{reader.table.name}: {unread_words(tail.unread)}; its journal alone was asked")
        self.unread = tail.unread
        journals = [await _journal_now(view, tail if view is views[-1] else Tail()) for view in views]
        journals = _ended(journals, is_gone=tail.is_of_deleted)
        is_kept = self._bounds.fresh_ms and tail.until_us is None
        self._last = (now_ms, journals) if is_kept else None
        return journals

    async def _readers(self) -> tuple[JournalReader, TailReader]:
        if self._opened is None or self._tail is None:
            table = self._table if isinstance(self._table, JournaledTable) else await self._table()
            self._opened = JournalReader(self._archive, table, self._clock, self._log)
            self._tail = TailReader(self._opened, self._clock, self._bounds)
        return self._opened, self._tail


async def _journal_now(view: JournalView, tail: Tail) -> JournalNow:
    """One incarnation's journal with what the live stream has of it. Raises: Unavailable."""
    files = view.manifest.of_part(PART_CHANGES)
    times = [change.created_us for change in tail.changes]
    coverage = Coverage(
        min([*(file.from_us for file in files), *times], default=None),
        None if view.base is None else view.base.as_of_us,
        precision_us=view.precision_us,
        end_us=max([*(file.until_us for file in files), *times], default=None),
        is_live=tail.is_read,
        inexact_us=None if view.base is None else view.base.inexact_us,
        unread=tail.unread,
    )
    labels = tail.labels | {label for label, _ in view.positions}
    now = JournalNow(view, coverage, tail.changes, tail.missed, labels)
    lost = await lost_times(now)
    if not lost:
        return now
    return JournalNow(view, replace(coverage, lost=lost), now.live, tail.missed, labels)


def _ended(journals: Sequence[JournalNow], *, is_gone: bool) -> list[JournalNow]:
    """The same, where all but the newest are of tables that were deleted, and that one as well if it
    `is_gone`.
    """
    made: list[int | None] = [
        micros_of(f"{min(now.labels)}Z") if now.labels else None for now in journals[1:]
    ]
    ended = [
        replace(now, coverage=deleted(now.coverage, made_us))
        for now, made_us in zip(journals, made, strict=False)
    ]
    if is_gone and journals:
        return [*ended, replace(journals[-1], coverage=deleted(journals[-1].coverage, None))]
    return [*ended, *journals[-1:]]


def journal_at(journals: Sequence[JournalNow], at_us: int) -> JournalNow:
    """The newest of a table's incarnations that knows anything of a moment, else the oldest."""
    covering = [now for now in journals if 0 < now.coverage.first_us <= at_us]
    return covering[-1] if covering else journals[0]


class TableThen:
    """A table at a moment. Shape: `later` says what could still come to be known of it, "". `upto` is a
    change of that very time, of this table or of another one of its engine: those of that time that came
    after it are later, where times and numbers are our own engine's.
    """

    def __init__(
        self, name: str, now: JournalNow, at_us: int, incomplete: bool, upto: Version | None = None
    ) -> None:
        self._upto = upto
        self.name = name
        self.now = now
        self.at_us = at_us
        self.incomplete = incomplete

    @property
    def unknown(self) -> str:
        """Why not all of it is known; "": all is."""
        return self.now.coverage.unknown_at(self.at_us)

    @property
    def later(self) -> str:
        """What the journal does not have yet and could be of that time; ""."""
        return self.now.coverage.later(self.at_us)

    @property
    def ties_upto(self) -> Version | None:
        """The change behind which others of its time are later; None where times do not tell."""
        return self._upto if self.now.coverage.precision_us < COARSE_US else None

    async def state(self, key: bytes) -> PastState:
        """One item. Raises: Unavailable."""
        return self.state_of(await self.now.of_key(key))

    def state_of(self, changes: Sequence[JournalChange]) -> PastState:
        """One item, by all of its changes in order."""
        if self.ties_upto is not None:
            changes = with_ties(changes, self.at_us, self.ties_upto)
        return state_at(changes, self.at_us, self.now.coverage)

    async def between(self, first: bytes, end: bytes | None) -> AsyncGenerator[tuple[bytes, bytes]]:
        """Key and image of the items of a range of keys that were there, by key. Raises: NotKnown,
        Unavailable.
        """
        self._check()
        async for key, state in self._judged(Selection(first=first, end=end)):
            if state.is_known and state.item is not None:
                yield key, state.item

    def partition(self, schema: TableSchema, condition: KeyCondition) -> AsyncGenerator[tuple[bytes, bytes]]:
        """`between` the keys that fulfil a key condition. Raises: ApiError, NotKnown, Unavailable."""
        rows = query_range(schema, condition)
        return self.between(rows.first, rows.last)

    async def items(self) -> AsyncGenerator[tuple[bytes, bytes]]:
        """Key and image of every item that was there, by key. Raises: NotKnown, Unavailable.

        Guarantee: memory does not grow with the table.
        """
        self._check()
        if self.unknown:
            async for item in self.between(b"", None):
                yield item
            return
        rows = await self.now.rows()
        sql = f"SELECT key, item FROM ({as_of_sql(rows, self.at_us, self._told_us)}) ORDER BY key"
        async for key, item in asked_rows(rows, sql, BATCH):
            yield key, item

    async def count(self) -> int:
        """How many items there were. Raises: NotKnown, Unavailable."""
        self._check()
        if self.unknown:
            return len([key async for key, _ in self.items()])
        rows = await self.now.rows()
        counted = f"SELECT count(*) FROM ({as_of_sql(rows, self.at_us, self._told_us)})"
        ((count,),) = await in_thread(all_rows, rows, counted)
        return int(count)

    async def relation(self) -> PastRelation:
        """The whole table for DuckDB. Raises: NotKnown, also with `incomplete`; Unavailable."""
        if self.unknown:
            raise NotKnown(
                f"{self.name} at {spoken(self.at_us)}: {self.unknown}",
                hint="a relation is the whole table: ask for single items, or for another time",
            )
        rows = await self.now.rows()
        return await in_thread(lambda: relation_of(rows, self.at_us, self._told_us))

    @property
    def _told_us(self) -> int | None:
        """Until when what is told of an item may come after the moment; None: nothing does."""
        told_us = self.now.coverage.told_us
        return told_us if told_us is not None and self.at_us < told_us else None

    def _check(self) -> None:
        if self.unknown and not self.incomplete:
            raise NotKnown(f"{self.name} at {spoken(self.at_us)}: {self.unknown}", hint=OUT)

    async def _judged(self, selection: Selection) -> AsyncIterator[tuple[bytes, PastState]]:
        """Every item that the journal has something of, by key."""
        live = sorted(
            (change for change in self.now.live if selection.takes(change)),
            key=lambda change: (change.key, change.version),
        )
        changes = _merged(self.now.view.changes(selection), live)
        async for group in _grouped(changes, self.now.coverage.inexact_us):
            yield group[0].key, self.state_of(group)


# ---- rows --------------------------------------------------------------------------------------------------


async def _merged(
    archived: AsyncIterator[JournalChange], live: Sequence[JournalChange]
) -> AsyncIterator[JournalChange]:
    """Both, by key and version."""
    place = 0
    async for change in archived:
        while place < len(live) and (live[place].key, live[place].version) < (change.key, change.version):
            yield live[place]
            place += 1
        yield change
    for change in live[place:]:
        yield change


async def _grouped(changes: AsyncIterator[Any], inexact_us: int | None) -> AsyncIterator[list[JournalChange]]:
    """The changes of each key together. Shape: changes, or rows of them, by key."""
    group: list[JournalChange] = []
    async for row in changes:
        change = row if isinstance(row, JournalChange) else change_of(row)
        if group and group[0].key != change.key:
            yield in_order(group, inexact_us)
            group = []
        group.append(change)
    if group:
        yield in_order(group, inexact_us)
