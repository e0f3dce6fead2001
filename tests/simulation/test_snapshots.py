"""Worlds of snapshots: whatever happens, the mirror equals the table in the end.

Rules of this file: a few hundred worlds here, 10,000 with `make simulate`.
"""

from collections import Counter

import pytest

from tests.simulation.snapshot_surroundings import HAPPENED
from tests.simulation.snapshot_worlds import run_world

SEEDS = 160
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_the_mirror_equals_the_table_when_all_is_settled(part: int) -> None:
    wrong = []
    for seed in range(part, SEEDS, PARTS):
        world = run_world(seed)
        wrong += [(seed, words) for words in world.wrong]
    assert not wrong, f"{wrong}: python -m tests.simulation --snapshots --first {wrong[0][0]} --seeds 1"


def test_the_same_seed_plays_the_same_world() -> None:
    first, second = run_world(7), run_world(7)
    assert first.target.rows == second.target.rows
    assert first.counts == second.counts


def test_a_few_worlds_meet_nearly_everything() -> None:
    counts: Counter[str] = Counter()
    for seed in range(40):
        counts.update(run_world(seed).counts)
    rare = {"gap", "first"}
    assert not [name for name in HAPPENED if not counts[name] and name not in rare]
