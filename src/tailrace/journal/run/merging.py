"""Merging: small segments become large ones, sorted by key and version, with the same rows.

Theory of operation: of each part those segments that are smaller than a bound are taken, the oldest first, up
to as many bytes as one merged segment may have; DuckDB sorts their rows outside of memory, and the result is
written before one delta takes the small ones away and names it. Whoever merges beside another loses the
delta, for what it would take away is gone. No row, leaf or tree changes: leaves are copied as they are.
Rules of this file: rows of a base stay apart from changes. Run by a process of its own (`tailrace journal
merge`). Needs the extra `history`.
"""

import io
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import Unavailable
from tailrace.journal.core.places import SEGMENTS, segment_name
from tailrace.journal.core.records import PART_BASE, PART_CHANGES
from tailrace.journal.run.local_files import LocalSegments
from tailrace.journal.run.opening import IncarnationJournal
from tailrace.journal.run.segments import GROUP_ROWS, SCHEMA, segment_writer
from tailrace.manifests.core.manifest import DeltaPart, TableFile, TableManifest
from tailrace.manifests.run.cleaning import clean_files
from tailrace.manifests.run.target import FilesForgotten, NameTaken, outages, with_files
from tailrace.ports import ArchiveStore
from tailrace.runtime.threads import in_thread

TARGET_BYTES: Final = 64 * 1024 * 1024
FEWEST: Final = 2
MEMORY: Final = "256MB"
MERGED: Final = "merged"


class MergeReport(Struct, frozen=True):
    """What a merge did. Units: segments before and after, of those that it looked at; rows."""

    before: int = 0
    after: int = 0
    rows: int = 0


class Merger:
    """Merges the segments of one journal. Units: target_bytes of a merged segment, about."""

    def __init__(self, archive: ArchiveStore, target_bytes: int = TARGET_BYTES) -> None:
        self._archive = archive
        self._target_bytes = target_bytes

    async def merge(self, journal: IncarnationJournal) -> MergeReport:
        """Merge what is small. Raises: Unavailable. May be cut off anywhere, and run by many at once."""
        report = MergeReport()
        for part in (PART_CHANGES, PART_BASE):
            while True:
                manifest = await journal.target.manifest()
                files = group_of(manifest.of_part(part), self._target_bytes)
                if not files or not await self._swap(journal, manifest, part, files):
                    break
                rows = sum(file.rows for file in files)
                report = MergeReport(report.before + len(files), report.after + 1, report.rows + rows)
        return report

    async def clean(self, journal: IncarnationJournal, now_ms: int) -> int:
        """Delete segments that were replaced, or that no delta has named, an hour ago. Returns: how many.
        Raises: Unavailable.
        """
        with outages():
            own = await self._archive.list(f"{journal.folder}/{SEGMENTS}/")
        return await clean_files(journal.target, self._archive, own, now_ms)

    async def _swap(
        self, journal: IncarnationJournal, manifest: TableManifest, part: str, files: Sequence[TableFile]
    ) -> bool:
        """Write one segment in place of several. Returns: whether it is there in their place."""
        local = LocalSegments(self._archive)
        try:
            paths = await local.paths(files)
            precision_us = max(file.precision_us for file in files)
            data = await in_thread(merged_bytes, paths, local.scratch, precision_us)
        finally:
            local.close()
        names = tuple(file.name for file in files)
        name = segment_name(journal.folder, MERGED, 0, len(files), data)
        with outages():
            await self._archive.put_if_absent(name, data)
        merged = _merged(name, part, files, len(data))

        def plan(now: TableManifest) -> DeltaPart | None:
            if any(one not in now.files for one in names):
                return None  # another merge has taken them
            return replace(with_files(DeltaPart(), [merged], manifest.number, now), removed=names)

        try:
            return merged.name in (await journal.target.commit_plan(plan)).files
        except (NameTaken, FilesForgotten):
            return False


def group_of(files: Sequence[TableFile], target_bytes: int) -> list[TableFile]:
    """The small segments that become one, the oldest first; none where there are too few.

    >>> few = [TableFile(f"{size}", "changes", 1, size) for size in (9, 2, 3, 4)]
    >>> [file.name for file in group_of(few, 6)]
    ['2', '3']
    """
    group: list[TableFile] = []
    size = 0
    for file in sorted(files, key=lambda file: file.first_version):
        if file.size < target_bytes // FEWEST + 1:
            if group and size + file.size > target_bytes:
                break
            group.append(file)
            size += file.size
    return group if len(group) >= FEWEST else []


def merged_bytes(paths: Sequence[str], scratch: str, precision_us: int) -> bytes:
    """The rows of segments as one, in the order of keys and versions. Blocks. Raises: Unavailable."""
    import duckdb

    sink = io.BytesIO()
    config: dict[str, Any] = {"threads": 1, "memory_limit": MEMORY, "temp_directory": scratch}
    names = ", ".join(SCHEMA.names)
    with (
        duckdb.connect(":memory:", config=config) as connection,
        segment_writer(sink, precision_us) as writer,
    ):
        try:
            asked = f"SELECT {names} FROM read_parquet(?) ORDER BY key, generation, sequence, shard"
            sorted_rows = connection.sql(asked, params=[list(paths)])
            for batch in sorted_rows.to_arrow_reader(GROUP_ROWS):
                rows = pa.Table.from_batches([batch]).cast(SCHEMA)
                writer.write_table(rows, row_group_size=GROUP_ROWS)
        except duckdb.Error as error:
            raise Unavailable(f"segments cannot be merged: {error}") from error
    return sink.getvalue()


def _merged(name: str, part: str, files: Sequence[TableFile], size: int) -> TableFile:
    return TableFile(
        name,
        part,
        sum(file.rows for file in files),
        size,
        min(file.first for file in files),
        max(file.last for file in files),
        min(file.first_version for file in files),
        max(file.last_version for file in files),
        min(file.from_us for file in files),
        max(file.until_us for file in files),
        max(file.precision_us for file in files),
    )
