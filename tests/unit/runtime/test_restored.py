"""What a target has lost of finished shards, at its bound; telling it may be cut off at each call."""

import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.leases.checkpoint import CheckpointRow, read_row
from tailrace.leases.lease import lease_key
from tailrace.ports import TargetPosition
from tailrace.rows.kinds import GAP, PLACED
from tailrace.runtime.placing import reopen_checkpoint
from tailrace.runtime.restored import FinishedShard, LostShard, finished_shards, lost_shards, tell_gone
from tests.unit.runtime.test_target_positions import PLACE, ROW, There

DONE = replace(ROW, finished=True, target="note")
FINISHED = FinishedShard("label", "shardId-1", DONE)


def at(watermark: int, stream: str = "label", shard_id: str = "shardId-1") -> TargetPosition:
    return TargetPosition(stream, shard_id, 2, watermark)


@pytest.mark.parametrize(
    ("there", "lost"),
    [([at(40)], None), ([at(41)], None), ([at(39)], 39), ([], 0), ([at(40, "other")], 0)],
)
def test_a_finished_shard_is_lost_where_the_target_has_less_than_its_row(
    there: list[TargetPosition], lost: int | None
) -> None:
    shards = lost_shards([FINISHED], {"note": there})
    assert [shard.there.watermark for shard in shards] == ([] if lost is None else [lost])


def test_a_mapping_that_was_renamed_is_compared_under_the_name_that_the_target_knows() -> None:
    renamed = replace(FINISHED, row=replace(DONE, target="before"))
    assert lost_shards([renamed], {"before": [at(40)]}) == []
    assert [shard.shard for shard in lost_shards([renamed], {"before": [], "note": [at(40)]})] == [renamed]


@pytest.mark.parametrize(
    ("row", "is_compared"),
    [(DONE, True), (replace(DONE, finished=False), False), (replace(DONE, target=""), False)],
)
def test_only_what_is_finished_and_the_target_s_is_compared(row: CheckpointRow, is_compared: bool) -> None:
    shards = There(row).play(finished_shards("shop", "note"))
    assert [(shard.stream, shard.shard_id, shard.row) for shard in shards] == (
        [("label", "shardId-1", row)] if is_compared else []
    )


def test_a_shard_that_begins_again_keeps_what_its_target_had_and_every_worker_hears_of_it() -> None:
    world = There(DONE, 7)
    for _ in range(2):
        world.play(reopen_checkpoint(PLACE, "w-restored-1", 0, 5))
    row = read_row(world.rows[PLACE.checkpoint_key])
    assert (row.finished, row.watermark, row.target, row.is_set_back) == (False, 40, "note", False)
    assert (row.epoch, row.writes) == (4, 1), "once, under a lease of its own"
    assert world.rows[PLACED.key("shop", "note")]["revision"] == "w-restored-1/0"
    assert world.rows[lease_key("shop", "label", "shardId-1")]["owner"] == ""


LOST = LostShard(FINISHED, at(7))


def gaps(world: There) -> list[Gap]:
    return [read_gap(world.rows[key]) for key in world.rows.starting_with(GAP.prefix("shop", "note"))]


def test_a_shard_that_is_gone_is_a_gap_and_the_target_has_its_position_again() -> None:
    world = There(DONE, 7)
    gap = world.play(tell_gone(PLACE, LOST))
    assert gaps(world) == [gap] == [Gap("shardId-1", 8, 40, 0, 400)]
    assert world.target.positions["note", "label", "shardId-1"].watermark == 40
    assert lost_shards([FINISHED], {"note": [*world.target.positions.values()]}) == []


@pytest.mark.parametrize("dies_at", range(4))
def test_telling_it_may_be_cut_off_at_each_call(dies_at: int) -> None:
    world = There(DONE, 7)
    world.dies_at = dies_at
    with pytest.raises(KeyboardInterrupt):
        world.play(tell_gone(PLACE, LOST))
    assert gaps(world) or world.target.positions["note", "label", "shardId-1"].watermark == 7
    world.dies_at = -1
    world.play(tell_gone(PLACE, LOST))
    assert gaps(world) == [Gap("shardId-1", 8, 40, 0, 400)]
    assert world.target.positions["note", "label", "shardId-1"].watermark == 40


def test_a_target_that_is_emptied_again_makes_its_gap_stand_again() -> None:
    world = There(DONE, 7)
    world.play(tell_gone(PLACE, LOST))
    (gap,) = gaps(world)
    world.rows[gap.key("shop", "note")] = gap.acknowledged(9).fields()
    world.target.positions.clear()
    world.play(tell_gone(PLACE, LOST))
    assert gaps(world) == [replace(gap, again=1)]
