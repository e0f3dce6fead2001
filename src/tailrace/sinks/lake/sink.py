"""`sinks.ParquetLake` and `sinks.ParquetLog`: Parquet files of a directory or a bucket, as a table.

Theory of operation: both write a batch as files and then a delta of the manifest, which has the shards'
positions too: so a change is there once, with its position, or not at all. A lake shows the newest row of
each item, a log every change. Compaction runs beside delivery when enough small files are there; what fails
in it is tried again at the next write, for it is no batch's fault.
Rules of this file: declarations and doors; what needs pyarrow is behind making.py, loaded at the first
`open` or question. Needs the extra `lake`, and `aws` for `s3://`. Decision 71.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tailrace.app.sinking import DONE
from tailrace.archives.names import check_name
from tailrace.archives.opening import archive_at
from tailrace.clocks.system import SystemClock
from tailrace.errors import SettingsError, TailraceError, Unavailable
from tailrace.ports import ArchiveStore, Clock, Outcome, RecordBatch, SinkRow, TargetPosition
from tailrace.sinks.aws import EVERYWHERE, AwsAccess
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.lake.layout import DAY, LakeLayout, LakeSettings, check_partitions
from tailrace.streams.version import Version

if TYPE_CHECKING:
    import pyarrow as pa

    from tailrace.columns.entities import DeclaredEntity, EntityRules
    from tailrace.manifests.core.manifest import TableManifest
    from tailrace.sinks.lake.compaction import LakeSize
    from tailrace.sinks.lake.making import LakeParts

LOG: Final = logging.getLogger("tailrace.handlers")
MOST_BUCKETS: Final = 4_096
TARGET_BYTES: Final = 128 * 1024 * 1024
CLEAN_EVERY_MS: Final = 600_000
T = TypeVar("T")


@dataclass(slots=True)
class _Lake:
    """What both have. Shape: `archive` in place of `place`, for an archive of your own."""

    place: str | Path
    table: str
    entities: "EntityRules | type[Any] | None" = None
    compact_files: int = 64
    target_bytes: int = TARGET_BYTES
    access: AwsAccess = EVERYWHERE
    archive: ArchiveStore | None = None
    _parts: "LakeParts | None" = field(default=None, init=False, repr=False, compare=False)
    _compacting: "asyncio.Task[None] | None" = field(default=None, init=False, repr=False, compare=False)
    _written: int = field(default=0, init=False, repr=False, compare=False)
    _cleaned_ms: int | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(f"{self.table}/_manifest/delta")
        if self.compact_files < 2 or self.target_bytes < 1:
            raise SettingsError(
                f"compact_files={self.compact_files}, target_bytes={self.target_bytes}: at least 2 files are "
                "compacted, to files of at least one byte"
            )
        self._checked()

    def _checked(self) -> None:
        raise NotImplementedError

    def _settings(self, rules: "EntityRules | None") -> LakeSettings:
        raise NotImplementedError

    @property
    def tells_repeats(self) -> bool:
        """Whether a repeated change has no effect: nothing that is read of it differs."""
        return True

    # ---- as a sink -----------------------------------------------------------------------------------------

    async def open(self, clock: Clock) -> None:
        """Make the table, or find it. Raises: Unavailable; SettingsError for one made with other settings."""
        if self._parts is None:
            parts = self._made(clock)
            await parts.table.open()
            self._parts = parts

    async def write(self, batch: RecordBatch) -> Outcome:
        """Add the rows of a batch, all that can be rows. Raises: Unavailable."""
        outcome = await self._opened.table.write(batch)
        self._compact_beside()
        return outcome

    def close(self) -> Awaitable[None]:
        """End the compaction that runs. What it has not swapped is as it was."""
        self._parts = None
        task, self._compacting = self._compacting, None
        if task is None or task.done():
            return DONE
        task.cancel()
        return asyncio.ensure_future(_ended(task))

    # ---- positions and sources -----------------------------------------------------------------------------

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the table has of a mapping. Raises: Unavailable."""
        return await self._opened.table.positions(mapping_id)

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard. Raises: LeaseLost, Unavailable."""
        return await self._opened.table.stamp(mapping_id, stream, shard_id, epoch)

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Add a batch and move its shard's position. Raises: LeaseLost, Unavailable."""
        outcome = await self._opened.table.commit(batch, position)
        self._compact_beside()
        return outcome

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the table have the shard through that watermark. Raises: LeaseLost, Unavailable."""
        await self._opened.table.put_position(mapping_id, position)

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is. Raises: Unavailable."""
        return await self._opened.table.sources()

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError, Unavailable."""
        await self._opened.table.keep_sources(sources)

    # ---- readers -------------------------------------------------------------------------------------------

    def files(self, entity: str | None = None) -> list[str]:
        """The files that hold an entity's rows now, as paths or `s3://` URLs. Blocks. They stay for an hour
        at least. Raises: Unavailable, SettingsError.
        """

        async def listed(parts: "LakeParts", manifest: "TableManifest") -> list[str]:
            from tailrace.sinks.lake.reading import columns_in, files_of

            columns = columns_in(parts.table, manifest, entity)
            if columns is None:
                return []
            return [self._path(file.name) for file in files_of(parts.table, manifest, columns)]

        return self._read(listed)

    def schema(self, entity: str | None = None) -> "pa.Schema":
        """What `pyarrow.dataset.dataset(files(), schema=…)` is given. Blocks. Raises: Unavailable,
        SettingsError.
        """

        async def columns_there(parts: "LakeParts", manifest: "TableManifest") -> Any:
            from tailrace.sinks.lake.reading import columns_in
            from tailrace.sinks.lake.rows import SYSTEM, reading_schema

            columns = columns_in(parts.table, manifest, entity)
            return SYSTEM if columns is None else reading_schema(columns)

        return self._read(columns_there)

    def _all_rows(self, entity: str | None, *, is_newest: bool) -> "pa.Table":
        async def rows(parts: "LakeParts", manifest: "TableManifest") -> Any:
            from tailrace.sinks.lake.reading import columns_in, rows_in
            from tailrace.sinks.lake.rows import SYSTEM

            columns = columns_in(parts.table, manifest, entity)
            if columns is None:
                return SYSTEM.empty_table()
            return await rows_in(parts.table, manifest, columns, is_newest=is_newest)

        return self._read(rows)

    def _question(self, entity: str | None, *, is_newest: bool) -> str:
        async def asked(parts: "LakeParts", manifest: "TableManifest") -> str:
            from tailrace.sinks.lake.reading import columns_in, files_of, question

            columns = columns_in(parts.table, manifest, entity)
            if columns is None:
                raise SettingsError(f"table {self.table} of the lake has no rows yet")
            files = files_of(parts.table, manifest, columns)
            return question([self._path(file.name) for file in files], columns, is_newest=is_newest)

        return self._read(asked)

    def size(self) -> "LakeSize":
        """How many files there are, and what `compact` would take. Blocks. Raises: Unavailable,
        SettingsError.
        """

        async def measured(parts: "LakeParts", _: "TableManifest") -> "LakeSize":
            return await parts.compaction.size()

        return self._read(measured)

    def compact(self) -> None:
        """Make large files of small ones, and delete what nothing names. Blocks. Raises: Unavailable."""

        async def compacted(parts: "LakeParts", _: "TableManifest") -> None:
            await parts.compaction.compact()
            await parts.compaction.clean()

        self._read(compacted)

    def _read(self, work: "Callable[[LakeParts, TableManifest], Awaitable[T]]") -> T:
        """Do something with parts of its own, which share nothing with a worker's."""
        made = self._made(SystemClock())
        from tailrace.sinks.lake.reading import run_apart

        async def run() -> T:
            manifest = await made.table.manifest()
            made.table.layout.check_made_with(manifest)
            return await work(made, manifest)

        return run_apart(run)

    # ---- parts ---------------------------------------------------------------------------------------------

    @property
    def _opened(self) -> "LakeParts":
        if self._parts is None:
            raise Unavailable(f"the lake's table {self.table} is not open")
        return self._parts

    def _made(self, clock: Clock) -> "LakeParts":
        try:
            from tailrace.sinks.lake.making import lake_parts
        except ImportError as error:
            raise missing_extra(f"sinks.{type(self).__name__}", "lake") from error
        rules, declared = _rules_of(self.entities)
        layout = LakeLayout(self.table, self._settings(rules), declared)
        return lake_parts(self._archive(), layout, clock, self.target_bytes)

    def _archive(self) -> ArchiveStore:
        if self.archive is not None:
            return self.archive
        return archive_at(str(self.place), self.access)

    def _path(self, name: str) -> str:
        return f"{str(self.place).rstrip('/')}/{name}"

    # ---- compaction beside delivery ------------------------------------------------------------------------

    def _compact_beside(self) -> None:
        self._written += 1
        if self._written >= self.compact_files and (self._compacting is None or self._compacting.done()):
            self._written = 0
            self._compacting = asyncio.ensure_future(self._compact(self._opened))

    async def _compact(self, parts: "LakeParts") -> None:
        try:
            await parts.compaction.compact(self.compact_files)
            now_ms = parts.table.clock.now().monotonic_ms
            if self._cleaned_ms is None or now_ms - self._cleaned_ms >= CLEAN_EVERY_MS:
                await parts.compaction.clean()
                self._cleaned_ms = now_ms
        except TailraceError as error:
            LOG.warning("the lake's table %s was not compacted, and will be later: %s", self.table, error)


