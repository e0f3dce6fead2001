"""Reading a journal: by key, by time, by shard; from the archive, and on from there in the live stream.

Theory of operation: a `JournalView` is the journal as of one manifest. Which segments may have what is asked
for the manifest says; DuckDB reads those, sorts them outside of memory where it must, and hands out a batch
at a time. A key's changes come in the order of their versions; those of everything come by key and version,
or by version alone, which is the order of each shard and of each item. A live reader goes on in each shard
where the journal ends, and says when it has caught up: nothing is compared by content, the position alone
decides what is next.
Rules of this file: nothing is written. Void deltas are void here too, for the manifest is folded by the law.
Needs the extra `history`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import SourceError, Unavailable
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.places import (
    BASE,
    JournaledStream,
    JournaledTable,
    incarnation_folder,
    streams_of,
)
from tailrace.journal.core.records import EVERYTHING, SCAN, Selection, journal_change
from tailrace.journal.run.local_files import LocalSegments
from tailrace.journal.run.opening import (
    IncarnationJournal,
    check_installed,
    opened_journal,
    opened_names,
    told_by_duckdb,
)
from tailrace.journal.run.wire_log import WireLog, is_of_wire
from tailrace.leases.generation import Generations
from tailrace.manifests.core.manifest import TableFile, TableManifest, place_parts
from tailrace.manifests.run.target import outages, sources_of
from tailrace.ports import ArchiveStore, Clock, LogReader, Shard, StreamRef
from tailrace.runtime.threads import in_thread
from tailrace.snapshots.core.horizon import MARGIN_MS
from tailrace.streams.version import Version

Order: TypeAlias = Literal["key", "version"]
BATCH: Final = 5_000
LIVE_PAGE: Final = 1_000
LIVE_MS: Final = 500
"""How often a reader that has caught up looks again."""
MEMORY: Final = "256MB"
"""Of DuckDB; what is more is sorted on disk."""
COLUMNS: Final = "key, generation, sequence, created_us, event, old, new, origin, shard, ancestry"
OF_BASE: Final = f"origin IS NOT DISTINCT FROM '{SCAN}'"
ORDERS: Final = {
    "key": f"key, generation, sequence, {OF_BASE}",
    "version": f"generation, sequence, {OF_BASE}, shard",
}
"""A row of the base is as of its version, so it comes after the change that has the same."""


class CaughtUp(Struct, frozen=True):
    """Everything that was there a moment ago has been given. Units: at_ms since the epoch."""

    at_ms: int


class JournalBase(Struct, frozen=True):
    """The table as it was when the journal begins. Units: microseconds since the epoch, the time of its last
    page: before that nothing is known of keys that have not changed since.

    Shape:   `is_exact`: its rows have the versions of the pages that they were read in; else their order
             among changes is known by times alone. `source` is the place of the exports that it was read
             from, "" for the table itself.
    """

    as_of_us: int
    rows: int
    is_exact: bool = True
    source: str = ""

    @property
    def inexact_us(self) -> int | None:
        """That of `Coverage`: clocks differ, so some time after the last page; None where rows are exact."""
        return None if self.is_exact else self.as_of_us + MARGIN_MS * 1_000


class JournalGap(Struct, frozen=True):
    """Changes that were gone before the journal had them. Shape: sequence numbers, both inclusive."""

    stream: str
    shard: str
    first: int
    last: int


class JournalView:
    """One incarnation's journal as of a manifest."""

    def __init__(self, folder: str, manifest: TableManifest, local: LocalSegments) -> None:
        self.folder = folder
        self.manifest = manifest
        self._local = local

    @property
    def base(self) -> JournalBase | None:
        """What it begins with; None: keys that were never changed since are unknown."""
        text = self.manifest.notes.get(BASE)
        return None if text is None else msgspec.json.decode(text, type=JournalBase)

    @property
    def gaps(self) -> list[JournalGap]:
        """What it lacks."""
        return [
            JournalGap(*place_parts(place)[1:], first, last)
            for place, position in self.manifest.positions.items()
            for first, last in position.gaps
        ]

    @property
    def scratch(self) -> str:
        """A folder for what does not fit into memory."""
        return self._local.scratch

    @property
    def precision_us(self) -> int:
        """Within what time the times of its changes are known."""
        return max((file.precision_us for file in self.manifest.files.values()), default=0)

    @property
    def positions(self) -> dict[tuple[str, str], int]:
        """(stream label, shard) → through which record it is there."""
        return {
            place_parts(place)[1:]: position.through for place, position in self.manifest.positions.items()
        }

    def files(self, selection: Selection = EVERYTHING) -> list[TableFile]:
        """The segments that may have what is asked for; those of the base too."""
        return [file for file in self.manifest.files.values() if selection.may_be_in(file)]

    async def paths(self, selection: Selection = EVERYTHING) -> list[str]:
        """Their files on this machine's disk, for DuckDB or pyarrow: they stay as long as the reader is open.
        Raises: Unavailable.
        """
        return await self.paths_of(self.files(selection))

    async def paths_of(self, files: Sequence[TableFile]) -> list[str]:
        """The same of some of its segments. Raises: Unavailable."""
        return await self._local.paths(files)

    async def changes(
        self, selection: Selection = EVERYTHING, order: Order = "key"
    ) -> AsyncIterator[JournalChange]:
        """Changes, with the rows of the base: by key and version, or by version alone.

        Guarantee: memory does not grow with the journal. Raises: Unavailable.
        """
        files = self.files(selection)
        if not files:
            return
        paths = await self._local.paths(files)
        query = _Query(paths, selection, order, self._local.scratch)
        try:
            await in_thread(query.begin)
            while batch := await in_thread(query.batch):
                for row in batch:
                    yield change_of(row)
        finally:
            query.close()

    async def history(self, key: bytes) -> list[JournalChange]:
        """The changes of one item, the oldest first. Raises: Unavailable."""
        return [change async for change in self.changes(Selection(key=key))]


