"""Where a mapping begins whose target owns the checkpoint: what the row and the target say, what is written
in which order, and that it may be cut off at each call.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.evacuated import Evacuation, copied
from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.errors import LeaseLost, StateConflict, Unavailable
from tailrace.leases.checkpoint import CheckpointRow, read_row
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import Checkpoint, LeaseTaken, Start
from tailrace.ports import Now, Shard, TargetPosition
from tailrace.rows.kinds import GAP
from tailrace.rows.writes import ALWAYS, Write
from tailrace.runtime.delivering import Delivery, MappingShard, Settling
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.steps import (
    AskTime,
    PutTargetPosition,
    ReadTrimHorizon,
    Sleep,
    StampTarget,
    Steps,
)
from tailrace.runtime.target_positions import begin, take_position
from tailrace.testing.simulation_rows import STREAM, SimulatedRows
from tailrace.testing.sinks import SimulatedTarget, TransactionalMemory
from tailrace.views.at_once import at_once
from tests.unit.sinks.batches import record

PLACE = MappingShard("shop", "note", "orders", "label", "shardId-1")
SHARD = Shard("shardId-1", 5, hash_range=(0, 2**64 - 1), before=0, created_ms=77)
CHILD = Shard("shardId-1", 5, ("gone",), hash_range=(0, 2**64 - 1), before=0, created_ms=77)
ROW = CheckpointRow(3, 2, 40, hashes=PLACE.hashes, created_ms=400)


class There:
    """The state and the target. Shape: `gone` the stream has forgotten; `calls` are those that were asked;
    it dies at the one with that number.
    """

    def __init__(self, row: CheckpointRow, watermark: int | None = None, *, of: str = "note") -> None:
        self.rows = SimulatedRows({PLACE.checkpoint_key: row.fields()})
        self.target = SimulatedTarget()
        self.gone = 0
        self.calls: list[Any] = []
        self.dies_at = -1
        self.away = 0
        if watermark is not None:
            self.target.positions[of, "label", "shardId-1"] = TargetPosition(
                "label", "shardId-1", 1, watermark
            )

    def play(self, steps: Steps[Any]) -> Any:
        """Carry steps out. Raises: what they raise; KeyboardInterrupt where it dies."""
        answer: Any = None
        error: Exception | None = None
        while True:
            try:
                call = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            answer, error = None, None
            if len(self.calls) == self.dies_at:
                raise KeyboardInterrupt
            self.calls.append(call)
            try:
                answer = self._answer(call)
            except (LeaseLost, StateConflict, Unavailable) as raised:
                error = raised

    def _answer(self, call: Any) -> Any:
        sink = TransactionalMemory(self.target)
        match call:
            case StampTarget() if self.away:
                self.away -= 1
                raise Unavailable("away")
            case StampTarget(mapping_id, stream, shard_id, epoch):
                return at_once(sink.stamp(mapping_id, stream, shard_id, epoch))
            case PutTargetPosition(mapping_id, position):
                return at_once(sink.put_position(mapping_id, position))
            case ReadTrimHorizon():
                return self.gone
            case Sleep():
                return None
            case _:
                return self.rows.answer(call, Now(1, 1))

    def taken(self, shard: Shard = SHARD) -> tuple[TargetPosition, CheckpointRow]:
        """What a worker begins with that has stamped the row."""
        taken: tuple[TargetPosition, CheckpointRow] = self.play(
            take_position(PLACE, shard, KnownShards(), self.row)
        )
        assert taken[1] == self.row
        assert taken[0] == self.target.positions["note", "label", "shardId-1"]
        return taken

    @property
    def row(self) -> CheckpointRow:
        return read_row(self.rows[PLACE.checkpoint_key])

    @property
    def gaps(self) -> list[tuple[int, int]]:
        keys = self.rows.starting_with(GAP.prefix("shop", "note"))
        return [(gap.first, gap.last) for gap in (read_gap(self.rows[key]) for key in keys)]


OF_THE_STATE: list[tuple[CheckpointRow, int | None, int]] = [
    #  the row                            the target   where it begins
    (ROW, None, 40),  # a mapping that is new here, or was in another order
    (ROW, 0, 40),
    (ROW, 41, 41),  # the state was lost, and begins anew
    (replace(ROW, ranges=((50, 60),)), 0, 40),  # they come again, in sequence
    (replace(ROW, is_set_back=True), 90, 40),  # an operator wants it so
    (replace(ROW, is_set_back=True), 7, 40),
]


@pytest.mark.parametrize(("row", "there", "begins"), OF_THE_STATE)
def test_a_row_that_has_the_position_gives_it_to_the_target(
    row: CheckpointRow, there: int | None, begins: int
) -> None:
    world = There(row, there)
    position, after = world.taken()
    assert (position.watermark, position.epoch) == (begins, 3)
    assert (after.watermark, after.ranges, after.target, after.is_set_back) == (begins, (), "note", False)
    assert after.writes == row.writes + 1
    assert world.gaps == []


MIRROR = replace(ROW, target="note")


@pytest.mark.parametrize("there", [40, 41, 1_000])
def test_a_row_that_repeats_the_target_is_not_asked(there: int) -> None:
    world = There(MIRROR, there)
    position, after = world.taken()
    assert (position.watermark, after.watermark, after.created_ms) == (there, there, 400)
    assert (after.writes, world.gaps) == (2 if there == 40 else 3, [])


def test_a_target_that_shows_less_wins_too() -> None:
    world = There(replace(MIRROR, finished=True, window=(1, 2, None)), 39)
    position, after = world.taken()
    assert (position.watermark, after.watermark, after.finished, after.window) == (39, 39, False, None)
    assert after.created_ms == 77, "when the last change was written is not known any more"
    assert world.gaps == [], "what is trimmed behind it the source tells"


EMPTIED: list[tuple[Shard, int, int, list[tuple[int, int]]]] = [
    #  the shard, what its stream has forgotten → where it begins, the gap
    (SHARD, 0, 4, []),
    (SHARD, 4, 4, []),
    (SHARD, 5, 5, [(5, 5)]),
    (SHARD, 30, 30, [(5, 30)]),
    (CHILD, 0, 4, [(1, 4)]),  # what went before it can be read no more
    (CHILD, 9, 9, [(1, 9)]),
]


@pytest.mark.parametrize(("shard", "gone", "begins", "gaps"), EMPTIED)
def test_an_emptied_target_begins_anew_and_what_the_stream_has_lost_is_a_gap(
    shard: Shard, gone: int, begins: int, gaps: list[tuple[int, int]]
) -> None:
    world = There(MIRROR)
    world.gone = gone
    assert world.taken(shard)[0].watermark == begins
    assert world.gaps == gaps


def test_a_gap_that_was_told_before_is_told_on_from_its_end() -> None:
    world = There(MIRROR)
    known = Gap("shardId-1", 5, 10)
    world.rows.transact([Write(known.key("shop", "note"), known.fields(), ALWAYS)])
    world.gone = 30
    world.taken()
    assert world.gaps == [(5, 10), (11, 30)]


@pytest.mark.parametrize(("last", "again", "told"), [(10, 0, 30), (40, 2, 40)])
def test_a_gap_that_was_acknowledged_is_told_again_for_the_target_has_lost_that_anew(
    last: int, again: int, told: int
) -> None:
    world = There(MIRROR)
    known = Gap("shardId-1", 5, last, acknowledged_ms=9, again=again)
    world.rows.transact([Write(known.key("shop", "note"), known.fields(), ALWAYS)])
    world.gone = 30
    world.taken()
    anew = read_gap(world.rows[known.key("shop", "note")])
    assert (anew.last, anew.acknowledged_ms, anew.again) == (told, 0, again + 1)


@pytest.mark.parametrize(
    ("there", "through", "begins", "gaps"),
    [(20, 35, 35, [(21, 35)]), (20, 60, 40, [(21, 40)]), (36, 35, 36, []), (None, 35, 35, [(5, 35)])],
)
def test_of_what_was_saved_from_the_trim_the_rows_are_removed_that_the_target_had(
    there: int | None, through: int, begins: int, gaps: Sequence[tuple[int, int]]
) -> None:
    world, source = There(MIRROR, there), ("arn", "label", "NEW_AND_OLD_IMAGES", "us-east-1")
    nothing = Evacuation("shop", "note", "orders", source, SHARD, 10, 10)  # type: ignore[arg-type]
    _, writes = copied(
        nothing, 10, [record(12, "a")], through=through, closed=False, shard=SHARD, trimmed=False
    )
    world.rows.transact(writes)
    assert world.taken()[0].watermark == begins
    assert world.gaps == gaps


def test_a_renamed_mapping_takes_its_position_over_and_nothing_is_committed_under_the_old_name() -> None:
    world = There(replace(ROW, target="before"), 55, of="before")
    assert world.taken()[0].watermark == 55
    assert world.target.positions["before", "label", "shardId-1"].epoch == 3
    assert world.row.target == "note"


def test_it_may_be_cut_off_at_each_call_and_is_done_again_by_the_next_owner() -> None:
    """Shape: an emptied target of a renamed mapping: every call that there is."""
    for row, target in ((replace(ROW, target="before"), None), (replace(ROW, is_set_back=True), 90)):
        whole = There(row, target)
        whole.gone = 30
        whole.taken(CHILD)
        for number in range(len(whole.calls)):
            world = There(row, target)
            world.gone, world.dies_at = 30, number
            with pytest.raises(KeyboardInterrupt):
                world.taken(CHILD)
            world.dies_at = -1
            world.rows[PLACE.checkpoint_key] = replace(world.row, epoch=4, writes=0).fields()
            position, after = world.taken(CHILD)
            assert position == replace(whole.target.positions["note", "label", "shardId-1"], epoch=4)
            assert replace(after, epoch=3, writes=3) == whole.row
            assert world.gaps == whole.gaps


def test_who_has_lost_the_target_or_the_row_begins_nothing() -> None:
    world = There(MIRROR, 40)
    world.target.positions["note", "label", "shardId-1"] = TargetPosition("label", "shardId-1", 4, 40)
    with pytest.raises(LeaseLost):
        world.taken()
    world = There(ROW, 0)
    stale = world.row
    world.rows[PLACE.checkpoint_key] = replace(ROW, epoch=4).fields()
    with pytest.raises(LeaseLost):
        world.play(take_position(PLACE, SHARD, KnownShards(), stale))


def delivery(*, is_transactional: bool = True, row: CheckpointRow = MIRROR) -> Delivery:
    return Delivery(SHARD, STREAM, SavedChanges(), Settling(PLACE, row, is_transactional=is_transactional))


def test_a_target_that_is_away_is_asked_again_and_again() -> None:
    world = There(MIRROR, 44)
    world.away = 3
    start = Start(Checkpoint(40, ((50, 60),)), passed=((b"a", record(7, "a").version),))
    (begun,) = world.play(begin(delivery(), start, KnownShards()))
    assert begun == replace_start(start, Checkpoint(44, created_ms=400))
    assert [call.until_ms for call in world.calls if isinstance(call, Sleep)] == [101, 201, 401]
    assert sum(isinstance(call, AskTime) for call in world.calls) == 3


def replace_start(start: Start, checkpoint: Checkpoint) -> Start:
    return Start(checkpoint, start.parked, start.passed)


def test_a_target_that_another_has_ends_it() -> None:
    world = There(MIRROR)
    world.target.positions["note", "label", "shardId-1"] = TargetPosition("label", "shardId-1", 4, 40)
    assert world.play(begin(delivery(), Start(Checkpoint(40)), KnownShards())) == (LeaseTaken(),)


def test_without_such_a_target_nothing_is_asked() -> None:
    world, start = There(MIRROR), Start(Checkpoint(40))
    assert world.play(begin(delivery(is_transactional=False), start, KnownShards())) == (start,)
    assert world.calls == []
