"""The rows of a merged table in the order of their keys, page by page: base and log, folded.

Theory of operation: every file of the base is sorted by key, so the next rows behind a key are in one or two
of its row groups; of each bucket as many rows are taken as the page may have, the log's rows beside them, and
of all these the first ones are the page. Groups that were read stay for the next page, which asks for them
again.
Rules of this file: reads; writes nothing. Memory is bounded by `GROUPS` row groups and the log.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from msgspec import Struct

from tailrace.columns.schema import TableColumns
from tailrace.manifests.core.manifest import TableFile, TableManifest
from tailrace.manifests.run.target import outages
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.compaction import log_files
from tailrace.sinks.lake.folding import newest_rows
from tailrace.sinks.lake.layout import BASE, LOG
from tailrace.sinks.lake.parquet import ParquetFooter, read_file, read_footer
from tailrace.sinks.lake.rows import DELETED, KEY, OP, VERSION, widened_to
from tailrace.sinks.lake.table import LakeTable
from tailrace.streams.version import Version

GROUPS: Final = 64


class _SortedRows:
    """Rows in the order of their keys."""

    __slots__ = ("keys", "rows")

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.keys: list[bytes] = rows.column(KEY).to_pylist()

    def from_key(self, first: bytes, limit: int) -> pa.Table:
        """At most `limit` rows with key >= first."""
        return self.rows.slice(bisect_left(self.keys, first), limit)


class MergedRow(Struct, frozen=True):
    """The newest row of a key in an entity. Shape: `rows` is a table with that row alone."""

    key: bytes
    version: Version
    is_deleted: bool
    entity: str
    rows: pa.Table


class MergedRows:
    """The rows of one table."""

    def __init__(self, table: LakeTable) -> None:
        self._table = table
        self._footers: dict[str, ParquetFooter] = {}
        self._groups: dict[tuple[str, int], _SortedRows] = {}
        self._logs: dict[str, pa.Table] = {}
        self._folded: dict[str, tuple[tuple[str, ...], TableColumns, _SortedRows]] = {}

    async def page(self, manifest: TableManifest, first: bytes, limit: int) -> list[list[MergedRow]]:
        """The rows of the next keys >= first, at most `limit` keys, deleted rows too; a key that has left an
        entity has a row in several, the newest first. Raises: Unavailable.
        """
        self._forget(manifest)
        rows: dict[bytes, list[MergedRow]] = {}
        for entity, columns in self._table.layout.tables(manifest).items():
            for row in await self._of_entity(manifest, entity, columns, first, limit):
                rows.setdefault(row.key, []).append(row)
        for of_key in rows.values():
            of_key.sort(key=lambda row: (row.version, not row.is_deleted), reverse=True)
        return [rows[key] for key in sorted(rows)[:limit]]

    async def keys_of(self, manifest: TableManifest, names: Sequence[str]) -> set[bytes]:
        """The keys of files of the log. Raises: Unavailable."""
        keys: set[bytes] = set()
        for name in names:
            keys.update((await self._log_rows(manifest.files[name])).column(KEY).to_pylist())
        return keys

    async def _of_entity(
        self, manifest: TableManifest, entity: str, columns: TableColumns, first: bytes, limit: int
    ) -> list[MergedRow]:
        folder = self._table.layout.folder(columns)
        parts = [
            await self._behind(file, columns, first, limit)
            for file in manifest.of_part(f"{folder}/{BASE}/")
            if bytes.fromhex(file.last) >= first
        ]
        log = await self._log(manifest.of_part(f"{folder}/{LOG}"), entity, columns)
        parts.append(log.from_key(first, limit))
        rows = (await in_thread(newest_rows, parts, columns)).slice(0, limit)
        keys, versions, ops = (rows.column(name).to_pylist() for name in (KEY, VERSION, OP))
        return [
            MergedRow(
                keys[place],
                Version.from_packed(versions[place]),
                ops[place] == DELETED,
                entity,
                rows.slice(place, 1),
            )
            for place in range(rows.num_rows)
        ]

    async def _behind(self, file: TableFile, columns: TableColumns, first: bytes, limit: int) -> pa.Table:
        """At most `limit` rows of a file of the base with key >= first."""
        with outages():
            if (footer := self._footers.get(file.name)) is None:
                footer = self._footers[file.name] = await read_footer(
                    self._table.archive, file.name, file.size
                )
            parts: list[pa.Table] = []
            start = bisect_left(footer.groups, first, key=lambda one: one.last)
            for number in range(start, len(footer.groups)):
                if sum(part.num_rows for part in parts) >= limit:
                    break
                group = self._groups.pop((file.name, number), None)
                if group is None:
                    group = _SortedRows(await footer.group(self._table.archive, number))
                self._groups[file.name, number] = group
                parts.append(group.from_key(first, limit))
        while len(self._groups) > max(GROUPS, len(self._footers)):
            del self._groups[next(iter(self._groups))]
        return widened_to(pa.concat_tables(parts).slice(0, limit), columns)

    async def _log(self, files: Sequence[TableFile], entity: str, columns: TableColumns) -> _SortedRows:
        """The newest rows of the log's files."""
        names = tuple(file.name for file in files)
        there = self._folded.get(entity)
        if there is not None and there[:2] == (names, columns):
            return there[2]
        parts = [widened_to(await self._log_rows(file), columns) for file in files]
        log = _SortedRows(await in_thread(newest_rows, parts, columns))
        self._folded[entity] = (names, columns, log)
        return log

    async def _log_rows(self, file: TableFile) -> pa.Table:
        if file.name not in self._logs:
            with outages():
                self._logs[file.name] = await read_file(self._table.archive, file.name)
        return self._logs[file.name]

    def _forget(self, manifest: TableManifest) -> None:
        """Keep nothing of files that are no longer there."""
        live = manifest.files.keys()
        if self._logs.keys() - live:
            names = {file.name for file in log_files(self._table, manifest)}
            self._logs = {name: rows for name, rows in self._logs.items() if name in names}
        if self._footers.keys() - live:
            self._footers = {name: footer for name, footer in self._footers.items() if name in live}
            self._groups = {place: rows for place, rows in self._groups.items() if place[0] in live}