@dataclass(slots=True)
class ParquetLake(_Lake):
    """The newest row of each item, in Parquet files.

    Shape:   `place` is a directory or `s3://bucket/prefix`, `table` the folder in it, which is the lake's
             own. Rows lie in `buckets` parts by a hash of their keys, each rewritten when changes for it are
             folded in: 16 are right to some 50 million rows, and the number stays as it was at first.
             `entities` tells the entities of a single-table design apart: a class of the table stands for all
             classes of it, each with its columns from the start; else rules (`tailrace.columns`). Changes are
             folded from `compact_files` small files on, into files of about `target_bytes`.
    """

    buckets: int = 16

    def _checked(self) -> None:
        if not 1 <= self.buckets <= MOST_BUCKETS:
            raise SettingsError(f"buckets={self.buckets}: from 1 to {MOST_BUCKETS}")

    def _settings(self, rules: "EntityRules | None") -> LakeSettings:
        return LakeSettings("merged", buckets=self.buckets, rules=rules)

    def read(self, entity: str | None = None) -> "pa.Table":
        """All rows that are shown, as one pyarrow table. Blocks. Raises: Unavailable, SettingsError."""
        return self._all_rows(entity, is_newest=True)

    def sql(self, entity: str | None = None) -> str:
        """A SELECT for DuckDB with the rows that are shown. Blocks. Raises: Unavailable, SettingsError."""
        return self._question(entity, is_newest=True)

    # ---- as a mirror ---------------------------------------------------------------------------------------

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows, in the order of their keys. Raises: Unavailable."""
        return await self._opened.mirror.rows(after, limit)

    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        """What the digests of these rows are once they are written. Raises: Unavailable, Refused."""
        return await self._opened.mirror.digests(batch)

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """Delete what is shown below a version. Raises: Unavailable."""
        return await self._opened.mirror.sweep(first, last, below, tombstone, limit)

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Compare and set. Rewrites the buckets of these rows. Raises: Unavailable, Refused."""
        return await self._opened.mirror.mend(batch, seen)

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away old deletions. Rewrites their buckets. Raises: Unavailable."""
        return await self._opened.mirror.forget(before_us, limit)


@dataclass(slots=True)
class ParquetLog(_Lake):
    """A row for each change, in Parquet files. Nothing is replaced; a reader takes the newest of an item.

    Shape:   as ParquetLake; `partition_by` names the folders: `day` of the change, and attributes.
    """

    partition_by: Sequence[str] = (DAY,)

    @property
    def takes_snapshots(self) -> bool:
        """Whether it is given rows of a scan as they are: readers take the newest of an item."""
        return True

    def _checked(self) -> None:
        self.partition_by = check_partitions(self.partition_by)

    def _settings(self, rules: "EntityRules | None") -> LakeSettings:
        return LakeSettings("log", partition_by=tuple(self.partition_by), rules=rules)

    def read(self, entity: str | None = None, *, newest: bool = False) -> "pa.Table":
        """All changes as one pyarrow table; `newest`: of each item the row that is shown. Blocks. Raises:
        Unavailable, SettingsError.
        """
        return self._all_rows(entity, is_newest=newest)

    def sql(self, entity: str | None = None, *, newest: bool = False) -> str:
        """A SELECT for DuckDB, as `read`. Blocks. Raises: Unavailable, SettingsError."""
        return self._question(entity, is_newest=newest)


def _rules_of(
    entities: "EntityRules | type[Any] | None",
) -> "tuple[EntityRules | None, Sequence[DeclaredEntity]]":
    """What tells entities apart: rules, or the classes of a class's table. Raises: SettingsError."""
    if not isinstance(entities, type):
        return entities, ()
    from tailrace.app.columns import declared_entities
    from tailrace.app.item import entity_of
    from tailrace.app.table import key_names
    from tailrace.columns.entities import EntityRules, EntitySorter

    table = entity_of(entities).table
    declared = declared_entities(table)
    rules = EntityRules(table.name, tuple(key_names(table)))
    return EntitySorter(rules, declared).rules, declared


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.wait({task})
