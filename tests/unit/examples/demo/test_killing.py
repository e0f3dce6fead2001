"""The plan of kills, and what a witness knows about calls."""

from pathlib import Path

import pytest
from flights_demo.killing import (
    ANY_MOMENT,
    KILLS,
    Call,
    Kill,
    Planned,
    Witness,
    is_enough,
    line,
    plan,
    read_calls,
)

from tailrace import telemetry
from tailrace.runtime.watermark import HandlerPosition, MappingName
from tailrace.streams.record import SequenceNumber
from tailrace.streams.shards import Shard

SHARD = Shard("shardId-1", 1, before=0)


def noted(*numbers: int) -> str:
    """What the application writes down for calls of `alerts`."""
    return "".join(f"alerts {SequenceNumber(number).wire}\n" for number in numbers)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_covers_every_point_with_at_least_twenty_kills(seed: int) -> None:
    planned = plan(seed, 17_383)
    assert len(planned) == KILLS >= 20
    assert {kill.point for kill in planned} == {*telemetry.FLOW_POINTS, ANY_MOMENT}
    assert all(kill.passing >= 1 for kill in planned)


def test_a_seed_always_gives_the_same_plan() -> None:
    assert plan(7, 17_383) == plan(7, 17_383) != plan(8, 17_383)


def test_only_a_named_point_is_told_to_the_child() -> None:
    assert Planned("commit.done", 3).crash_at == "commit.done:3"
    assert Planned(ANY_MOMENT, 3).crash_at is None


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    notes = tmp_path / "calls"
    notes.write_text(noted(1, 2) + "ale")
    calls, position = read_calls(notes, 0)
    assert calls == [Call("alerts", 1), Call("alerts", 2)]
    notes.write_text(noted(1, 2, 3))
    assert read_calls(notes, position)[0] == [Call("alerts", 3)]


def test_a_witness_tells_repeated_calls_and_those_that_no_checkpoint_covers(tmp_path: Path) -> None:
    notes = tmp_path / "calls"
    witness = Witness(notes)
    notes.write_text(noted(1, 2, 3, 5))
    assert witness.repeated() == []
    checkpoints = [
        HandlerPosition(
            MappingName("flights", "alerts", "flights"), SHARD, 1, ((3, 4),), False, None, "label"
        ),
        HandlerPosition(MappingName("flights", "other", "flights"), SHARD, 9, (), False, None, "label"),
    ]
    assert witness.unsettled(checkpoints) == {Call("alerts", 2), Call("alerts", 5)}
    with notes.open("a") as file:
        file.write(noted(2, 6))
    assert witness.repeated() == [Call("alerts", 2)]


def test_a_settled_call_that_is_repeated_is_a_stranger() -> None:
    kill = Kill("commit.done", 3, 100, frozenset({Call("alerts", 2)}))
    kill.calls_repeated = [Call("alerts", 2), Call("alerts", 1)]
    assert kill.strangers == [Call("alerts", 1)]


def test_a_line_says_point_in_flight_and_repeated() -> None:
    kill = Kill(
        "commit.done", 3, 1_200, frozenset({Call("alerts", 2)}), writes_in_flight=4, writes_repeated=4
    )
    text = line(2, kill)
    for part in (
        "kill  2",
        "commit.done (passing 3)",
        "1,200 writes",
        "in flight 4 writes, 1 calls",
        "repeated 4 writes",
    ):
        assert part in text


def test_a_plan_may_end_early_only_when_every_point_was_killed_at() -> None:
    points = list(telemetry.FLOW_POINTS)
    assert not is_enough(points)
    assert is_enough([*points, *points])
    assert not is_enough([ANY_MOMENT] * 20 + points[1:])
