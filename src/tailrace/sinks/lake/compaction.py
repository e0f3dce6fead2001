"""Small files → large ones, and the files that nothing names any more.

Theory of operation: a merged table has a base, some files a bucket of keys, and a log of newer changes. A
compaction folds all of the log that it has read into the buckets it is of: one delta removes the log's files
and those buckets' bases, and adds new bases. Changes that come meanwhile are other files, and stay. An *edit*
may change folded rows on the way: so rows are mended and deletions forgotten, in the delta that removes what
they came from. In a log the small files of a partition become large ones with the same rows.
Memory has so much of the log as `FOLDED_BYTES` says, and one bucket, however large the table is: what is made
is written at once, and is nothing before the delta that names it. Files of a log are joined by groups of
rows, beside the bytes of one file and of the one that is made.
What a delta has removed is kept for an hour, for readers of an older manifest, and then deleted. Files that
no delta has named (a writer died between) are retired like it: no writer can name them after that.
Rules of this file: safe to be killed between any two calls, and to be run by many at once: one of them wins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import pyarrow as pa
from msgspec import Struct

from tailrace.columns.schema import TableColumns
from tailrace.manifests.core.manifest import DeltaPart, TableFile, TableManifest, deletable
from tailrace.manifests.core.names import is_own
from tailrace.manifests.run.cleaning import clean_files, clean_manifest
from tailrace.manifests.run.target import FilesForgotten, outages
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.encoding import EncodedFile
from tailrace.sinks.lake.folding import by_bucket, newest_rows
from tailrace.sinks.lake.layout import BASE, LOG, MANIFEST
from tailrace.sinks.lake.parquet import JoinedRows, parquet_bytes, read_bytes, read_file, row_groups
from tailrace.sinks.lake.rows import KEY, schema_of, widened_to
from tailrace.sinks.lake.table import ColumnsMoved, LakeTable

TARGET_BYTES: Final = 128 * 1024 * 1024
FILES_AT_ONCE: Final = 256
"""Files of a log that are joined to one."""
FOLDED_BYTES: Final = 16 * 1024 * 1024
"""Of a merged table's log, as its files lie there, folded into the base in one go."""
BucketRows: TypeAlias = dict[str, pa.Table]
"""Of one bucket the newest rows by entity, in the order of their keys."""
Edit: TypeAlias = Callable[[int, BucketRows], BucketRows]
"""What becomes of a bucket's rows. Runs in a thread."""


class Folded(Struct, frozen=True):
    """What a compaction has made, and written. Shape: `needs` are the columns of its files, by entity;
    `number` is that of the manifest that it has read.
    """

    removed: tuple[str, ...]
    files: tuple[TableFile, ...]
    needs: Mapping[str, TableColumns]
    number: int


