"""Processes that are ended where they do more than to write and deliver keep every promise."""

from tests.crash.places import KINDS, PLACES, SIGNALS, Outcome, run


def test_nothing_is_lost_or_doubled_by_ends_at_start_up_shut_down_trim_split_back_fill_and_redrive() -> None:
    outcome = run(seed=3, kills=12, tell=lambda text: None)
    assert outcome.violations == []
    assert outcome.kills.total() == 12
    assert outcome.acknowledged > 100


def test_a_kind_of_kill_that_never_happened_is_named() -> None:
    outcome = Outcome()
    outcome.kills.update(KINDS[1:])
    assert outcome.never_killed_at() == [KINDS[0]]
    assert len(KINDS) == 2 * len(SIGNALS) * len(PLACES)