class _Query:
    """One question to DuckDB. Blocks; used by one thread at a time."""

    def __init__(self, paths: Sequence[str], selection: Selection, order: Order, scratch: str) -> None:
        self._paths = list(paths)
        self._selection = selection
        self._order = ORDERS[order]
        self._scratch = scratch
        self._connection: Any = None
        self._answer: Any = None

    def begin(self) -> None:
        """Ask. Raises: Unavailable without the extra, or for segments that cannot be read."""
        check_installed()
        import duckdb

        conditions, parameters = ["true"], list[Any]([self._paths])
        selection = self._selection
        for words, value in (
            ("key = ?", selection.key),
            ("created_us >= ?", selection.since_us),
            ("created_us < ?", selection.until_us),
            ("shard = ?", selection.shard),
            ("key >= ?", selection.first),
            ("key < ?", selection.end),
        ):
            if value is not None:
                conditions.append(words)
                parameters.append(value)
        self._connection = duckdb.connect(
            ":memory:", config={"threads": 1, "memory_limit": MEMORY, "temp_directory": self._scratch}
        )
        with told_by_duckdb(
            "the journal's segments cannot be read",
            "read again; if it stays so: tailrace journal verify PLACE --table TABLE",
        ):
            self._answer = self._connection.execute(
                f"SELECT {COLUMNS} FROM read_parquet(?) WHERE {' AND '.join(conditions)} "
                f"ORDER BY {self._order}",
                parameters,
            )

    def batch(self) -> list[tuple[Any, ...]]:
        """The next rows; none at the end."""
        rows: list[tuple[Any, ...]] = self._answer.fetchmany(BATCH)
        return rows

    def close(self) -> None:
        """End it."""
        if self._connection is not None:
            self._connection.close()


def change_of(row: tuple[Any, ...]) -> JournalChange:
    """The change that a row of COLUMNS is."""
    key, generation, sequence, created_us, event, old, new, origin, shard, ancestry = row
    version = Version(generation, int.from_bytes(sequence, "big"))
    return JournalChange(shard, key, version, created_us, event, old, new, origin, ancestry)


