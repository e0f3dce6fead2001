"""Which windows an event is in, at their bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.windows.core.shapes import Fixed, Session, Span, pane_of

MINUTE = 60_000
TUMBLING, SLIDING = Fixed(MINUTE, MINUTE), Fixed(MINUTE, 3 * MINUTE)


@pytest.mark.parametrize(
    ("at_ms", "start_ms"),
    [
        (0, 0),
        (MINUTE - 1, 0),
        (MINUTE, MINUTE),
        (MINUTE + 1, MINUTE),
        (1_767_225_660_000, 1_767_225_660_000),
        (1_767_225_659_999, 1_767_225_600_000),
    ],
)
def test_a_tumbling_window_has_its_start_and_not_its_end(at_ms: int, start_ms: int) -> None:
    assert TUMBLING.spans_of(pane_of(TUMBLING, at_ms)) == [Span(start_ms, start_ms + MINUTE)]


def test_an_event_is_in_as_many_sliding_windows_as_steps_fit_into_one() -> None:
    spans = SLIDING.spans_of(pane_of(SLIDING, 5 * MINUTE))
    assert [span.start_ms // MINUTE for span in spans] == [3, 4, 5]
    assert {span.end_ms - span.start_ms for span in spans} == {3 * MINUTE}


@given(at_ms=st.integers(0, 10**13), every=st.integers(1, 10**7), times=st.integers(1, 20))
def test_the_windows_of_a_pane_are_those_whose_panes_have_it(at_ms: int, every: int, times: int) -> None:
    shape = Fixed(every, every * times)
    pane = pane_of(shape, at_ms)
    spans = shape.spans_of(pane)
    assert len(spans) == times
    assert all(span.start_ms <= at_ms < span.end_ms and pane in shape.panes_of(span) for span in spans)
    assert spans[0].end_ms == pane + shape.first_end_ms
    assert spans[-1].end_ms == pane + shape.last_end_ms


@pytest.mark.parametrize(
    ("times", "spans"),
    [
        ([], []),
        ([5], [Span(5, 15)]),
        ([5, 14], [Span(5, 24)]),  # one before the gap has passed
        ([5, 15], [Span(5, 15), Span(15, 25)]),  # exactly the gap: another session
        ([14, 5, 23], [Span(5, 33)]),
        ([5, 5], [Span(5, 15)]),
    ],
)
def test_a_session_ends_when_the_gap_has_passed(times: list[int], spans: list[Span]) -> None:
    assert Session(10).spans(times) == spans


@given(times=st.lists(st.integers(0, 500), max_size=40), gap=st.integers(1, 60))
def test_events_of_one_session_are_never_a_whole_empty_pane_apart(times: list[int], gap: int) -> None:
    shape = Session(gap)
    for span in shape.spans(times):
        panes = sorted({pane_of(shape, time) for time in times if span.start_ms <= time < span.end_ms})
        assert all(after - before == gap for before, after in itertools.pairwise(panes))