class LakeSize(Struct, frozen=True):
    """How many files a table has, and of what size. Shape: `small` are those that a compaction takes, `old`
    those whose hour is over. Units: bytes.
    """

    files: int
    size: int
    small: int
    small_size: int
    old: int


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
        try:
            if self._table.layout.is_merged:
                return await self._compact_merged(manifest, fewest)
            return await self._compact_log(manifest, fewest)
        finally:
            await in_thread(pa.default_memory_pool().release_unused)

    async def size(self, fewest: int = 2) -> LakeSize:
        """What there is, and what `compact` would take of it. Raises: Unavailable, SettingsError."""
        manifest = await self._table.manifest()
        if self._table.layout.is_merged:
            log = log_files(self._table, manifest)
            small = log if len(log) >= fewest else []
        else:
            small = [file for _, group, _ in self._groups(manifest, fewest) for file in group]
        return LakeSize(
            files=len(manifest.files),
            size=sum(file.size for file in manifest.files.values()),
            small=len(small),
            small_size=sum(file.size for file in small),
            old=len(deletable(manifest, self._table.clock.now().wall_ms)),
        )

    async def clean(self) -> int:
        """Retire what nothing names, and delete what was retired an hour ago. Returns: how many blobs were
        deleted. Raises: Unavailable.
        """
        table = self._table
        with outages():
            listed = await table.archive.list(f"{table.layout.table}/")
        own = [name for name in listed if is_own(name) and f"/{MANIFEST}/" not in name]

        now_ms = table.clock.now().wall_ms
        deleted = await clean_files(table, table.archive, own, now_ms)
        return deleted + await clean_manifest(table.log, table.archive, now_ms)

    # ---- merged tables -------------------------------------------------------------------------------------

    async def _compact_merged(self, manifest: TableManifest, fewest: int) -> bool:
        log = log_files(self._table, manifest)
        if len(log) < fewest:
            return False
        for piece in pieces_of(log, FOLDED_BYTES):
            if not await self.replace(await self.folded(manifest, log=piece)):
                return False
            manifest = await self._table.manifest()
        return True

    async def folded(
        self,
        manifest: TableManifest,
        edit: Edit | None = None,
        buckets: Sequence[int] = (),
        grown: Mapping[str, TableColumns] | None = None,
        log: Sequence[TableFile] | None = None,
    ) -> Folded:
        """Bases with the log in them, edited. Shape: `log` is all of it unless told; `buckets` are those that
        an edit may change, beside the log's; `grown` are columns that edited rows need. Raises: Unavailable.
        """
        table = self._table
        tables = {**table.layout.tables(manifest), **(grown or {})}
        log = log_files(table, manifest) if log is None else log
        newer = {entity: await self._by_bucket(log, columns) for entity, columns in tables.items()}
        touched = sorted({bucket for parts in newer.values() for bucket in parts} | set(buckets))
        removed, files, needs = [file.name for file in log], list[TableFile](), dict[str, TableColumns]()
        for bucket in touched:
            there: dict[str, Sequence[TableFile]] = {
                entity: manifest.of_part(table.layout.base_part(columns, bucket))
                for entity, columns in tables.items()
            }
            later = {entity: newer[entity].pop(bucket, []) for entity in tables}
            rows = {
                entity: await in_thread(
                    newest_rows, [*await self._read(there[entity], columns), *later[entity]], columns
                )
                for entity, columns in tables.items()
            }
            edited = rows if edit is None else await in_thread(edit, bucket, rows)
            for entity, columns in tables.items():
                if not later[entity] and edited[entity] is rows[entity]:
                    continue  # nothing of this entity has changed
                removed += [file.name for file in there[entity]]
                part = table.layout.base_part(columns, bucket)
                for file in await in_thread(self._encoded, part, edited[entity], columns):
                    files.append(await table.put(file, f"base-{manifest.number}"))
                    needs[entity] = columns
        return Folded(tuple(removed), tuple(files), needs, manifest.number)

    async def replace(self, folded: Folded, check: Callable[[TableManifest], None] | None = None) -> bool:
        """Swap files for what was made of them. Returns: whether it was done; not when another compaction was
        first, or an hour has passed meanwhile. Raises: what `check` raises, asked of the manifest at that
        moment; Unavailable.
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
                await self._table.name_files(folded.files, folded.needs, swap, folded.number)
        except (ColumnsMoved, FilesForgotten):
            return False
        return done

    async def _by_bucket(self, log: Sequence[TableFile], columns: TableColumns) -> dict[int, list[pa.Table]]:
        """An entity's rows in these files, in the order of the files."""
        parts: dict[int, list[pa.Table]] = {}
        own = f"{self._table.layout.folder(columns)}/{LOG}"
        for file in log:
            if file.part == own:
                (rows,) = await self._read([file], columns)
                split = await in_thread(by_bucket, rows, self._table.layout.settings.buckets)
                for bucket, part in split.items():
                    parts.setdefault(bucket, []).append(part)
        return parts

    async def _read(self, files: Sequence[TableFile], columns: TableColumns) -> list[pa.Table]:
        with outages():
            parts = [await read_file(self._table.archive, file.name) for file in files]
        return [widened_to(part, columns) for part in parts]

    def _encoded(self, part: str, rows: pa.Table, columns: TableColumns) -> list[EncodedFile]:
        """Sorted rows as files of about the target's size. Blocks."""
        if not rows.num_rows:
            return []
        data = parquet_bytes(rows, is_sorted=True)
        pieces = -(-len(data) * 2 // (3 * self._target))
        if pieces > 1 and rows.num_rows >= pieces:
            step = -(-rows.num_rows // pieces)
            cuts = [rows.slice(start, step) for start in range(0, rows.num_rows, step)]
            return [_file(part, parquet_bytes(cut, is_sorted=True), cut, columns) for cut in cuts]
        return [_file(part, data, rows, columns)]

    # ---- logs ----------------------------------------------------------------------------------------------

    async def _compact_log(self, manifest: TableManifest, fewest: int) -> bool:
        done = False
        for part, group, columns in self._groups(manifest, fewest):
            done |= await self._join(part, group, columns, manifest.number)
        return done

    def _groups(
        self, manifest: TableManifest, fewest: int
    ) -> Iterator[tuple[str, list[TableFile], TableColumns]]:
        """Files that are joined to one each, with the part that they are of and their columns."""
        for columns in self._table.layout.tables(manifest).values():
            folder = self._table.layout.folder(columns)
            of_part: dict[str, list[TableFile]] = {}
            for file in manifest.files.values():
                if file.part == folder or file.part.startswith(f"{folder}/"):
                    of_part.setdefault(file.part, []).append(file)
            for part, files in of_part.items():
                for group in groups_of(files, self._target, fewest):
                    yield part, group, columns

    async def _join(self, part: str, files: Sequence[TableFile], columns: TableColumns, number: int) -> bool:
        joined = JoinedRows(schema_of(columns))
        for file in files:
            with outages():
                data = await read_bytes(self._table.archive, file.name)
            await in_thread(_join_file, joined, data, columns)
        data = await in_thread(joined.end)
        encoded = EncodedFile(part, data, sum(file.rows for file in files), columns)
        made = await self._table.put(encoded, f"joined-{number}")
        names = tuple(file.name for file in files)
        return await self.replace(Folded(names, (made,), {columns.entity: columns}, number))


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


def pieces_of(log: Sequence[TableFile], most: int) -> Iterator[list[TableFile]]:
    """A log in pieces of so many bytes, or of one file that is larger.

    >>> log = [TableFile(str(number), "log", 1, 40) for number in range(5)]
    >>> [[file.name for file in piece] for piece in pieces_of(log, 100)]
    [['0', '1'], ['2', '3'], ['4']]
    """
    piece: list[TableFile] = []
    for file in log:
        if piece and sum(other.size for other in piece) + file.size > most:
            yield piece
            piece = []
        piece.append(file)
    if piece:
        yield piece


def _join_file(joined: JoinedRows, data: bytes, columns: TableColumns) -> None:
    for rows in row_groups(data):
        joined.add(widened_to(rows, columns))


def _file(part: str, data: bytes, rows: pa.Table, columns: TableColumns) -> EncodedFile:
    keys = rows.column(KEY)
    first, last = keys[0].as_py().hex(), keys[rows.num_rows - 1].as_py().hex()
    return EncodedFile(part, data, rows.num_rows, columns, first, last)
