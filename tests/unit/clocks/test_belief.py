"""A wall clock that jumps ahead is believed when it stays there, and one that goes back at once."""

import pytest

from tailrace.clocks.belief import HOLD_MS, Belief

NOON_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
YEARS_MS = 3_650 * 24 * HOUR_MS


def begun() -> Belief:
    return Belief(NOON_MS, 0)


def test_a_clock_that_goes_on_is_believed() -> None:
    belief = begun()
    assert [belief.believed(NOON_MS + passed, passed) for passed in (0, 1, 90_000)] == [
        NOON_MS,
        NOON_MS + 1,
        NOON_MS + 90_000,
    ]
    assert belief.news == []


@pytest.mark.parametrize("jump_ms", [HOUR_MS, 500, -500, -HOUR_MS, -YEARS_MS])
def test_a_correction_of_up_to_an_hour_and_a_clock_set_back_are_believed_at_once(jump_ms: int) -> None:
    belief = begun()
    assert belief.believed(NOON_MS + 1_000 + jump_ms, 1_000) == NOON_MS + 1_000 + jump_ms
    assert belief.believed(NOON_MS + 2_000 + jump_ms, 2_000) == NOON_MS + 2_000 + jump_ms
    assert belief.news == []


def test_ten_years_ahead_and_back_are_never_believed_and_told() -> None:
    belief = begun()
    for passed in (1_000, 2_000, 2_000 + HOLD_MS // 2):
        assert belief.believed(NOON_MS + passed + YEARS_MS, passed) == NOON_MS + passed
    assert belief.believed(NOON_MS + 50_000, 50_000) == NOON_MS + 50_000
    first, last = belief.news
    assert first.startswith(
        "the system clock jumped ahead by 3650 days: it is believed when it stays so for 60 s"
    )
    assert last == "the system clock is back: what it showed meanwhile was not believed"


def test_a_jump_that_holds_is_believed_after_a_minute() -> None:
    belief = begun()
    assert belief.believed(NOON_MS + 1_000 + YEARS_MS, 1_000) == NOON_MS + 1_000
    held = 1_000 + HOLD_MS
    assert belief.believed(NOON_MS + held - 1 + YEARS_MS, held - 1) == NOON_MS + held - 1
    assert belief.believed(NOON_MS + held + YEARS_MS, held) == NOON_MS + held + YEARS_MS
    assert not belief.doubts
    assert "it is believed from now on" in belief.news[-1]


def test_each_jump_has_to_hold_by_itself() -> None:
    belief = begun()
    belief.believed(NOON_MS + YEARS_MS, 0)
    assert belief.believed(NOON_MS + 40_000 + 2 * YEARS_MS, 40_000) == NOON_MS + 40_000
    assert belief.believed(NOON_MS + 80_000 + 2 * YEARS_MS, 80_000) == NOON_MS + 80_000
    belief.believed(NOON_MS + 90_000, 90_000)
    assert belief.believed(NOON_MS + 200_000 + 2 * YEARS_MS, 200_000) == NOON_MS + 200_000


def test_the_sleep_of_the_machine_is_no_jump_where_it_is_counted() -> None:
    belief = begun()
    night_ms = 9 * HOUR_MS
    woken_ms = NOON_MS + 1_000 + night_ms
    assert belief.believed(woken_ms, 1_000, night_ms) == woken_ms
    assert belief.believed(woken_ms + YEARS_MS, 2_000, night_ms + 500) < woken_ms + 2 * HOUR_MS
    assert len(belief.news) == 1


def test_believed_time_never_goes_back_while_a_jump_is_doubted() -> None:
    belief = begun()
    times = [belief.believed(NOON_MS + passed + YEARS_MS, passed) for passed in range(0, 2 * HOLD_MS, 777)]
    assert times == sorted(times)
