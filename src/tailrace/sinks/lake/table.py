"""A table of Parquet files: batches become files, and count when the manifest names them.

Theory of operation: the files of a batch are written first, under names made of their shard, their range and
their bytes; then one delta names them and moves the shard's position, or, for what belongs to no position,
names them alone. Before the delta a file is nothing: a crash leaves an orphan, a repetition finds the file
there and uses it. If another writer's columns came first, the batch is put in columns again, over those.
Rules of this file: the manifest's answer is the only one; what was read before is judged again by it. An
archive that does not answer is an outage.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from tailrace.columns.kinds import widened
from tailrace.columns.schema import TableColumns
from tailrace.manifests.core.manifest import (
    CommittedPosition,
    DeltaPart,
    TableFile,
    TableManifest,
)
from tailrace.manifests.core.names import file_stem
from tailrace.manifests.run.log import ManifestLog, Plan
from tailrace.manifests.run.target import FilesForgotten, ManifestTarget, NameTaken, outages, with_files
from tailrace.ports import ArchiveStore, Clock, Outcome, RecordBatch, TargetPosition, Written
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.encoding import EncodedFile, encoded_files, rows_by_entity
from tailrace.sinks.lake.layout import (
    COLUMNS,
    SETTINGS,
    LakeLayout,
)
from tailrace.sinks.messages import Failures

WRITTEN: Final = Written()
UNPLACED: Final = "written"
"""Stands for the shard in names of files that belong to no position."""


class ColumnsMoved(Exception):
    """The table's columns are not those that files were made with, or a name is taken: make them again."""


class LakeTable(ManifestTarget):
    """One table, as its writers and readers use it. Shape: `log` is its manifest."""

    def __init__(self, archive: ArchiveStore, layout: LakeLayout, clock: Clock) -> None:
        self.archive = archive
        self.layout = layout
        self.clock = clock
        super().__init__(
            ManifestLog(archive, layout.manifest_folder, clock), f"table {layout.table} of the lake"
        )

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
        place = self.place_of(batch.mapping_id, position.stream, position.shard_id)
        step = partial(self.step, batch.mapping_id, position)
        failures = Failures()
        manifest = self.latest or await self.manifest()
        there = manifest.positions.get(place, CommittedPosition(0))
        stem = file_stem(position.shard_id, there.through, position.watermark)
        await self._add(batch, failures, stem, step, is_whole=True)
        return failures.outcome

    async def _add(
        self, batch: RecordBatch, failures: Failures, stem: str, check: Plan, *, is_whole: bool = False
    ) -> None:
        """Write a batch's files and name them. Shape: `is_whole` adds nothing when a record fails."""
        salt = 0
        manifest = self.latest or await self.manifest()
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

    async def add_files(self, encoded: Sequence[EncodedFile], stem: str, check: Plan, salt: int = 0) -> None:
        """Write files and name them, in the part that a check begins. Raises: what the check raises;
        ColumnsMoved; Unavailable.
        """
        needs = {file.columns.entity: file.columns for file in encoded}
        while True:
            number = 0 if self.latest is None else self.latest.number
            files = [await self.put(file, stem, salt) for file in encoded]
            try:
                await self.name_files(files, needs, check, number)
                return
            except FilesForgotten:
                await self.manifest()

    async def name_files(
        self, files: Sequence[TableFile], needs: Mapping[str, TableColumns], check: Plan, number: int
    ) -> None:
        """Name files that were written since the manifest with that number. Shape: `needs` are their columns,
        by entity. Raises: what the check raises; ColumnsMoved, FilesForgotten; Unavailable.
        """
        await self.commit_plan(partial(self._named, files, needs, check, number))

    def _named(
        self,
        files: Sequence[TableFile],
        needs: Mapping[str, TableColumns],
        check: Plan,
        number: int,
        manifest: TableManifest,
    ) -> DeltaPart | None:
        """The part that names files, which were there when the manifest had that number."""
        part = check(manifest)
        if part is None:
            return None
        try:
            part = with_files(part, files, number, manifest)
        except NameTaken as error:
            raise ColumnsMoved from error
        notes = grown_columns(self.layout.tables(manifest), needs)
        part = replace(part, notes={**part.notes, **notes})
        return None if part == DeltaPart() else part

    async def put(self, file: EncodedFile, stem: str, salt: int = 0) -> TableFile:
        """Write a file's bytes, unless they are there. Raises: Unavailable."""
        name = self.layout.file_name(file.part, stem, file.data, salt)
        with outages():
            await self.archive.put_if_absent(name, file.data)
        return TableFile(name, file.part, file.rows, len(file.data), file.first, file.last)


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
