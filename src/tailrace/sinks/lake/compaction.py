"""Small files → large ones, and the files that nothing names any more.

Theory of operation: a merged table has a base, some files a bucket of keys, and a log of newer changes. A
compaction folds all of the log that it has read into the buckets it is of: one delta removes the log's files
and those buckets' bases, and adds new bases. Changes that come meanwhile are other files, and stay. An *edit*
may change folded rows on the way: so rows are mended and deletions forgotten, in the delta that removes what
they came from. In a log the small files of a partition become large ones with the same rows.
What a delta has removed is kept for an hour, for readers of an older manifest, and then deleted. Files that
no delta has named (a writer died between) are retired like it: no writer can name them after that.
Rules of this file: safe to be killed between any two calls, and to be run by many at once: one of them wins.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import pyarrow as pa
from msgspec import Struct

from tailrace.columns.schema import TableColumns
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.encoding import EncodedFile
from tailrace.sinks.lake.folding import by_bucket, newest_rows
from tailrace.sinks.lake.layout import BASE, LOG, MANIFEST
from tailrace.sinks.lake.manifest import DeltaPart, TableFile, TableManifest, deletable, unnamed
from tailrace.sinks.lake.parquet import parquet_bytes, read_file
from tailrace.sinks.lake.rows import KEY, widened_to
from tailrace.sinks.lake.table import ColumnsMoved, LakeTable, outages

TARGET_BYTES: Final = 128 * 1024 * 1024
FILES_AT_ONCE: Final = 256
"""Files of a log that one compaction reads."""
OWN_NAMES: Final = re.compile(r"-[0-9a-f]{16}(-\d+)?\.parquet$")
"""Files that a lake has written: no other is ever deleted."""
BucketRows: TypeAlias = dict[str, pa.Table]
"""Of one bucket the newest rows by entity, in the order of their keys."""
Edit: TypeAlias = Callable[[int, BucketRows], BucketRows]
"""What becomes of a bucket's rows. Runs in a thread."""


class Folded(Struct, frozen=True):
    """What a compaction has made. Shape: `log` are the names of the files of the log that it has read."""

    removed: tuple[str, ...]
    files: tuple[EncodedFile, ...]
    log: frozenset[str]
    stem: str


