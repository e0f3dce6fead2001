"""A checkpoint's row at a new position, and what is done beside workers that take the lease meanwhile."""

from collections.abc import Sequence

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import CheckpointRow, Ledger, read_row
from tailrace.leases.lease import lease_key, read_lease, take
from tailrace.ports import Action
from tailrace.rows.kinds import CHECKPOINT, GAP, PLACED
from tailrace.rows.writes import ALWAYS, Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.placing import ATTEMPTS, NewPosition, SkippedRun, moved, place_checkpoint
from tailrace.stores.memory import MemoryStateStore
from tailrace.views.at_once import at_once

PLACE = MappingShard("shop", "note", "orders", "stream", "shard-1")
LEASE_KEY = lease_key("shop", "stream", "shard-1")


def run(first: int, last: int) -> SkippedRun:
    return SkippedRun(first, last, last - first + 1, 5, 6)


def test_the_ledger_forgets_what_is_to_come_again() -> None:
    ledger = Ledger({"handled": 5, "filtered": 2}, ((3, 3, 1, "filtered"), (7, 7, 1, "filtered")), 2)
    row = CheckpointRow(2, 4, watermark=9, ranges=((12, 12),), finished=True, ledger=ledger)
    for watermark, kept in ((7, (3, 7)), (6, (3,))):
        back, skipped = moved(row, NewPosition(watermark, False, True))
        assert skipped == ()
        assert (back.watermark, back.ranges, back.finished) == (watermark, (), False)
        assert tuple(first for first, *_ in back.ledger.ranges) == kept
        assert back.ledger.totals == ledger.totals


def test_detail_that_was_dropped_stays_unknown_below_the_position_alone() -> None:
    row = CheckpointRow(watermark=90, ledger=Ledger({"handled": 90}, detail_from=50))
    back, _ = moved(row, NewPosition(20, False, True))
    assert back.ledger.detail_from == 21
    further, _ = moved(row, NewPosition(60, False, True))
    assert further.ledger.detail_from == 50


def test_what_was_settled_since_it_was_planned_is_not_skipped() -> None:
    to = NewPosition(10, False, False, skipped=(run(3, 5), run(7, 10)))
    row = CheckpointRow(watermark=5, ranges=((7, 8), (10, 12)))
    ahead, skipped = moved(row, to)
    assert [(left.first, left.last) for left in skipped] == [(9, 10)]
    assert (ahead.watermark, ahead.ranges) == (10, ((11, 12),))
    beyond, nothing = moved(CheckpointRow(watermark=11), to)
    assert (beyond.watermark, nothing) == (11, ())


def test_what_is_skipped_stands_in_the_ledger_with_its_times() -> None:
    ahead, _ = moved(CheckpointRow(watermark=2), NewPosition(5, False, False, skipped=(run(3, 5),)))
    assert ahead.ledger.ranges == ((3, 5, 0, "trimmed"),)
    assert ahead.ledger.times == {3: (5, 6)}


class Contended(MemoryStateStore):
    """A store in which another worker takes the lease so often, right before a checkpoint is set."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def transact(self, writes: Sequence[Action]) -> None:
        if any(write.key.startswith(PLACED.prefix()) for write in writes) and self.times:
            self.times -= 1
            lease = await self.get(LEASE_KEY)
            row = await self.get(PLACE.checkpoint_key)
            assert lease is not None
            assert row is not None
            taken, write = take(LEASE_KEY, lease.fields, "worker")
            stamped = {**row.fields, "epoch": taken.epoch, "revision": f"{taken.epoch}/0"}
            await super().transact([write, Write(PLACE.checkpoint_key, stamped)])
        await super().transact(writes)


def placed(state: MemoryStateStore, to: NewPosition) -> CheckpointRow:
    steps = place_checkpoint(PLACE, to, "set-1", 0, 77)
    row, _ = at_once(Performer(state, ManualClock()).perform(steps))
    return row


def begun(state: MemoryStateStore) -> None:
    _, write = take(LEASE_KEY, None, "worker")
    row = CheckpointRow(1, 3, watermark=5)
    at_once(MemoryStateStore.transact(state, [write, Write(PLACE.checkpoint_key, row.fields(), ALWAYS)]))


@pytest.mark.parametrize("times", [0, 1, ATTEMPTS - 1])
def test_a_worker_that_takes_the_lease_meanwhile_is_outdone(times: int) -> None:
    state = Contended(times)
    begun(state)
    row = placed(state, NewPosition(2, False, True))
    kept = at_once(state.get(PLACE.checkpoint_key))
    lease = at_once(state.get(LEASE_KEY))
    assert kept is not None
    assert lease is not None
    assert read_row(kept.fields) == row
    assert (row.watermark, row.epoch) == (2, 2 * times + 2)
    assert read_lease(LEASE_KEY, lease.fields).owner == ""
    assert read_lease(LEASE_KEY, lease.fields).epoch == row.epoch


def test_after_so_many_times_nothing_is_set() -> None:
    state = Contended(ATTEMPTS)
    begun(state)
    with pytest.raises(LeaseLost, match="nothing was set"):
        placed(state, NewPosition(2, False, True))
    kept = at_once(state.get(PLACE.checkpoint_key))
    assert kept is not None
    assert kept.fields["watermark"] == "5"
    assert not at_once(state.query(PLACED.prefix()))


def test_what_the_owner_saves_afterwards_is_refused() -> None:
    state = MemoryStateStore()
    begun(state)
    placed(state, NewPosition(2, False, True))
    late = Write(PLACE.checkpoint_key, {"v": 4}, PLACE.fence(1).condition)
    with pytest.raises(StateConflict):
        at_once(state.transact([late]))


def test_a_shard_that_was_never_begun_gets_a_checkpoint_and_its_gap() -> None:
    state = MemoryStateStore()
    row = placed(state, NewPosition(9, True, False, skipped=(run(4, 9), SkippedRun(1, 3, 0, 0, 0))))
    assert (row.watermark, row.finished, row.epoch) == (9, True, 1)
    assert len(at_once(state.query(CHECKPOINT.prefix("shop", "note")))) == 1
    gaps = [dict(row.fields) for row in at_once(state.query(GAP.prefix("shop", "note")))]
    assert [(gap["first"], gap["acknowledged_ms"], gap.get("skipped")) for gap in gaps] == [
        ("1", 0, None), ("4", 77, 6),
    ]  # fmt: skip
