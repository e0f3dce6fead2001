"""Worlds of snapshots: whatever happens, each mirror equals the table in the end.

Rules of this file: two dozen worlds here, 10,000 with `make simulate`. Units: seeds.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import pytest

from tailrace.testing.contracts.mirror import gone, put
from tests.simulation.campaign import Report, campaign
from tests.simulation.snapshot_mirrors import MirrorPlan, declared
from tests.simulation.snapshot_surroundings import HAPPENED
from tests.simulation.snapshot_worlds import World, run_snapshot, run_world

SEEDS = 25
RARE = {"first", "gap", "refused", "incremental", "stale", "merge"}
"""What so few worlds need not meet."""


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [run_world(seed) for seed in range(SEEDS)]


def test_the_mirrors_equal_the_table_when_all_is_settled(worlds: list[World]) -> None:
    wrong = [(world.plan.seed, words) for world in worlds for words in world.wrong]
    assert not wrong, f"{wrong}: python -m tests.simulation --snapshots --first {wrong[0][0]} --seeds 1"


def test_a_few_worlds_meet_nearly_everything(worlds: list[World]) -> None:
    counts: Counter[str] = Counter()
    for world in worlds:
        counts.update(world.counts)
    assert not [name for name in HAPPENED if not counts[name] and name not in RARE]


def test_the_same_seed_plays_the_same_world(worlds: list[World]) -> None:
    again = run_world(7)
    assert again.counts == worlds[7].counts
    assert [mapping.target.rows for mapping in again.mappings] == [
        mapping.target.rows for mapping in worlds[7].mappings
    ]


def test_changes_of_two_streams_with_one_number_are_both_parked() -> None:
    _, (mapping,) = declared([MirrorPlan("mirror")])
    former, later = put("o1", 7, (1, 365)), gone("o1", (6, 365))
    assert [mapping.park([record]) for record in (former, later, later)] == [1, 1, 0]
    assert mapping.parked == {former.key: [former, later]}


def test_a_campaign_in_two_processes_reports_what_one_does() -> None:
    def reported(jobs: int) -> Iterator[object]:
        report = campaign(0, 12, play=run_snapshot, expected=HAPPENED, jobs=jobs)
        fields = dataclasses.fields(Report)
        return (getattr(report, field.name) for field in fields if field.name != "seconds")

    assert list(reported(2)) == list(reported(1))
