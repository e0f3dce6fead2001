"""Merging: small segments become large ones, sorted by key and version, with the same rows.

Theory of operation: of each part those segments that are smaller than a bound are taken, the oldest first, up
to as many bytes as one merged segment may have. Large ones all have the whole range of keys at first; where
too many of them have the same key, these are sorted together and cut at keys, so that each is of a range of
its own. DuckDB sorts outside of memory, and the result is written before one delta takes the others away and
names it. Whoever merges beside another loses the
delta, for what it would take away is gone. No row, leaf or tree changes: leaves are copied as they are.
Rules of this file: rows of a base stay apart from changes. Run by a process of its own (`tailrace journal
merge`). Needs the extra `history`.
"""

import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from msgspec.structs import replace

from tailrace.journal.core.places import SEGMENTS, segment_name
from tailrace.journal.core.records import PART_BASE, PART_CHANGES
from tailrace.journal.run.local_files import LocalSegments
from tailrace.journal.run.opening import IncarnationJournal, opened_journal, told_by_duckdb
from tailrace.journal.run.segments import GROUP_ROWS, MERGED_LEVEL, SCHEMA, described, segment_writer
from tailrace.journal.run.status import JournalStatus, journal_statuses
from tailrace.manifests.core.manifest import DeltaPart, TableFile, TableManifest
from tailrace.manifests.core.names import is_own
from tailrace.manifests.run.cleaning import clean_files, clean_manifest
from tailrace.manifests.run.target import FilesForgotten, NameTaken, outages, with_files
from tailrace.ports import ArchiveStore, Clock
from tailrace.runtime.threads import in_thread

TARGET_BYTES: Final = 64 * 1024 * 1024
FEWEST: Final = 2
MOST_OF_KEY: Final = 8
"""So many large segments may have one key."""
MEMORY: Final = "256MB"
MERGED: Final = "merged"


class MergeReport(Struct, frozen=True):
    """What a merge did. Units: segments before and after, of those that it looked at; rows."""

    before: int = 0
    after: int = 0
    rows: int = 0


Told: TypeAlias = Callable[[int, int], None]
"""Is told how many segments were merged, and how many there are to be."""


def untold(done: int, total: int) -> None:
    """Nobody wants to know."""


