"""Planted bugs of journals, each of which some world notices.

Rules of this file: as in test_canaries_of_snapshots.py: the production code is patched, and the first seed
that notices is looked for among a bounded number. A seed counts that holds without the bug.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.app import declaring
from tailrace.archives import MemoryArchive
from tailrace.archives.names import tag_of
from tailrace.errors import Unavailable
from tailrace.journal.core.places import SEGMENTS
from tailrace.journal.core.records import PART_CHANGES
from tailrace.journal.run import archiver, merging, segments
from tailrace.journal.run.archiver import Archiver
from tailrace.journal.run.reading import JournalReader, JournalView
from tailrace.journal.run.segments import EncodedSegment
from tailrace.manifests.core import manifest as law
from tailrace.manifests.core.manifest import DeltaPart, TableFile
from tailrace.manifests.run.target import ManifestTarget
from tailrace.mapping.settings import MappingSettings
from tailrace.ports import ArchiveStore, Failed, Failure, Outcome, RecordBatch, TargetPosition
from tailrace.streams.record import ChangeRecord
from tests.simulation.journal_worlds import run_world
from tests.simulation.seeds import seeds_for

Plant = Callable[[pytest.MonkeyPatch], None]
SEEDS = 400


def a_range_is_lost(patch: pytest.MonkeyPatch) -> None:
    """The first change of a batch is left out, and its position is passed."""
    right = Archiver.commit

    async def wrong(self: Archiver, batch: RecordBatch, position: TargetPosition) -> Outcome:
        return await right(self, replace(batch, records=batch.records[1:]), position)

    patch.setattr(Archiver, "commit", wrong)


def a_range_is_doubled(patch: pytest.MonkeyPatch) -> None:
    """A merge reads one of its segments twice."""
    right = merging.SortedSegments

    def wrong(paths: Sequence[str], *said: Any) -> Any:
        return right([*paths, paths[-1]], *said)

    patch.setattr(merging, "SortedSegments", wrong)


def what_is_parked_never_reaches_it(patch: pytest.MonkeyPatch) -> None:
    """An archive that is away has refused the changes, and what is refused is passed over."""
    right, settings = Archiver.commit, declaring.archive_settings

    async def wrong(self: Archiver, batch: RecordBatch, position: TargetPosition) -> Outcome:
        try:
            return await right(self, batch, position)
        except Unavailable as error:
            return Failed(whole=Failure(error=str(error)))

    def lenient(*said: Any) -> MappingSettings:
        return replace(settings(*said), on_failure="discard", maximum_retry_attempts=1)

    patch.setattr(Archiver, "commit", wrong)
    patch.setattr(declaring, "archive_settings", lenient)


def an_old_image_is_wrong(patch: pytest.MonkeyPatch) -> None:
    """A modification has its new image twice."""
    right = segments.encoded_segment

    def altered(record: ChangeRecord) -> ChangeRecord:
        return replace(record, old=record.new) if record.event_name == "MODIFY" else record

    def wrong(records: Sequence[ChangeRecord], *said: Any) -> EncodedSegment:
        return right([altered(record) for record in records], *said)

    patch.setattr(segments, "encoded_segment", wrong)


def an_orphan_is_read(patch: pytest.MonkeyPatch) -> None:
    """Readers take every segment that lies there."""
    right = JournalReader.view_of

    async def wrong(self: JournalReader, incarnation: str) -> JournalView:
        view = await right(self, incarnation)
        names = await self._archive.list(f"{view.folder}/{SEGMENTS}/")
        orphans = [name for name in names if name not in view.manifest.files and "/base-" not in name]
        files = {name: TableFile(name, PART_CHANGES, 0, 0) for name in orphans}
        manifest = replace(view.manifest, files={**view.manifest.files, **files})
        return JournalView(view.folder, manifest, view._local)

    patch.setattr(JournalReader, "view_of", wrong)


def a_stale_owners_delta_counts(patch: pytest.MonkeyPatch) -> None:
    """Whoever has had a shard moves it from where it knew it to be, whoever has it now."""
    right = archiver._Segment

    def believing(place: str, position: TargetPosition, there: Any, number: int) -> Any:
        return right(place, position, replace(there, through=position.after), number)

    patch.setattr(archiver, "_Segment", believing)
    patch.setattr(archiver, "is_committed", lambda there, position: False)
    patch.setattr(archiver, "held", lambda there, position: replace(position, watermark=position.after))
    patch.setattr(law, "_step_reason", lambda manifest, part: "")


def two_write_one_number(patch: pytest.MonkeyPatch) -> None:
    """The archive takes a delta although its number is taken."""
    right = MemoryArchive.put_if_absent

    async def wrong(self: MemoryArchive, name: str, data: bytes) -> str | None:
        if "/delta/" not in name:
            return await right(self, name, data)
        self._blobs[name] = data
        return tag_of(data)

    patch.setattr(MemoryArchive, "put_if_absent", wrong)


def a_clean_up_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """What no delta has named yet is deleted at once."""

    async def wrong(target: ManifestTarget, archive: ArchiveStore, own: Sequence[str], now_ms: int) -> int:
        names = law.unnamed(await target.manifest(), own)
        for name in names:
            await archive.delete(name)
        return len(names)

    patch.setattr(merging, "clean_files", wrong)


def a_merge_loses_a_change(patch: pytest.MonkeyPatch) -> None:
    """A merged segment lacks its last row."""
    right = merging.SortedSegments.next

    def wrong(self: Any) -> bytes | None:
        data = right(self)
        rows = None if data is None else segments.segment_rows("merged", data)
        if rows is None or rows.num_rows < 2:
            return data
        return segments.segment_bytes(rows.slice(0, rows.num_rows - 1), 1_000)

    patch.setattr(merging.SortedSegments, "next", wrong)


def a_position_that_is_put_back_is_taken(patch: pytest.MonkeyPatch) -> None:
    """A worker that begins again begins at the beginning, and keeps what it reads."""
    right, stamp = archiver._Segment, Archiver.stamp

    async def wrong(self: Archiver, mapping_id: str, stream: str, shard_id: str, epoch: int) -> Any:
        return replace(await stamp(self, mapping_id, stream, shard_id, epoch), watermark=0)

    def believing(place: str, position: TargetPosition, there: Any, number: int) -> Any:
        return right(place, position, replace(there, through=position.after), number)

    def step(self: Any, manifest: Any) -> DeltaPart | None:
        after = self.position.after
        return DeltaPart(self.place, self.position.epoch, after, self.position.watermark)

    patch.setattr(Archiver, "stamp", wrong)
    patch.setattr(right, "step", step)
    patch.setattr(archiver, "_Segment", believing)
    patch.setattr(law, "_step_reason", lambda manifest, part: "")


CANARIES: Sequence[Plant] = [
    a_range_is_lost,
    a_range_is_doubled,
    what_is_parked_never_reaches_it,
    an_old_image_is_wrong,
    an_orphan_is_read,
    a_stale_owners_delta_counts,
    two_write_one_number,
    a_clean_up_does_not_wait,
    a_merge_loses_a_change,
    a_position_that_is_put_back_is_taken,
]


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_a_planted_bug_is_noticed(plant: Plant) -> None:
    assert any(_shows(seed, plant) for seed in seeds_for(plant, range(SEEDS))), "no world has noticed it"


def _shows(seed: int, plant: Plant) -> bool:
    """Whether it goes wrong with the bug, and holds without it: what is wrong anyway shows nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        differs = bool(run_world(seed).wrong)
    return differs and not run_world(seed).wrong