class Compaction:
    """The compaction of one table."""

    def __init__(self, table: LakeTable, target_bytes: int = TARGET_BYTES) -> None:
        self._table = table
        self._target = target_bytes

    async def compact(self, fewest: int = 2) -> bool:
        """Make large files of small ones, where there are so many. Returns: whether that was done here.
        Raises: Unavailable.
        """
        manifest = await self._table.manifest()
        if not self._table.layout.is_merged:
            return await self._compact_log(manifest, fewest)
        if len(log_files(self._table, manifest)) < fewest:
            return False
        return await self.replace(await self.folded(manifest))

    async def clean(self) -> int:
        """Retire what nothing names, and delete what was retired an hour ago. Returns: how many blobs were
        deleted. Raises: Unavailable.
        """
        table = self._table
        with outages():
            listed = await table.archive.list(f"{table.layout.table}/")
        own = [name for name in listed if OWN_NAMES.search(name) and f"/{MANIFEST}/" not in name]

        def retire(manifest: TableManifest) -> DeltaPart | None:
            names = unnamed(manifest, own)
            return DeltaPart(retired=names) if names else None

        manifest = await table.commit_plan(retire)
        now_ms = table.clock.now().wall_ms
        names = deletable(manifest, now_ms)
        with outages():
            for name in names:
                await table.archive.delete(name)
        if names:

            def forget(manifest: TableManifest) -> DeltaPart | None:
                still = tuple(name for name in names if name in manifest.retired)
                return DeltaPart(forgotten=still) if still else None

            await table.commit_plan(forget)
        return len(names) + await self._clean_manifest(now_ms)

    # ---- merged tables -------------------------------------------------------------------------------------

    async def folded(
        self,
        manifest: TableManifest,
        edit: Edit | None = None,
        buckets: Sequence[int] = (),
        grown: Mapping[str, TableColumns] | None = None,
    ) -> Folded:
        """Bases with all of the log in them, edited. Shape: `buckets` are those that an edit may change,
        beside the log's; `grown` are columns that edited rows need. Raises: Unavailable.
        """
        table = self._table
        tables = {**table.layout.tables(manifest), **(grown or {})}
        log = log_files(table, manifest)
        newer: dict[str, dict[int, pa.Table]] = {}
        for entity, columns in tables.items():
            of_entity = manifest.of_part(f"{table.layout.folder(columns)}/{LOG}")
            newer[entity] = await self._by_bucket(of_entity, columns)
        touched = sorted({bucket for parts in newer.values() for bucket in parts} | set(buckets))
        removed, files = [file.name for file in log], []
        for bucket in touched:
            there: dict[str, Sequence[TableFile]] = {
                entity: manifest.of_part(table.layout.base_part(columns, bucket))
                for entity, columns in tables.items()
            }
            rows = {
                entity: await in_thread(
                    newest_rows,
                    [*await self._read(there[entity], columns), *_one(newer[entity].get(bucket))],
                    columns,
                )
                for entity, columns in tables.items()
            }
            edited = rows if edit is None else await in_thread(edit, bucket, rows)
            for entity, columns in tables.items():
                if bucket not in newer[entity] and edited[entity] is rows[entity]:
                    continue  # nothing of this entity has changed
                removed += [file.name for file in there[entity]]
                part = table.layout.base_part(columns, bucket)
                files += await in_thread(self._encoded, part, edited[entity], columns, True)
        names = frozenset(file.name for file in log)
        return Folded(tuple(removed), tuple(files), names, f"base-{manifest.number}")

    async def replace(self, folded: Folded, check: Callable[[TableManifest], None] | None = None) -> bool:
        """Swap files for what was made of them. Returns: whether it was done; not when another compaction was
        first. Raises: what `check` raises, asked of the manifest at that moment; Unavailable.
        """
        done = not folded.removed and not folded.files

        def swap(manifest: TableManifest) -> DeltaPart | None:
            nonlocal done
            if check is not None:
                check(manifest)
            done = all(name in manifest.files for name in folded.removed)
            return DeltaPart(removed=folded.removed) if done else None

        try:
            if not done:
                await self._table.add_files(folded.files, folded.stem, swap)
        except ColumnsMoved:
            return False
        return done

    async def _by_bucket(self, files: Sequence[TableFile], columns: TableColumns) -> dict[int, pa.Table]:
        parts = await self._read(files, columns)
        if not parts:
            return {}
        return await in_thread(by_bucket, pa.concat_tables(parts), self._table.layout.settings.buckets)

    async def _read(self, files: Sequence[TableFile], columns: TableColumns) -> list[pa.Table]:
        with outages():
            parts = [await read_file(self._table.archive, file.name) for file in files]
        return [widened_to(part, columns) for part in parts]

    def _encoded(
        self, part: str, rows: pa.Table, columns: TableColumns, is_sorted: bool
    ) -> list[EncodedFile]:
        """Rows as files of about the target's size. Blocks."""
        if not rows.num_rows:
            return []
        data = parquet_bytes(rows, is_sorted=is_sorted)
        pieces = -(-len(data) * 2 // (3 * self._target))
        if pieces > 1 and rows.num_rows >= pieces:
            step = -(-rows.num_rows // pieces)
            cuts = [rows.slice(start, step) for start in range(0, rows.num_rows, step)]
            return [
                _file(part, parquet_bytes(cut, is_sorted=is_sorted), cut, columns, is_sorted) for cut in cuts
            ]
        return [_file(part, data, rows, columns, is_sorted)]

    # ---- logs ----------------------------------------------------------------------------------------------

    async def _compact_log(self, manifest: TableManifest, fewest: int) -> bool:
        done = False
        for columns in self._table.layout.tables(manifest).values():
            folder = self._table.layout.folder(columns)
            of_part: dict[str, list[TableFile]] = {}
            for file in manifest.files.values():
                if file.part == folder or file.part.startswith(f"{folder}/"):
                    of_part.setdefault(file.part, []).append(file)
            for part, files in of_part.items():
                for group in groups_of(files, self._target, fewest):
                    done |= await self._join(part, group, columns, manifest.number)
        return done

    async def _join(self, part: str, files: Sequence[TableFile], columns: TableColumns, number: int) -> bool:
        parts = await self._read(files, columns)
        encoded = await in_thread(self._encoded, part, pa.concat_tables(parts), columns, False)
        names = tuple(file.name for file in files)
        return await self.replace(Folded(names, tuple(encoded), frozenset(names), f"joined-{number}"))

    async def _clean_manifest(self, now_ms: int) -> int:
        """Delete deltas that a whole manifest has folded an hour ago, and whole ones before that."""
        table = self._table
        with outages():
            old = await table.log.old_fulls(now_ms)
            if not old:
                return 0
            newest = max(number for number, _ in old)
            names = [
                *await table.log.deltas_below(newest),
                *(name for number, name in old if number < newest),
            ]
            for name in names:
                await table.archive.delete(name)
        return len(names)


def log_files(table: LakeTable, manifest: TableManifest) -> list[TableFile]:
    """The files of a merged table that no compaction has folded yet."""
    return [file for file in manifest.files.values() if file.part.endswith(f"/{LOG}")]


def base_files(manifest: TableManifest) -> list[TableFile]:
    """The files of a merged table that compactions have made."""
    return [file for file in manifest.files.values() if f"/{BASE}/" in file.part]


def groups_of(files: Sequence[TableFile], target: int, fewest: int) -> Iterator[list[TableFile]]:
    """Small files that are joined to one each, none with fewer than so many.

    >>> small = [TableFile(str(number), "data", 1, 40) for number in range(5)]
    >>> [[file.name for file in group] for group in groups_of(small, 100, 2)]
    [['0', '1', '2'], ['3', '4']]
    """
    group: list[TableFile] = []
    size = 0
    for file in files:
        if 2 * file.size > target:
            continue
        group.append(file)
        size += file.size
        if size >= target or len(group) == FILES_AT_ONCE:
            yield from [group] if len(group) >= fewest else []
            group, size = [], 0
    if len(group) >= max(2, fewest):
        yield group


def _one(rows: pa.Table | None) -> list[pa.Table]:
    return [] if rows is None else [rows]


def _file(part: str, data: bytes, rows: pa.Table, columns: TableColumns, is_sorted: bool) -> EncodedFile:
    if not is_sorted:
        return EncodedFile(part, data, rows.num_rows, columns)
    keys = rows.column(KEY)
    first, last = keys[0].as_py().hex(), keys[rows.num_rows - 1].as_py().hex()
    return EncodedFile(part, data, rows.num_rows, columns, first, last)
