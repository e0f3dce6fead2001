"""Tumbling windows of one shard: membership, the state's limit, the end. Facts of semantics §2.9, each at its
bound and one past it.
"""

import pytest

from tailrace.mapping.outcomes import Failed, FailedFrom, Outcome, Written
from tailrace.mapping.window import STATE_BYTES, TumblingWindow, WindowState, judged
from tests.unit.mapping.records import WALL_MS, now, record

LENGTH_MS = 10_000
IDLE_MS = 2_000
START_MS = WALL_MS
"""The wall clock of these tests stands at a multiple of ten seconds."""


def opened(state: bytes | None = None) -> TumblingWindow:
    """A window that was opened by its first batch, and answered with this state."""
    window = TumblingWindow(LENGTH_MS, IDLE_MS, None)
    window.invoke([record(1)])
    if state is not None:
        window.accepted(state)
    return window


@pytest.mark.parametrize(
    ("created_ms", "start_ms"),
    [(START_MS, START_MS), (START_MS + 9_999, START_MS), (START_MS + 10_000, START_MS + 10_000),
     (START_MS - 1, START_MS - 10_000)],
)  # fmt: skip
def test_windows_begin_at_multiples_of_their_length_since_the_epoch(created_ms: int, start_ms: int) -> None:
    told = TumblingWindow(LENGTH_MS, IDLE_MS, None).invoke([record(1, created_ms=created_ms)])
    assert (told.start_ms, told.end_ms, told.state) == (start_ms, start_ms + LENGTH_MS, b"{}")


@pytest.mark.parametrize(
    ("created_ms", "is_over"),
    [(START_MS + 9_999, False), (START_MS + 10_000, True), (START_MS - 50_000, False)],
)
def test_the_first_record_of_a_later_window_ends_it(created_ms: int, is_over: bool) -> None:
    assert opened(b"{}").is_over([record(2, created_ms=created_ms)], now(50_000), is_last=False) is is_over


def test_a_batch_stops_before_the_first_record_of_a_later_window() -> None:
    times = (0, 9_999, 10_000, 10_001)
    records = [record(number, created_ms=START_MS + ms) for number, ms in enumerate(times, 1)]
    window = opened()
    assert (window.leading(records, 10), window.leading(records, 1)) == (2, 1)
    assert window.leading(records[:2], 10) == 10


@pytest.mark.parametrize(("excess", "is_early"), [(0, False), (1, True)])
def test_a_state_beyond_one_megabyte_ends_the_window_early(excess: int, is_early: bool) -> None:
    window = opened(b"x" * (STATE_BYTES + excess))
    assert window.is_oversized is is_early
    final = window.invoke([])
    assert (final.is_final, final.is_early, len(final.state)) == (True, is_early, STATE_BYTES + excess)


def test_a_quiet_shard_ends_its_window_two_seconds_after_its_end() -> None:
    window = opened(b"{}")
    assert not window.is_over([], now(0), is_last=False)
    assert window.wake_ms(now(0)) == LENGTH_MS + IDLE_MS
    assert not window.is_over([], now(LENGTH_MS + IDLE_MS - 1), is_last=False)
    assert window.is_over([], now(LENGTH_MS + IDLE_MS), is_last=False)


def test_a_source_that_fails_is_not_a_quiet_shard() -> None:
    window = opened(b"{}")
    window.not_heard()
    assert not window.is_over([], now(100_000), is_last=False)
    assert window.wake_ms(now(100_000)) is None
    window.heard()
    assert not window.is_over([], now(100_000), is_last=False)
    assert window.is_over([], now(100_000 + IDLE_MS), is_last=False)


def test_a_closed_shard_ends_its_window_at_once() -> None:
    assert opened(b"{}").is_over([], now(0), is_last=True)
    assert not TumblingWindow(LENGTH_MS, IDLE_MS, None).is_over([], now(0), is_last=True)


def test_a_closed_window_opens_again_with_an_empty_state_for_a_late_record() -> None:
    window = opened(b'{"n":1}')
    window.close()
    assert (window.is_open, window.current) == (False, WindowState(START_MS, START_MS + LENGTH_MS))
    told = window.invoke([record(2, created_ms=START_MS - 50_000)])
    assert (told.start_ms, told.state) == (START_MS, b"{}")


@pytest.mark.parametrize(
    ("outcome", "is_failure"),
    [
        (Written(), True), (Written(state=b"{}"), False), (FailedFrom(1), True),
        (FailedFrom(1, state=b"{}"), False),
        (FailedFrom(0), False),
    ],
)  # fmt: skip
def test_an_answer_that_accepts_something_must_bring_a_state(outcome: Outcome, is_failure: bool) -> None:
    judgement = judged(outcome)
    assert (judgement != outcome) is is_failure
    assert not is_failure or (isinstance(judgement, Failed) and "without a state" in str(judgement.whole))
