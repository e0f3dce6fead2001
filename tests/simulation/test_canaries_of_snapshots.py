"""Planted bugs of snapshots, each of which some world notices.

Rules of this file: as in test_canaries.py, the production code is patched, and the first seed that notices is
looked for among a bounded number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from tailrace.exports.core import chain
from tailrace.leases.generation import Generations
from tailrace.ports import Mirror
from tailrace.snapshots.core.horizon import TellingSince
from tailrace.snapshots.core.pages import Piece, ScannedPage
from tailrace.snapshots.core.snapshot import Snapshot, due
from tailrace.snapshots.run import forgetting, snapshotter
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.rows import SnapshotClaim
from tailrace.sources import export_scan
from tailrace.streams.version import Version
from tailrace.testing import mirrors
from tests.simulation.snapshot_table import SimulatedScan
from tests.simulation.snapshot_worlds import run_world

Plant = Callable[[pytest.MonkeyPatch], None]
SEEDS = 150


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


CANARIES: Sequence[tuple[Plant, int]] = [
    (a_scan_row_overwrites_a_change, 0),
    (a_tombstone_is_forgotten_too_early, 0),
    (positions_are_taken_after_the_first_page, 95),
    (a_gap_is_ignored, 118),
    (a_bare_sequence_is_compared_across_streams, 0),
    (a_reset_has_no_new_generation, 0),
    (keys_that_a_scan_has_not_seen_are_not_swept, 0),
    (a_stream_that_was_off_is_taken_as_continuous, 0),
    (a_reader_numbers_by_an_old_row, 0),
    (what_is_swept_may_come_back, 40),
    (what_is_parked_may_come_back, 262),
    (an_incremental_export_is_refused_though_it_joins, 0),
    (an_incremental_export_is_as_old_as_the_full_one, 0),
    (the_full_export_is_newer_than_what_follows_it, 0),
    (exports_that_are_too_old_are_accepted, 0),
]
"""With the seed from which on it is looked for: some need a rare world."""


@pytest.mark.parametrize(("plant", "first"), CANARIES, ids=[plant.__name__ for plant, _ in CANARIES])
def test_a_planted_bug_is_noticed(plant: Plant, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert any(_differs(seed) for seed in range(first, first + SEEDS)), "no world has noticed it"


def _differs(seed: int) -> bool:
    """Whether the mirror shows something else than the table: that it never settles is not enough."""
    return any("the mirror has" in words or "though they reach" in words for words in run_world(seed).wrong)
