"""Windows of a past that is known whole: when each is final, in which order, and what is kept until then."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.version import Version
from tailrace.windows.core.past import PastWindow, PastWindows
from tailrace.windows.core.rows import Contribution
from tailrace.windows.core.shapes import Fixed, Session, Shape, Span

TUMBLING, SLIDING, SESSIONS = Fixed(10, 10), Fixed(10, 30), Session(10)


def put(key: str, number: int, at_ms: int, group: str = "x") -> Contribution:
    return Contribution(key, Version(1, number), group, at_ms, {})


def gone(key: str, number: int) -> Contribution:
    return Contribution(key, Version(1, number))


def past(shape: Shape, *changes: Contribution) -> PastWindows:
    windows = PastWindows(shape)
    for change in changes:
        windows.apply(change)
    return windows


def shown(windows: list[PastWindow]) -> list[tuple[Any, ...]]:
    return [(*one.span, "".join(member.key for member in one.members)) for one in windows]


@pytest.mark.parametrize(
    ("shape", "horizon_ms", "final"),
    [
        (TUMBLING, 9, []),
        (TUMBLING, 10, [(0, 10, "a")]),
        (SLIDING, 29, []),
        (SLIDING, 30, [(-20, 10, "a")]),  # its last pane is 0 to 10, which is told of until 30
        (SLIDING, 39, [(-20, 10, "a")]),
        (SLIDING, 40, [(-20, 10, "a"), (-10, 20, "a")]),
        (SLIDING, 49, [(-20, 10, "a"), (-10, 20, "a")]),
        (SLIDING, 50, [(-20, 10, "a"), (-10, 20, "a"), (0, 30, "a")]),
        (SESSIONS, 29, []),
        (SESSIONS, 30, [(5, 15, "a")]),
    ],
)
def test_a_window_is_final_when_nothing_can_come_to_it(
    shape: Shape, horizon_ms: int, final: list[tuple[Any, ...]]
) -> None:
    windows = past(shape, put("a", 1, 5))
    assert shown(windows.pass_to(horizon_ms)) == final


@pytest.mark.parametrize("shape", [TUMBLING, SLIDING, SESSIONS])
@given(
    changes=st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 90), st.integers(0, 25)), max_size=12
    )
)
def test_final_is_final_and_windows_come_in_order_once(
    shape: Shape, changes: list[tuple[str, bool, int, int]]
) -> None:
    windows, told, now_ms = PastWindows(shape), list[PastWindow](), 0
    for number, (key, is_put, at_ms, pause_ms) in enumerate(changes, 1):
        windows.apply(put(key, number, at_ms) if is_put else gone(key, number))
        now_ms += pause_ms
        told += windows.pass_to(now_ms)
        assert all(one.end_ms <= windows.horizon_ms for one in told)
    told += windows.pass_to(10_000)
    places = [one.place for one in told]
    assert places == sorted(set(places))
    assert windows.open_items == 0
    assert windows.rest(10_000) == []


def test_what_is_kept_is_what_is_open() -> None:
    windows, most = PastWindows(SLIDING), 0
    for number in range(10_000):
        windows.pass_to(number * 2)
        windows.apply(put(f"k{number}", number + 1, number * 2))
        most = max(most, windows.open_items)
    assert most <= 2 * (30 + 30) // 2 + 10


def test_a_late_change_is_counted_and_takes_its_item_out_of_open_windows() -> None:
    windows = past(TUMBLING, put("a", 1, 25), put("b", 2, 25))
    windows.pass_to(20)
    windows.apply(put("a", 3, 5))
    assert windows.late == 1
    assert shown(windows.rest(100)) == [(20, 30, "b")]


def test_what_left_a_window_that_is_closed_for_good_stays_in_it() -> None:
    windows = past(SLIDING, put("a", 1, 5), put("b", 2, 25))
    windows.pass_to(30)
    windows.apply(gone("a", 3))
    windows.apply(gone("b", 4))
    assert shown(windows.rest(100)) == [(-10, 20, "a"), (0, 30, "a")]


def test_an_older_change_is_overtaken() -> None:
    windows = past(TUMBLING, put("a", 2, 15), put("a", 1, 5))
    assert shown(windows.rest(100)) == [(10, 20, "a")]


def test_a_session_that_a_later_event_prolongs_waits_for_it() -> None:
    windows = past(SESSIONS, put("a", 1, 5), put("b", 2, 14), put("c", 3, 24))
    assert shown(windows.pass_to(49)) == [(5, 24, "ab")]
    assert shown(windows.pass_to(50)) == [(24, 34, "c")]


def test_a_session_that_loses_its_end_ends_earlier() -> None:
    windows = past(SESSIONS, put("a", 1, 5), put("b", 2, 14), put("c", 3, 23))
    windows.pass_to(39)
    windows.apply(gone("c", 4))
    assert shown(windows.pass_to(40)) == [(5, 24, "ab")]


def test_windows_with_nothing_open_are_told_from_those_that_live_delivery_tells() -> None:
    windows = past(SLIDING, put("a", 1, 5), put("b", 2, 25))
    windows.pass_to(30)
    alone, others = windows.left_alone()
    assert shown(alone) == [(-10, 20, "a")]
    assert shown(others) == [(0, 30, "ab"), (10, 40, "b"), (20, 50, "b")]
    assert [member.key for member in windows.members()] == ["a", "b"]


def test_a_span_is_that_of_the_window() -> None:
    assert PastWindow(20, "x", 10, ()).span == Span(10, 20)
