"""Planted bugs of snapshots, each of which some world notices.

Rules of this file: as in test_canaries.py, the production code is patched, and the first seed that notices is
looked for among a bounded number. A seed counts that holds without the bug.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from tailrace.app.filtering import StateFilter
from tailrace.exports.core import chain
from tailrace.leases.generation import Generations
from tailrace.ports import Mirror
from tailrace.sinks.law import newest
from tailrace.snapshots.core.due import due
from tailrace.snapshots.core.horizon import TellingSince
from tailrace.snapshots.core.pages import Piece, ScannedPage
from tailrace.snapshots.core.snapshot import WHOLE, Snapshot, WantedSnapshot, begun
from tailrace.snapshots.run import forgetting, snapshotter
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.rows import SnapshotClaim
from tailrace.sources import export_scan
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.testing import mirrors
from tests.simulation.seeds import seeds_for
from tests.simulation.snapshot_table import SimulatedScan
from tests.simulation.snapshot_worlds import run_world

Plant = Callable[[pytest.MonkeyPatch], None]
SEEDS = 1_000


def a_scan_row_overwrites_a_change(patch: pytest.MonkeyPatch) -> None:
    """Rows of a scan are as new as what follows it."""

    def wrong(self: Snapshot, position: int | None, generation: int, as_of_us: int) -> Version:
        return Version(generation, as_of_us if position is None else position + 1_000)

    patch.setattr(Snapshot, "version", wrong)


def a_tombstone_is_forgotten_too_early(patch: pytest.MonkeyPatch) -> None:
    """Deletions go at once."""
    patch.setattr(forgetting, "forget_before", lambda now_ms, *_: now_ms)


def positions_are_taken_after_the_first_page(patch: pytest.MonkeyPatch) -> None:
    """The first page is as it was before the reset."""
    right = SimulatedScan.page

    async def wrong(
        self: Any, table: str, piece: Piece, after: Mapping[str, Any] | None, limit: int | None = None
    ) -> ScannedPage:
        if limit == 1:
            self.before = await right(self, table, Piece(segment=(0, 1)), None)
        elif after is None and piece.segment in (None, (0, 1)) and getattr(self, "before", None) is not None:
            before: ScannedPage = self.before
            self.before = None
            return before
        return await right(self, table, piece, after, limit)

    patch.setattr(SimulatedScan, "page", wrong)


def a_gap_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """What was lost makes no snapshot due."""
    patch.setattr(snapshotter, "due", lambda wanted, snapshot, stream, _: due(wanted, snapshot, stream, []))


def a_bare_sequence_is_compared_across_streams(patch: pytest.MonkeyPatch) -> None:
    """The generation counts for nothing."""
    patch.setattr(
        mirrors, "applies", lambda version, there: there is None or version.sequence > there.sequence
    )


def a_reset_has_no_new_generation(patch: pytest.MonkeyPatch) -> None:
    """What follows a reset keeps the number of its stream."""
    patch.setattr(Generations, "of_record", lambda self, label, shard_id, sequence: self.of(label))


def keys_that_a_scan_has_not_seen_are_not_swept(patch: pytest.MonkeyPatch) -> None:
    """Nothing is deleted at the end."""

    async def wrong(claim: SnapshotClaim, mirror: Mirror | None, *_: Any) -> None:
        await claim.save(lambda snapshot: snapshot.with_swept(0, is_last=True))

    patch.setattr(snapshotter, "sweep", wrong)


def a_stream_that_was_off_is_taken_as_continuous(patch: pytest.MonkeyPatch) -> None:
    """Another stream makes no snapshot due."""

    def wrong(wanted: Any, snapshot: Any, stream: Any, gaps: Sequence[str]) -> Any:
        return due(wanted, snapshot, None if snapshot is None else snapshot.stream, gaps)

    patch.setattr(snapshotter, "due", wrong)


def a_reader_numbers_by_an_old_row(patch: pytest.MonkeyPatch) -> None:
    """The scan waits for no acknowledgement."""

    async def wrong(*_: Any) -> list[str]:
        return []

    patch.setattr(TableNumbering, "unaware", wrong)


def what_is_swept_may_come_back(patch: pytest.MonkeyPatch) -> None:
    """The sweep does not wait for changes of before it."""

    async def wrong(*_: Any) -> bool:
        return True

    patch.setattr(snapshotter, "is_settled_below", wrong)


def what_is_parked_may_come_back(patch: pytest.MonkeyPatch) -> None:
    """An item that is gone and has a parked change gets no deletion."""

    async def wrong(*_: Any) -> Any:
        for nothing in ():
            yield nothing

    patch.setattr(snapshotter, "deletions_below", wrong)


def an_incremental_export_is_refused_though_it_joins(patch: pytest.MonkeyPatch) -> None:
    """A full export alone may be read."""
    patch.setattr(chain, "_joins", lambda end_us, export: False)


def an_incremental_export_is_as_old_as_the_full_one(patch: pytest.MonkeyPatch) -> None:
    """What it says loses against what was before it."""
    right = export_scan._scanned

    def wrong(schema: Any, summary: Any, exported: Any) -> Any:
        return structs.replace(right(schema, summary, exported), written_us=1_000_000)

    patch.setattr(export_scan, "_scanned", wrong)


def the_full_export_is_newer_than_what_follows_it(patch: pytest.MonkeyPatch) -> None:
    """Exports are read, and their rows ordered, from the last to the first."""
    right = export_scan._scanned

    def wrong(schema: Any, summary: Any, exported: Any) -> Any:
        item = right(schema, summary, exported)
        return structs.replace(item, written_us=10**16 - item.written_us)

    patch.setattr(export_scan, "_scanned", wrong)


def exports_that_are_too_old_are_accepted(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks how far the stream reaches back."""
    patch.setattr(TellingSince, "needed_us", 0)


