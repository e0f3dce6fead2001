"""A table of Parquet files: batches become files, and count when the manifest names them.

Theory of operation: the files of a batch are written first, under names made of their shard, their range and
their bytes; then one delta names them and moves the shard's position, or, for what belongs to no position,
names them alone. Before the delta a file is nothing: a crash leaves an orphan, a repetition finds the file
there and uses it. If another writer's columns came first, the batch is put in columns again, over those.
Rules of this file: the manifest's answer is the only one; what was read before is judged again by it. An
archive that does not answer is an outage.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from tailrace.columns.kinds import widened
from tailrace.columns.schema import TableColumns
from tailrace.errors import ArchiveError, LeaseLost, Unavailable
from tailrace.leases.generation import check_kept
from tailrace.ports import ArchiveStore, Clock, Outcome, RecordBatch, TargetPosition, Written
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.encoding import EncodedFile, encoded_files, rows_by_entity
from tailrace.sinks.lake.layout import (
    COLUMNS,
    SETTINGS,
    SOURCES,
    LakeLayout,
    file_stem,
)
from tailrace.sinks.lake.log import ManifestLog
from tailrace.sinks.lake.manifest import (
    CommittedPosition,
    DeltaPart,
    TableFile,
    TableManifest,
    place_name,
    place_parts,
)
from tailrace.sinks.law import held, is_committed
from tailrace.sinks.messages import Failures

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITTEN: Final = Written()
UNPLACED: Final = "written"
"""Stands for the shard in names of files that belong to no position."""
Check: TypeAlias = Callable[[TableManifest], DeltaPart | None]
"""What a commit begins with, before its files: None when it was done before."""


class ColumnsMoved(Exception):
    """The table's columns are not those that files were made with, or a name is taken: make them again."""


class FilesForgotten(Exception):
    """Names were forgotten since the files were written: look whether they are there."""