class Merger:
    """Merges the segments of one journal. Shape: no `fewer` small ones than these are merged. Units:
    target_bytes of a merged segment, about.
    """

    def __init__(self, archive: ArchiveStore, target_bytes: int = TARGET_BYTES, fewest: int = FEWEST) -> None:
        self._archive = archive
        self._target_bytes = target_bytes
        self._fewest = fewest

    async def merge(self, journal: IncarnationJournal, told: Told = untold) -> MergeReport:
        """Merge what is small, then what has the same keys. Raises: Unavailable. May be cut off anywhere, and
        run by many at once.
        """
        report = MergeReport()
        for part in (PART_CHANGES, PART_BASE):
            for chosen in (self._small, self._crowded):
                while True:
                    manifest = await journal.target.manifest()
                    there = manifest.of_part(part)
                    files = chosen(there)
                    if files:
                        few = sum(self._is_small(file) for file in there) if chosen == self._small else 0
                        told(report.before, report.before + max(len(files), few))
                    made = await self._swap(journal, manifest, part, files) if files else 0
                    if not made:
                        break
                    rows = sum(file.rows for file in files)
                    report = MergeReport(report.before + len(files), report.after + made, report.rows + rows)
        return report

    def _is_small(self, file: TableFile) -> bool:
        return is_small(file, self._target_bytes)

    def _small(self, files: Sequence[TableFile]) -> list[TableFile]:
        return group_of(files, self._target_bytes, self._fewest)

    def _crowded(self, files: Sequence[TableFile]) -> list[TableFile]:
        return crowd_of([file for file in files if file.size > self._target_bytes // FEWEST])

    async def clean(self, journal: IncarnationJournal, now_ms: int) -> int:
        """Delete segments that were replaced, or that no delta has named, an hour ago, and deltas that a
        whole manifest has folded as long ago. Returns: how many. Raises: Unavailable.
        """
        with outages():
            listed = await self._archive.list(f"{journal.folder}/{SEGMENTS}/")
        own = [name for name in listed if is_own(name)]
        deleted = await clean_files(journal.target, self._archive, own, now_ms)
        return deleted + await clean_manifest(journal.target.log, self._archive, now_ms)

    async def _swap(
        self, journal: IncarnationJournal, manifest: TableManifest, part: str, files: Sequence[TableFile]
    ) -> int:
        """Write segments in place of others. Returns: how many; 0: another merge has taken them."""
        local = LocalSegments(self._archive)
        made: list[TableFile] = []
        try:
            paths = await local.paths(files)
            merged = SortedSegments(
                paths, local.scratch, max(file.precision_us for file in files), self._target_bytes
            )
            try:
                while (data := await in_thread(merged.next)) is not None:
                    name = segment_name(journal.folder, MERGED, len(made), len(files), data)
                    with outages():
                        await self._archive.put_if_absent(name, data)
                    made.append(await in_thread(named_segment, name, part, data, files))
            finally:
                merged.close()
        finally:
            local.close()
        names = tuple(file.name for file in files)

        def plan(now: TableManifest) -> DeltaPart | None:
            if any(one not in now.files for one in names):
                return None  # another merge has taken them
            return replace(with_files(DeltaPart(), made, manifest.number, now), removed=names)

        try:
            there = (await journal.target.commit_plan(plan)).files
            return len(made) if all(file.name in there for file in made) else 0
        except (NameTaken, FilesForgotten):
            return 0


async def merge_journals(
    archive: ArchiveStore, clock: Clock, table: str | None, fewest: int, told: Told = untold
) -> AsyncIterator[tuple[JournalStatus, MergeReport, int]]:
    """Merge and clean the journals in an archive, or those of one table's name, one after the other. Yields:
    each as it was, what its merge did, and how many files were deleted. Raises: Unavailable.
    """
    merger = Merger(archive, fewest=fewest)
    for status in await journal_statuses(archive, clock, table):
        journal = opened_journal(archive, status.folder, clock)
        report = await merger.merge(journal, told)
        yield status, report, await merger.clean(journal, clock.now().wall_ms)


def is_small(file: TableFile, target_bytes: int) -> bool:
    """Whether a segment is one of those that are merged for their size."""
    return file.size < target_bytes // FEWEST + 1


def group_of(files: Sequence[TableFile], target_bytes: int, fewest: int = FEWEST) -> list[TableFile]:
    """The small segments that become one, the oldest first; none where there are too few.

    >>> few = [TableFile(f"{size}", "changes", 1, size) for size in (9, 2, 3, 4)]
    >>> [file.name for file in group_of(few, 6)]
    ['2', '3']
    """
    group: list[TableFile] = []
    size = 0
    for file in sorted(files, key=lambda file: file.first_version):
        if is_small(file, target_bytes):
            if group and size + file.size > target_bytes:
                break
            group.append(file)
            size += file.size
    return group if len(group) >= fewest else []


def crowd_of(files: Sequence[TableFile]) -> list[TableFile]:
    """The segments that have a key which too many have; none where no key has.

    >>> ranges = [TableFile(f"{n}", "changes", 1, 1, "00", "09") for n in range(MOST_OF_KEY)]
    >>> crowd_of(ranges), len(crowd_of([*ranges, TableFile("9", "changes", 1, 1, "09", "0a")]))
    ([], 9)
    """
    for file in files:
        crowd = [other for other in files if other.first <= file.first <= other.last]
        if len(crowd) > MOST_OF_KEY:
            return crowd
    return []


class SortedSegments:
    """The rows of segments in the order of keys and versions, as segments of about so many bytes, each of
    keys of its own. Blocks. Raises: Unavailable.
    """

    def __init__(self, paths: Sequence[str], scratch: str, precision_us: int, target_bytes: int) -> None:
        import duckdb

        config: dict[str, Any] = {"threads": 1, "memory_limit": MEMORY, "temp_directory": scratch}
        self._connection = duckdb.connect(":memory:", config=config)
        self._precision_us = precision_us
        self._target_bytes = target_bytes
        self._rest: pa.Table | None = None
        names = ", ".join(SCHEMA.names)
        asked = f"SELECT {names} FROM read_parquet(?) ORDER BY key, generation, sequence, shard"
        with _said():
            rows = self._connection.sql(asked, params=[list(paths)])
            self._batches = iter(rows.to_arrow_reader(GROUP_ROWS))

    def next(self) -> bytes | None:
        """The next segment; None: there is none."""
        rows, self._rest = self._batch() if self._rest is None else self._rest, None
        if rows is None:
            return None
        sink = io.BytesIO()
        with segment_writer(sink, self._precision_us, MERGED_LEVEL) as writer:
            while rows is not None:
                writer.write_table(rows, row_group_size=GROUP_ROWS)
                last = rows.column("key")[-1].as_py()
                rows = self._batch()
                if rows is not None and sink.tell() >= self._target_bytes:
                    keys = rows.column("key").to_pylist()
                    place = next((place for place, key in enumerate(keys) if key != last), len(keys))
                    rows, rest = rows.slice(0, place), rows.slice(place)
                    if rest.num_rows:
                        self._rest = rest
                        if rows.num_rows:
                            writer.write_table(rows, row_group_size=GROUP_ROWS)
                        break
        return sink.getvalue()

    def close(self) -> None:
        """End it. Repeatable."""
        self._connection.close()

    def _batch(self) -> pa.Table | None:
        with _said():
            batch = next(self._batches, None)
        return None if batch is None else pa.Table.from_batches([batch]).cast(SCHEMA)


def _said() -> AbstractContextManager[None]:
    return told_by_duckdb("segments cannot be merged", "tailrace journal verify PLACE --table TABLE")


def named_segment(name: str, part: str, data: bytes, files: Sequence[TableFile]) -> TableFile:
    """What the manifest says of a merged segment: what it has, within the times of those that it is of."""
    rows = pq.read_table(pa.BufferReader(data), columns=["key", "generation", "sequence", "created_us"])
    precision_us = max(file.precision_us for file in files)
    return described(rows).file(name, part, rows.num_rows, len(data), precision_us)
