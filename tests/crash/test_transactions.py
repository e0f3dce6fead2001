"""Transactions on a node that is killed at every point of a write: whole, and once."""

from itertools import count
from pathlib import Path

from tailrace.telemetry import WRITE_POINTS
from tests.crash.transactions import run


def test_a_transaction_is_all_or_nothing_and_once_over_kills_at_every_point(tmp_path: Path) -> None:
    outcome = run(tmp_path, seed=11, kills=len(WRITE_POINTS), tell=lambda text: None)
    assert outcome.violations == []
    assert set(outcome.kills) == set(WRITE_POINTS)
    assert outcome.acknowledged > 20


def test_the_check_notices_a_transaction_that_is_done_twice(tmp_path: Path) -> None:
    """Without a token that stays the same, what was durable before its answer is done again."""
    fresh = count()
    outcome = run(
        tmp_path, 11, 1, lambda text: None, points=("commit.done",), tokens=lambda number: f"{next(fresh)}"
    )
    assert len(outcome.violations) == 2 + 6  # both tables, every item's records