class JournalReader:
    """A table's journal in an archive. Shape: `log` reads the live stream; None: the archive alone."""

    def __init__(
        self, archive: ArchiveStore, table: JournaledTable, clock: Clock, log: LogReader | None = None
    ) -> None:
        self.table = table
        self._archive = archive
        self._clock = clock
        self._log = log
        self._names = opened_names(archive, table, clock)
        self._local = LocalSegments(archive)
        self._journals: dict[str, IncarnationJournal] = {}
        self._ends: dict[tuple[str, str], int] = {}
        """Where shards end to which nothing is ever added."""
        self.is_of_deleted = False
        """Whether the table was gone when its stream was last read."""

    @property
    def is_live(self) -> bool:
        """Whether there is a live stream to be read."""
        return self._log is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete what was fetched. Repeatable."""
        self._local.close()

    async def streams(self) -> list[JournaledStream]:
        """The streams of which there is something, the oldest first. Raises: Unavailable."""
        known = streams_of(await self._names.manifest())
        return [known[label] for label in sorted(known)]

    async def sources(self) -> dict[str, int]:
        """Which generation each source is. Raises: Unavailable."""
        return sources_of(await self._names.manifest())

    async def views(self) -> list[JournalView]:
        """The journal of every incarnation of the table as it is now, the oldest first. Raises:
        Unavailable.
        """
        incarnations = dict.fromkeys(stream.incarnation for stream in await self.streams())
        return [await self.view_of(incarnation) for incarnation in incarnations]

    async def view(self) -> JournalView:
        """The journal of the newest incarnation. Raises: Unavailable, also where there is none."""
        return await self.view_of((await self.known_streams())[-1].incarnation)

    async def known_streams(self) -> list[JournaledStream]:
        """As `streams`, at least one. Raises: Unavailable where there is none."""
        streams = await self.streams()
        if not streams:
            raise Unavailable(
                f"there is no journal of table {self.table.name} here",
                hint=f"app.archive({self.table.name}, …) keeps one, from when a worker runs",
            )
        return streams

    async def view_of(self, incarnation: str) -> JournalView:
        """The journal of one incarnation. Raises: Unavailable, also where a part of its
        manifest is lost; SettingsError for one that is none.
        """
        folder = incarnation_folder(self.table, incarnation)
        if folder not in self._journals:  # kept: of a manifest that is known only what is new is read
            journal = opened_journal(self._archive, folder, self._clock)
            with outages():
                await journal.target.log.check_whole()
            self._journals[folder] = journal
        journal = self._journals[folder]
        return JournalView(folder, await journal.target.manifest(), self._local)

    async def follow(
        self, selection: Selection = EVERYTHING, *, ends: bool = False
    ) -> AsyncIterator[JournalChange | JournalGap | CaughtUp]:
        """Changes of all incarnations by version, first of the archive and then of the live stream, for ever;
        `CaughtUp` whenever everything has been given, with `ends` once and last. What the stream has
        forgotten before the journal had it is a `JournalGap` between them. Raises: Unavailable, SourceError.
        """
        reached: dict[tuple[str, str], int] = {}
        for view in await self.views():
            reached.update(view.positions)
            async for change in view.changes(selection, "version"):
                yield change
        while True:
            async for told in self.live(reached):
                if isinstance(told, JournalGap) or selection.takes(told):
                    yield told
            yield CaughtUp(self._clock.now().wall_ms)
            if ends:
                return
            await self._clock.sleep_until(self._clock.now().monotonic_ms + LIVE_MS)

    async def live(
        self, reached: dict[tuple[str, str], int], *, is_sure: bool = True
    ) -> AsyncGenerator[JournalChange | JournalGap]:
        """What the stream has behind these positions, parents before children; they move on. What it has no
        more is named. Raises: SourceError, StoreError, Unavailable; SourceError unless it `is_sure` where
        none of the table's streams is one of the journal's.
        """
        if self._log is None:
            return
        numbers = Generations("", self.table.name).with_kept(await self.sources(), "the journal")
        streams = await self._log.streams(self.table.name)
        self.is_of_deleted = bool(streams) and all(stream.is_of_deleted for stream in streams)
        log = self._log if is_sure else await self._its_own(self._log, streams, reached)
        newest = numbers.newest_stream or ""
        # One that began since is numbered as its archiver will do it; one that it left out is left out here.
        streams = [one for one in streams if one.label > newest or not numbers.lacks([one.label])]
        numbers = numbers.with_labels(one.label for one in streams)
        for stream in streams:
            shards = await log.shards(stream)
            for shard in shards:
                if shard.place not in reached:
                    if lost := lost_before(shard, {one.place for one in shards}, reached):
                        yield lost
                    # Where numbers are of all shards, this insists on the whole shard.
                    reached[shard.place] = 0 if shard.before is None else shard.first - 1
                end = self._ends.get(shard.place, shard.last)
                if end is not None and reached[shard.place] >= end:
                    continue
                async for told in self._of_shard(log, shard, reached):
                    if isinstance(told, JournalGap):
                        yield told
                        continue
                    sequence = told.version.sequence
                    generation = numbers.of_record(stream.label, shard.shard_id, sequence)
                    yield replace(told, version=Version(generation, sequence))

    async def _its_own(
        self, log: LogReader, streams: Sequence[StreamRef], reached: Mapping[tuple[str, str], int]
    ) -> LogReader:
        """The log in the numbers of the journal. Raises: SourceError where it is another table's, or has not
        the numbers.
        """
        labels = {label for label, _ in reached}
        if not any(stream.label in labels for stream in streams):
            what = f"a table {self.table.name!r} of its own" if streams else f"no table {self.table.name!r}"
            raise SourceError(f"there is {what} there, and the journal is of another one")
        of_journal = [is_of_wire(through) for through in reached.values() if through]
        of_log = [is_of_wire(shard.first) for shard in await log.shards(streams[-1])]
        if not of_journal or not of_log or of_journal[0] == of_log[0]:
            return log
        if of_journal[0]:
            return WireLog(log)
        raise SourceError(
            "the journal was written beside the engine, in numbers that its endpoint does not tell: "
            "--data or --url asks the engine"
        )

    async def _of_shard(
        self, log: LogReader, shard: Shard, reached: dict[tuple[str, str], int]
    ) -> AsyncIterator[JournalChange | JournalGap]:
        while True:
            after = reached[shard.place]
            page = await log.read(shard, after, LIVE_PAGE)
            reached[shard.place] = max(after, page.next_after)
            if page.trimmed:
                first = page.records[0].sequence if page.records else reached[shard.place] + 1
                yield JournalGap(*shard.place, after + 1, first - 1)
            for record in page.records:
                yield journal_change(record, shard.shard_id)
            if not page.records and page.next_after <= after:
                if page.closed:
                    self._ends[shard.place] = after
                return
            await asyncio.sleep(0)


def lost_before(
    shard: Shard, listed: Collection[tuple[str, str]], reached: Mapping[tuple[str, str], int]
) -> JournalGap | None:
    """What is known to be lost of the ancestors of a shard that a journal has nothing of. Shape: `listed` are
    the shards that can still be read.

    >>> shard = Shard("b", 9, ("a",), stream="s", before=7)
    >>> lost_before(shard, [], {("s", "a"): 5})
    JournalGap(stream='s', shard='b', first=6, last=7)
    >>> lost_before(shard, [], {("s", "a"): 7}), lost_before(shard, [("s", "a")], {})
    (None, None)
    """
    parents = [(shard.stream, parent) for parent in shard.parents]
    if any(parent in listed for parent in parents) or not parents:
        return None
    last = shard.first - 1 if shard.before is None else shard.before
    after = min(reached.get(parent, 0) for parent in parents)
    if last <= after or (after and shard.before is None):
        return None
    return JournalGap(*shard.place, after + 1, last)
