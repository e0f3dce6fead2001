"""The archiver: a target that owns the checkpoint, and keeps every change of every shard as it came.

Theory of operation: a batch becomes a segment, written under a name made of its shard, its range and its
bytes; then one delta of the manifest names it and moves the shard's position, from where the one before it
ended. So the manifest is the checkpoint, and a delta of a worker that has lost its lease, or of a range that
does not follow, is void to every reader. What was lost before it could be read is a gap, in the step that
passes it. A position is never taken back: what an operator sets back is read again, and what is there
already is left out.
Rules of this file: nothing is filtered, parked or given up. An archive that does not answer is an outage: the
shard waits, in words. A record that cannot be kept stops its shard. Decision 76.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.sinking import DONE
from tailrace.errors import TailraceError
from tailrace.journal.core.merkle import Frontier
from tailrace.journal.core.places import (
    BASE,
    TABLE,
    JournaledStream,
    JournaledTable,
    incarnation_folder,
    segment_name,
    shard_place,
    stream_note,
    streams_of,
    unknown_incarnation,
)
from tailrace.journal.core.records import PART_CHANGES
from tailrace.journal.run.beginning import BaseWriter
from tailrace.journal.run.opening import IncarnationJournal, check_installed, opened_journal, opened_names
from tailrace.manifests.core.manifest import CommittedPosition, DeltaPart, TableFile, TableManifest
from tailrace.manifests.run.target import (
    FilesForgotten,
    NameTaken,
    outages,
    position_of,
    with_files,
)
from tailrace.ports import (
    ArchiveStore,
    Clock,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    RecordBatch,
    TargetPosition,
    Written,
)
from tailrace.runtime.owned_positions import held, is_committed
from tailrace.runtime.threads import in_thread
from tailrace.streams.record import ChangeRecord

LOG: Final = logging.getLogger("tailrace.handlers")
WRITTEN: Final = Written()
IMAGES: Final = "NEW_AND_OLD_IMAGES"
KnownStream = Callable[[str], Awaitable[JournaledStream]]
"""Of which incarnation a stream is, by its label. Raises: SourceError, Unavailable."""


class _Moved(Exception):
    """The shard does not stand where the segment begins: make it again."""


class Archiver:
    """The journal of one table, as a worker writes it. Shape: `identify` says of which incarnation a stream
    is that the journal does not know yet; `archived` is told of each shard through which record it is there;
    `base` writes what a journal begins with.
    """

    def __init__(
        self,
        archive: ArchiveStore,
        table: JournaledTable,
        identify: KnownStream,
        clock: Clock,
        archived: Callable[[str, str, int], None] = lambda stream, shard, through: None,
        base: BaseWriter | None = None,
    ) -> None:
        self.table = table
        self._archive = archive
        self._identify = identify
        self._clock = clock
        self._archived = archived
        self._base = base
        self._writing: asyncio.Task[None] | None = None
        self._names = opened_names(archive, table, clock)
        self._streams: dict[str, JournaledStream] = {}
        self._journals: dict[str, IncarnationJournal] = {}
        self._lock = asyncio.Lock()

    # ---- as a sink -----------------------------------------------------------------------------------------

    async def open(self, clock: Clock) -> None:
        """Find what is there. Raises: Unavailable, also without the extra `history`."""
        check_installed()
        self._streams.update(streams_of(await self._names.manifest()))

    async def write(self, batch: RecordBatch) -> Outcome:
        """Refuse: a journal takes changes in sequence alone, with their positions."""
        return Failed(whole=Failure(error="a journal takes changes in the sequence of their shard alone"))

    def close(self) -> Awaitable[None]:
        """End the reading of a base; it goes on from there another time."""
        task, self._writing = self._writing, None
        if task is None or task.done():
            return DONE
        task.cancel()
        return asyncio.ensure_future(_ended(task))

    # ---- positions -----------------------------------------------------------------------------------------

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the journal has, of every incarnation of the table. Raises: Unavailable."""
        self._streams.update(streams_of(await self._names.manifest()))
        incarnations = dict.fromkeys(stream.incarnation for stream in self._streams.values())
        positions = [
            position
            for incarnation in incarnations
            for position in await self._journal(incarnation).target.positions(mapping_id)
        ]
        for position in positions:
            self._archived(position.stream, position.shard_id, position.watermark)
        return positions

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard. Raises: LeaseLost, Unavailable, SourceError."""
        journal = await self._of(stream)
        position = await journal.target.stamp(mapping_id, stream, shard_id, epoch)
        self._archived(stream, shard_id, position.watermark)
        self._base_beside(stream, journal)
        return position

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the journal have the shard through that watermark: what lies between is a gap. A lower one
        changes nothing. Raises: LeaseLost, Unavailable.
        """
        journal = await self._of(position.stream)
        place = shard_place("", position.stream, position.shard_id)

        def plan(manifest: TableManifest) -> DeltaPart | None:
            after = held(position_of(manifest, place, position), position).watermark
            if position.watermark <= after:
                return None
            gaps = position.gaps or (((after + 1, position.watermark),) if after else ())
            return DeltaPart(place, position.epoch, after, position.watermark, is_put=True, gaps=gaps)

        await journal.target.commit_plan(plan)

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Keep a batch, and move its shard's position. Raises: LeaseLost, Unavailable."""
        if batch.records and batch.stream.view_type != IMAGES:
            return Failed(
                whole=Failure(
                    FailureKind.UNAVAILABLE,
                    f"a journal needs both images, and the stream's view type is {batch.stream.view_type}: "
                    "a table with StreamViewType=NEW_AND_OLD_IMAGES has them",
                )
            )
        journal = await self._of(position.stream)
        place, salt = shard_place("", position.stream, position.shard_id), 0
        manifest = journal.target.latest or await journal.target.manifest()
        while True:
            there = manifest.positions.get(place, CommittedPosition(0))
            segment = _Segment(place, position, there, manifest.number)
            try:
                await self._commit(journal, batch.records, segment, salt)
                self._archived(position.stream, position.shard_id, position.watermark)
                self._base_beside(position.stream, journal)
                return WRITTEN
            except NameTaken:
                salt += 1
            except (FilesForgotten, _Moved):
                pass
            manifest = await journal.target.manifest()

    async def _commit(
        self, journal: IncarnationJournal, records: Sequence[ChangeRecord], segment: "_Segment", salt: int
    ) -> None:
        """Write a segment and name it. Raises: LeaseLost, Unavailable; what lets the caller begin anew."""
        fresh = records
        if records and records[0].sequence <= segment.there.through:
            fresh = [record for record in records if record.sequence > segment.there.through]
        files: tuple[TableFile, ...] = ()
        frontier = segment.frontier
        if fresh:
            from tailrace.journal.run.segments import encoded_segment

            shard = segment.position.shard_id
            encoded = await in_thread(encoded_segment, fresh, shard, frontier)
            after, through = segment.there.through, segment.position.watermark
            name = segment_name(journal.folder, shard, after, through, encoded.data, salt)
            with outages():
                await self._archive.put_if_absent(name, encoded.data)
            frontier = encoded.frontier
            files = (encoded.file(name, PART_CHANGES),)

        def plan(manifest: TableManifest) -> DeltaPart | None:
            part = segment.step(manifest)
            if part is None:
                return None
            whole = tuple(root.hex() for root in frontier.whole)
            part = replace(part, leaves=frontier.size if files else 0, frontier=whole if files else ())
            return with_files(part, files, segment.number, manifest)

        await journal.target.commit_plan(plan)

    # ---- the base ------------------------------------------------------------------------------------------

    def _base_beside(self, label: str, journal: IncarnationJournal) -> None:
        """Write the base beside delivery, if there is none and nobody here is at it."""
        manifest, is_writing = journal.target.latest, self._writing is not None and not self._writing.done()
        if self._base is None or is_writing or (manifest is not None and BASE in manifest.notes):
            return
        incarnation = self._streams[label].incarnation
        if incarnation != unknown_incarnation(label):  # of a table that is gone there is nothing to be read
            self._writing = asyncio.ensure_future(self._write_base(self._base, journal, incarnation))

    async def _write_base(self, base: BaseWriter, journal: IncarnationJournal, incarnation: str) -> None:
        try:
            await base.write(journal, incarnation)
        except TailraceError as error:
            LOG.warning("the base of %s is not written, and will be later: %s", self.table.name, error)

    # ---- sources -------------------------------------------------------------------------------------------

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is. Raises: Unavailable."""
        return await self._names.sources()

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError, Unavailable."""
        await self._names.keep_sources(sources)

    # ---- incarnations --------------------------------------------------------------------------------------

    async def _of(self, label: str) -> IncarnationJournal:
        """The journal that a stream belongs to; it is noted before anything of it is there."""
        stream = self._streams.get(label)
        if stream is not None:
            return self._journal(stream.incarnation)
        async with self._lock:
            self._streams.update(streams_of(await self._names.manifest()))
            told = msgspec.json.encode(self.table).decode()
            if label not in self._streams:
                known = await self._identify(label)

                def plan(manifest: TableManifest) -> DeltaPart | None:
                    notes = {**stream_note(known), TABLE: told}
                    return None if label in streams_of(manifest) else DeltaPart(notes=notes)

                # Another worker may have been first, and what is noted counts.
                self._streams.update(streams_of(await self._names.commit_plan(plan)))
            journal = self._journal(self._streams[label].incarnation)
            await journal.target.commit_plan(
                lambda manifest: None if TABLE in manifest.notes else DeltaPart(notes={TABLE: told})
            )
            return journal

    def _journal(self, incarnation: str) -> IncarnationJournal:
        if incarnation not in self._journals:
            folder = incarnation_folder(self.table, incarnation)
            self._journals[incarnation] = opened_journal(self._archive, folder, self._clock)
        return self._journals[incarnation]


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.wait({task})


class _Segment(Struct, frozen=True):
    """What a commit would do. Shape: `there` is where the shard stood in the manifest with that number."""

    place: str
    position: TargetPosition
    there: CommittedPosition
    number: int

    @property
    def frontier(self) -> Frontier:
        """The shard's tree before it."""
        return Frontier(self.there.leaves, tuple(bytes.fromhex(root) for root in self.there.frontier))

    def step(self, manifest: TableManifest) -> DeltaPart | None:
        """What moves the shard, before its files; None: it was done before. Raises: LeaseLost, _Moved."""
        position = position_of(manifest, self.place, self.position)
        if is_committed(position, self.position):
            return None
        after = held(position, self.position).watermark
        if after != self.there.through:
            raise _Moved
        gaps = tuple(gap for gap in self.position.gaps if gap[1] > after)
        return DeltaPart(self.place, self.position.epoch, after, self.position.watermark, gaps=gaps)
