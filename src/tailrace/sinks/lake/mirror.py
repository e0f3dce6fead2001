"""A merged table as a mirror: compared, swept, mended, forgotten.

Theory of operation: what depends on rows that were read is written on the condition that none of them has
changed: the manifest's files at that moment are those that were read, or what came since has none of these
keys. A sweep adds deletions to the log. Rows are mended, and deletions forgotten, inside a compaction, for
both are what versions alone cannot say: a row of the same version or an older one, and no row at all.
Rules of this file: the law is folding.py's; every call may be repeated.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Final, TypeAlias

import pyarrow as pa
from msgspec.structs import replace

from tailrace.columns.schema import TableColumns
from tailrace.errors import Refused
from tailrace.manifests.core.manifest import DeltaPart, TableManifest
from tailrace.ports import RecordBatch, SinkRow
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.compaction import Compaction, base_files, log_files
from tailrace.sinks.lake.edits import ForgottenRows, MendedRows, Wanted
from tailrace.sinks.lake.encoding import EncodedFile, rows_by_entity, tables_of
from tailrace.sinks.lake.folding import bucket_of, digests_of
from tailrace.sinks.lake.merged import MergedRow, MergedRows
from tailrace.sinks.lake.parquet import parquet_bytes
from tailrace.sinks.lake.rows import DELETED, EntityRows, tombstones_of
from tailrace.sinks.lake.table import ColumnsMoved, LakeTable
from tailrace.sinks.messages import Failures
from tailrace.streams.version import Version

PAGE: Final = 1_000
AFTER: Final = b"\0"
"""Behind a key there is none before the key with this at its end."""
Check: TypeAlias = Callable[[TableManifest], None]
"""Asked of the manifest that a commit would follow; raises RowsMoved."""


class RowsMoved(Exception):
    """Rows that a decision stands on may have changed. Shape: files of the log that came since; None: more
    than that.
    """

    def __init__(self, since: Sequence[str] | None) -> None:
        self.since = since


class LakeMirror:
    """The rows of one merged table."""

    def __init__(self, table: LakeTable, compaction: Compaction) -> None:
        self._table = table
        self._compaction = compaction
        self._merged = MergedRows(table)

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows, in the order of their keys. Raises: Unavailable."""
        manifest = await self._table.manifest()
        tables = self._table.layout.tables(manifest)
        keys = await self._merged.page(manifest, after + AFTER if after else b"", limit)
        page = [rows[0] for rows in keys]
        digests: list[bytes] = []
        for entity, rows in groupby(page, key=lambda row: row.entity):
            together = pa.concat_tables([row.rows for row in rows])
            digests += await in_thread(_digests, together, tables[entity])
        return [
            SinkRow(row.key, row.version, row.is_deleted, digest)
            for row, digest in zip(page, digests, strict=True)
        ]

    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        """What the digests of these rows are once they are written. Raises: Unavailable."""
        digests = [b""] * len(batch.records)
        made = await in_thread(self._tables_of, batch, await self._table.manifest())
        places = {id(record): place for place, record in enumerate(batch.records)}
        for columns, entity_rows, table in made:
            told = zip(entity_rows.records, entity_rows.ops, digests_of(table, columns), strict=True)
            for record, op, digest in told:
                if op != DELETED:
                    digests[places[id(record)]] = digest
        return digests

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """Delete what is shown below a version. Raises: Unavailable."""
        while True:
            manifest = await self._table.manifest()
            swept = await self._shown_below(manifest, first, last, below, limit)
            if not swept:
                return 0
            tables = self._table.layout.tables(manifest)
            at_us = self._table.clock.now().wall_ms * 1_000
            files = []
            for entity in sorted({row.entity for row in swept}):
                rows = pa.concat_tables([row.rows for row in swept if row.entity == entity])
                gone = tombstones_of(rows, tables[entity], tombstone, at_us)
                part = self._table.layout.log_part(tables[entity])
                data = await in_thread(partial(parquet_bytes, gone, is_sorted=False))
                files.append(EncodedFile(part, data, gone.num_rows, tables[entity]))
            write = partial(self._add, files, f"swept-{manifest.number}")
            if await self._unless_moved(manifest, {row.key for row in swept}, write):
                return len(swept)

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Compare and set. Raises: Unavailable; Refused for what can be no row."""
        mended = [False] * len(batch.records)
        for places in apart([record.key for record in batch.records]):
            records = [batch.records[place] for place in places]
            values = None if batch.values is None else [batch.values[place] for place in places]
            part = replace(batch, records=records, values=values)
            for place in await self._mend(part, [seen[place] for place in places]):
                mended[places[place]] = True
        return mended

    async def _mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[int]:
        """Mend rows of different keys. Returns: the places of those that were."""
        buckets = self._table.layout.settings.buckets
        numbers = sorted({bucket_of(record.key, buckets) for record in batch.records})
        wanted = [Wanted(place, record, seen[place]) for place, record in enumerate(batch.records)]
        while True:
            manifest = await self._table.manifest()
            made = await in_thread(self._tables_of, batch, manifest)
            grown = {columns.entity: columns for columns, _, _ in made}
            rows = {columns.entity: table for columns, _, table in made}
            edit = MendedRows(wanted, rows, {**self._table.layout.tables(manifest), **grown}, buckets)
            folded = await self._compaction.folded(manifest, edit, numbers, grown)
            write = partial(self._compaction.replace, folded)
            keys = {record.key for record in batch.records}
            if await self._unless_moved(manifest, keys, write) or not edit.mended:
                return edit.mended

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away old deletions. Raises: Unavailable."""
        while True:
            manifest = await self._table.manifest()
            edit = ForgottenRows(before_us, limit)
            folded = await self._compaction.folded(manifest, edit, range(self._table.layout.settings.buckets))
            write = partial(self._compaction.replace, folded)
            if await self._unless_moved(manifest, set(edit.keys), write) or not edit.keys:
                return len(edit.keys)

    # ---- what was read is as it was ------------------------------------------------------------------------

    async def _unless_moved(
        self,
        manifest: TableManifest,
        keys: set[bytes],
        write: Callable[[Check], Awaitable[bool]],
    ) -> bool:
        """Write, if rows of these keys are as they were in that manifest. Returns: whether they were."""
        seen = {file.name for file in log_files(self._table, manifest)}
        bases = {file.name for file in base_files(manifest)}

        def check(now: TableManifest) -> None:
            there = {file.name for file in log_files(self._table, now)}
            if {file.name for file in base_files(now)} != bases or not seen <= there:
                raise RowsMoved(None)
            if new := tuple(there - seen):
                raise RowsMoved(new)

        while True:
            try:
                return await write(check)
            except RowsMoved as moved:
                if moved.since is None:
                    return False
                now = await self._table.manifest()
                if not now.files.keys() >= set(moved.since):
                    return False  # folded already
                if await self._merged.keys_of(now, moved.since) & keys:
                    return False
                seen.update(moved.since)

    async def _add(self, files: Sequence[EncodedFile], stem: str, check: Check) -> bool:
        """Add files to the log, if the check raises nothing. Returns: not when their names are taken."""

        def plan(manifest: TableManifest) -> DeltaPart:
            check(manifest)
            return DeltaPart()

        try:
            await self._table.add_files(files, stem, plan)
        except ColumnsMoved:
            return False
        return True

    async def _shown_below(
        self, manifest: TableManifest, first: bytes, last: bytes | None, below: Version, limit: int
    ) -> list[MergedRow]:
        """Rows that are shown, in whatever entity, with first <= key < last and a version below that."""
        shown: list[MergedRow] = []
        start = first
        while len(shown) < limit:
            page = await self._merged.page(manifest, start, PAGE)
            inside = [row for rows in page for row in rows if last is None or row.key < last]
            shown += [row for row in inside if not row.is_deleted and row.version < below]
            if len(page) < PAGE or (last is not None and page[-1][0].key >= last):
                break
            start = page[-1][0].key + AFTER
        return shown[:limit]

    def _tables_of(
        self, batch: RecordBatch, manifest: TableManifest
    ) -> list[tuple[TableColumns, EntityRows, pa.Table]]:
        """A batch's rows as they would be written, by entity. Blocks. Raises: Refused."""
        layout, failures = self._table.layout, Failures()
        tables = layout.tables(manifest)
        made = list(tables_of(rows_by_entity(batch, layout, tuple(tables), failures), layout, tables))
        for failure in failures.by_place.values():
            raise Refused(failure.error)
        return made


def apart(keys: Sequence[bytes]) -> list[list[int]]:
    """Places in as few runs as have no key twice, in order.

    >>> apart([b"a", b"b", b"a", b"c"])
    [[0, 1], [2, 3]]
    """
    runs: list[list[int]] = []
    seen: set[bytes] = set()
    for place, key in enumerate(keys):
        if not runs or key in seen:
            runs.append([])
            seen = set()
        seen.add(key)
        runs[-1].append(place)
    return runs


def _digests(rows: pa.Table, columns: TableColumns) -> list[bytes]:
    return list(digests_of(rows, columns))