def an_item_that_leaves_the_filter_stays(patch: pytest.MonkeyPatch) -> None:
    """A change to what the filter does not want is no mirror's business."""
    patch.setattr(StateFilter, "_has_fitted", lambda self, record: False)


def a_stream_that_cannot_be_listed_is_off(patch: pytest.MonkeyPatch) -> None:
    """Nobody reads what was not listed."""

    async def wrong(self: TableNumbering, table: str) -> Any:
        return await self.listing(table)

    patch.setattr(TableNumbering, "streams", wrong)


def a_part_stands_for_the_whole_table(patch: pytest.MonkeyPatch) -> None:
    """It fills gaps, and is of the present stream, as if it were of all items."""

    def wrong(wanted: WantedSnapshot, *arguments: Any) -> Snapshot:
        whole = begun(structs.replace(wanted, part=WHOLE), *arguments)
        return structs.replace(whole, part=wanted.part)

    patch.setattr(snapshotter, "begun", wrong)


def a_part_sweeps_all(patch: pytest.MonkeyPatch) -> None:
    """What is not of the part was not seen, and is deleted."""
    right = mirrors.MirrorMemory.sweep

    async def wrong(self: Any, first: bytes, last: bytes | None, *arguments: Any) -> int:
        return await right(self, b"", None, *arguments)

    patch.setattr(mirrors.MirrorMemory, "sweep", wrong)


def what_expires_is_not_deleted(patch: pytest.MonkeyPatch) -> None:
    """A deletion by the service is no change."""

    def wrong(records: Sequence[ChangeRecord]) -> list[int]:
        return [place for place in newest(records) if not records[place].by_ttl]

    patch.setattr(mirrors, "newest", wrong)


def what_has_expired_is_not_read(patch: pytest.MonkeyPatch) -> None:
    """An item whose time is over is gone for a scan, although the service has not deleted it."""
    right = SimulatedScan.page

    async def wrong(self: SimulatedScan, *arguments: Any) -> ScannedPage:
        page = await right(self, *arguments)
        there = [item for item in page.items if not self.table.has_expired(item.image)]
        return structs.replace(page, items=there)

    patch.setattr(SimulatedScan, "page", wrong)


def a_change_that_is_delivered_again_is_new(patch: pytest.MonkeyPatch) -> None:
    """A position that was set back takes its changes over the reset that came after them."""
    patch.setattr(Generations, "of_record", lambda self, *_: self.newest)


def acknowledgements_are_taken_from_who_waits_for_them(patch: pytest.MonkeyPatch) -> None:
    """A snapshot that is done leaves none of another mapping's."""

    async def wrong(*_: Any) -> bool:
        return False

    patch.setattr(TableNumbering, "_is_waited_for", wrong)


CANARIES: Sequence[Plant] = [
    a_scan_row_overwrites_a_change,
    a_tombstone_is_forgotten_too_early,
    positions_are_taken_after_the_first_page,
    a_gap_is_ignored,
    a_bare_sequence_is_compared_across_streams,
    a_reset_has_no_new_generation,
    keys_that_a_scan_has_not_seen_are_not_swept,
    a_stream_that_was_off_is_taken_as_continuous,
    a_reader_numbers_by_an_old_row,
    what_is_swept_may_come_back,
    what_is_parked_may_come_back,
    an_incremental_export_is_refused_though_it_joins,
    an_incremental_export_is_as_old_as_the_full_one,
    the_full_export_is_newer_than_what_follows_it,
    exports_that_are_too_old_are_accepted,
    an_item_that_leaves_the_filter_stays,
    a_stream_that_cannot_be_listed_is_off,
    a_part_stands_for_the_whole_table,
    a_part_sweeps_all,
    what_expires_is_not_deleted,
    what_has_expired_is_not_read,
    a_change_that_is_delivered_again_is_new,
    acknowledgements_are_taken_from_who_waits_for_them,
]
STALLS = (acknowledgements_are_taken_from_who_waits_for_them,)
"""Whose harm is that nothing goes on."""


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_a_planted_bug_is_noticed(plant: Plant) -> None:
    seeds = seeds_for(plant, range(SEEDS))
    assert any(_shows(seed, plant) for seed in seeds), "no world has noticed it"


def _shows(seed: int, plant: Plant) -> bool:
    """Whether it goes wrong with the bug, and holds without it: what is wrong anyway shows nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        differs = _differs(seed, stalls=plant in STALLS)
    return differs and not run_world(seed).wrong


def _differs(seed: int, *, stalls: bool) -> bool:
    """Whether the mirror shows something else than the table; that it never settles is seldom enough."""
    wrong = run_world(seed).wrong
    if stalls:
        return any("not settled: the snapshot" in words for words in wrong)
    return any(" has " in words or "though they reach" in words for words in wrong)