class LakeTable:
    """One table, as its writers and readers use it. Shape: `log` is its manifest."""

    def __init__(self, archive: ArchiveStore, layout: LakeLayout, clock: Clock) -> None:
        self.archive = archive
        self.layout = layout
        self.clock = clock
        self.log = ManifestLog(archive, layout.manifest_folder, clock)
        self._latest: TableManifest | None = None

    async def open(self) -> None:
        """Make the table, or require that it was made with these settings. Raises: SettingsError,
        Unavailable.
        """
        layout = self.layout

        def plan(manifest: TableManifest) -> DeltaPart | None:
            layout.check_made_with(manifest)
            is_made = SETTINGS in manifest.notes
            return None if is_made else DeltaPart(notes={SETTINGS: layout.settings_text})

        await self.commit_plan(plan)

    async def manifest(self) -> TableManifest:
        """As it is now. Raises: Unavailable, SettingsError."""
        with outages():
            self._latest = await self.log.current()
        return self._latest

    async def commit_plan(self, plan: Check) -> TableManifest:
        """Do what a plan says. Returns: a manifest that has it. Raises: what it raises; Unavailable."""
        with outages():
            self._latest = await self.log.commit(plan)
        return self._latest

    # ---- batches -------------------------------------------------------------------------------------------

    async def write(self, batch: RecordBatch) -> Outcome:
        """Add what belongs to no position. Raises: Unavailable."""
        failures = Failures()
        if batch.records:
            sequences = [record.sequence for record in batch.records]
            stem = file_stem(UNPLACED, min(sequences), max(sequences))
            await self._add(batch, failures, stem, lambda _: DeltaPart())
        return failures.outcome

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Add a batch and move its shard's position. Raises: LeaseLost, Unavailable."""
        place = place_name(batch.mapping_id, position.stream, position.shard_id)

        def step(manifest: TableManifest) -> DeltaPart | None:
            there = position_of(manifest, place, position)
            if is_committed(there, position):
                return None
            after = held(there, position).watermark
            return DeltaPart(place, position.epoch, after, position.watermark)

        failures = Failures()
        manifest = self._latest or await self.manifest()
        there = manifest.positions.get(place, CommittedPosition(0))
        stem = file_stem(position.shard_id, there.through, position.watermark)
        await self._add(batch, failures, stem, step, is_whole=True)
        return failures.outcome

    async def _add(
        self, batch: RecordBatch, failures: Failures, stem: str, check: Check, *, is_whole: bool = False
    ) -> None:
        """Write a batch's files and name them. Shape: `is_whole` adds nothing when a record fails."""
        salt = 0
        manifest = self._latest or await self.manifest()
        while True:
            tables = self.layout.tables(manifest)
            rows = rows_by_entity(batch, self.layout, tuple(tables), failures)
            if is_whole and failures.by_place:
                return
            files = await in_thread(encoded_files, rows, self.layout, tables)
            try:
                await self.add_files(files, stem, check, salt)
                return
            except ColumnsMoved:
                salt += 1
                manifest = await self.manifest()

    async def add_files(self, encoded: Sequence[EncodedFile], stem: str, check: Check, salt: int = 0) -> None:
        """Write files and name them, in the part that a check begins. Raises: what the check raises;
        ColumnsMoved; Unavailable.
        """
        needs = {file.columns.entity: file.columns for file in encoded}
        while True:
            number = 0 if self._latest is None else self._latest.number
            files = [await self.put(file, stem, salt) for file in encoded]
            try:
                await self.name_files(files, needs, check, number)
                return
            except FilesForgotten:
                await self.manifest()

    async def name_files(
        self, files: Sequence[TableFile], needs: Mapping[str, TableColumns], check: Check, number: int
    ) -> None:
        """Name files that were written since the manifest with that number. Shape: `needs` are their columns,
        by entity. Raises: what the check raises; ColumnsMoved, FilesForgotten; Unavailable.
        """
        await self.commit_plan(partial(self._named, files, needs, check, number))

    def _named(
        self,
        files: Sequence[TableFile],
        needs: Mapping[str, TableColumns],
        check: Check,
        number: int,
        manifest: TableManifest,
    ) -> DeltaPart | None:
        """The part that names files, which were there when the manifest had that number."""
        part = check(manifest)
        if part is None:
            return None
        if any(file.name in manifest.retired for file in files):
            raise ColumnsMoved
        added = tuple(file for file in files if file.name not in manifest.files)
        if added and manifest.forgot > number:
            raise FilesForgotten
        notes = grown_columns(self.layout.tables(manifest), needs)
        part = replace(part, added=added, notes={**part.notes, **notes})
        return None if part == DeltaPart() else part

    async def put(self, file: EncodedFile, stem: str, salt: int = 0) -> TableFile:
        """Write a file's bytes, unless they are there. Raises: Unavailable."""
        name = self.layout.file_name(file.part, stem, file.data, salt)
        with outages():
            await self.archive.put_if_absent(name, file.data)
        return TableFile(name, file.part, file.rows, len(file.data), file.first, file.last)

    # ---- positions -----------------------------------------------------------------------------------------

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the table has of a mapping. Raises: Unavailable."""
        manifest = await self.manifest()
        places = ((place_parts(place), position) for place, position in manifest.positions.items())
        return [
            TargetPosition(stream, shard, position.epoch, position.through)
            for (mapping, stream, shard), position in places
            if mapping == mapping_id
        ]

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard. Raises: LeaseLost, Unavailable."""
        place = place_name(mapping_id, stream, shard_id)

        def plan(manifest: TableManifest) -> DeltaPart | None:
            there = manifest.positions.get(place)
            if there is None:
                return DeltaPart(place, epoch)
            if there.epoch > epoch:
                raise LeaseLost(f"{shard_id} was taken under epoch {there.epoch}, this is {epoch}")
            return None if there.epoch == epoch else DeltaPart(place, epoch, there.through, there.through)

        manifest = await self.commit_plan(plan)
        # A higher epoch may have come in the same delta: then nothing is committed under this one.
        return TargetPosition(stream, shard_id, epoch, manifest.positions[place].through)

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the table have the shard through that watermark. Raises: LeaseLost, Unavailable."""
        place = place_name(mapping_id, position.stream, position.shard_id)

        def plan(manifest: TableManifest) -> DeltaPart | None:
            after = held(position_of(manifest, place, position), position).watermark
            if after == position.watermark:
                return None
            return DeltaPart(place, position.epoch, after, position.watermark, is_put=True)

        await self.commit_plan(plan)

    # ---- sources -------------------------------------------------------------------------------------------

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is. Raises: Unavailable."""
        return sources_of(await self.manifest())

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError, Unavailable."""

        def plan(manifest: TableManifest) -> DeltaPart | None:
            there = sources_of(manifest)
            check_kept(f"table {self.layout.table} of the lake", there, sources)
            if sources.items() <= there.items():
                return None
            return DeltaPart(notes={SOURCES: msgspec.json.encode({**there, **sources}).decode()})

        await self.commit_plan(plan)


def position_of(manifest: TableManifest, place: str, position: TargetPosition) -> TargetPosition | None:
    """What a table has of the shard of this position; None: it was never taken."""
    there = manifest.positions.get(place)
    if there is None:
        return None
    return TargetPosition(position.stream, position.shard_id, there.epoch, there.through)


def sources_of(manifest: TableManifest) -> dict[str, int]:
    """The sources that a manifest notes."""
    return msgspec.json.decode(manifest.notes.get(SOURCES, "{}"), type=dict[str, int])


def grown_columns(there: Mapping[str, TableColumns], needs: Mapping[str, TableColumns]) -> dict[str, str]:
    """What to note so that a table has these columns. Raises: ColumnsMoved when they do not fit beside those
    that are there.
    """
    notes = {}
    for entity, mine in needs.items():
        its = there.get(entity)
        if its == mine:
            continue
        merged = mine if its is None else its.merged(mine)
        if merged.name != mine.name:
            raise ColumnsMoved
        for column in mine.columns:
            beside = merged.column(column.attribute)
            fits = beside is not None and widened(column.kind, beside.kind) == beside.kind
            if beside is None or beside.name != column.name or not fits:
                raise ColumnsMoved
        if its is None and any(other.name == mine.name for other in there.values()):
            raise ColumnsMoved
        if merged != its:
            notes[f"{COLUMNS}{entity}"] = merged.as_json()
    return notes


@contextmanager
def outages() -> "Iterator[None]":
    """What an archive raises as sinks say it."""
    try:
        yield
    except ArchiveError as error:
        raise Unavailable(
            str(error.args[0]), hint=error.hint, retry_after=error.retry_after_ms / 1_000
        ) from error
