"""When an alert begins, lasts and ends, and who of several workers tells it."""

import pytest
from msgspec.structs import replace

from tailrace.alerts.core.row import (
    CLAIM_MS,
    MOST_NOTICES,
    AlertRow,
    Observer,
    advanced,
    alert_fields,
    alert_write,
    claimed,
    grown,
    read_alert,
    stepped,
    told_to,
    without_sinks,
)
from tailrace.alerts.core.signs import AlertBounds
from tailrace.errors import StoreError
from tailrace.rows.writes import Absent, Equals
from tailrace.streams.moment import Now

BOUNDS = AlertBounds(again_ms=10_000, quiet_ms=5_000)
END_MS = 900
ROW = AlertRow("late", "mail", "orders")
FIRST, SECOND = Observer("w1", 1, END_MS), Observer("w2", 1, END_MS)


def at(milliseconds: int) -> Now:
    """A moment; wall time and monotonic time have nothing to do with each other."""
    return Now(1_700_000_000_000 + milliseconds, milliseconds)


def step(row: AlertRow, detail: str | None, ms: int, observer: Observer = FIRST) -> tuple[AlertRow, Observer]:
    observer = observer.look(row, ms)
    return advanced(row, detail, BOUNDS, observer, at(ms)), observer


def test_it_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    row, seen = step(ROW, "slow", 0)
    assert [notice.word for notice in row.notices] == ["began"]
    row = told_to(row, row.notices[0], 0)
    assert row.notices == ()
    row, seen = step(row, "slower", 100, seen)
    assert row.notices == ()
    row, seen = step(row, None, 200, seen)
    row, seen = step(row, None, 200 + END_MS, seen)
    assert [notice.word for notice in row.notices] == ["ended"]
    assert not row.is_on
    row = told_to(row, row.notices[0], 0)
    assert not row.is_needed
    assert step(row, None, 9_000, seen)[0] == row


@pytest.mark.parametrize(("after_ms", "is_on"), [(END_MS - 1, True), (END_MS, False)])
def test_it_ends_when_no_worker_has_seen_it_for_the_whole_time(after_ms: int, is_on: bool) -> None:
    row, seen = step(ROW, "slow", 0)
    _, seen = step(row, None, 100, seen)
    assert step(row, None, 100 + after_ms, seen)[0].is_on == is_on


def test_a_worker_that_does_not_see_it_leaves_it_on_while_another_one_does() -> None:
    row, seen = step(ROW, "slow", 0)
    other = SECOND
    for ms in range(100, 5_000, 100):
        row, seen = step(row, "slow", ms, seen)
        row, other = step(row, None, ms, other)
        assert row.is_on, ms


@pytest.mark.parametrize(("after_ms", "notices"), [(9_999, 0), (10_000, 1)])
def test_what_lasts_is_told_again_at_its_interval(after_ms: int, notices: int) -> None:
    row, seen = step(ROW, "slow", 0)
    row = told_to(row, row.notices[0], 0)
    again, _ = step(row, "slower", after_ms, seen)
    assert [(notice.word, notice.detail) for notice in again.notices] == [("goes on", "slower")] * notices


def test_of_two_workers_that_see_it_begin_one_writes_and_the_other_is_refused() -> None:
    writes = [alert_write("shop", None, step(ROW, "slow", 0, observer)[0]) for observer in (FIRST, SECOND)]
    assert [write.condition for write in writes] == [Absent(), Absent()]
    row, _ = step(ROW, "slow", 0)
    later = alert_write("shop", row, claimed(row, "w2"))
    assert later.condition == Equals("revision", row.revision)
    assert claimed(row, "w2").revision != row.revision


def test_the_worker_that_wrote_it_tells_and_another_one_only_when_that_stands_still() -> None:
    row, _ = step(ROW, "slow", 0)
    other = SECOND.look(row, 0)
    assert FIRST.look(row, 0).may_tell(row, 0)
    assert not other.may_tell(row, CLAIM_MS - 1)
    assert other.look(row, CLAIM_MS).may_tell(row, CLAIM_MS)
    alive = claimed(row, "w1")
    assert not other.look(alive, CLAIM_MS).may_tell(alive, CLAIM_MS)


def test_a_notice_stays_until_each_sink_has_taken_it() -> None:
    row, _ = step(ROW, "slow", 0, Observer("w1", 2, END_MS))
    (notice,) = row.notices
    once = told_to(row, notice, 1)
    assert once.notices[0].left == (0,)
    assert told_to(once, notice, 0).notices == ()
    assert without_sinks(row, 1).notices[0].left == (0,)
    assert without_sinks(row, 2) == row


def test_what_no_sink_takes_is_bounded_and_repetitions_go_first() -> None:
    row, seen, ms = ROW, FIRST, 0
    for _ in range(MOST_NOTICES):
        row, seen = step(row, "slow", ms, seen)
        row, seen = step(row, "slow", ms + 10_000, seen)
        _, seen = step(row, None, ms + 10_001, seen)
        ms += 20_000
        row, seen = step(row, None, ms, seen)
        assert len(row.notices) <= MOST_NOTICES
    assert [notice.word for notice in row.notices[-2:]] == ["began", "ended"]
    assert len(row.notices) == MOST_NOTICES


def test_without_a_sink_nothing_waits_to_be_told() -> None:
    row, _ = step(ROW, "slow", 0, Observer("w1", 0, END_MS))
    assert (row.is_on, row.notices) == (True, ())


# ---- dead letters ------------------------------------------------------------------------------------------

LETTERS = AlertRow("dead letters", "mail", "orders")


@pytest.mark.parametrize(
    ("level", "count", "grows"), [(0, 0, False), (0, 1, True), (4, 4, False), (4, 5, True)]
)
def test_dead_letters_grow_past_what_is_known(level: int, count: int, grows: bool) -> None:
    row, is_growing = grown(replace(LETTERS, level=level), count, BOUNDS, at(0))
    assert (row.level, is_growing) == (count, grows)


@pytest.mark.parametrize(("after_ms", "grows"), [(4_999, True), (5_000, False)])
def test_they_have_grown_until_none_has_come_for_a_while(after_ms: int, grows: bool) -> None:
    row, _ = grown(LETTERS, 1, BOUNDS, at(0))
    row = replace(row, began_ms=at(0).wall_ms)
    assert grown(row, 1, BOUNDS, at(after_ms))[1] == grows


def test_a_redrive_lowers_what_is_known_so_that_the_next_one_counts() -> None:
    row, _ = grown(LETTERS, 5, BOUNDS, at(0))
    row, is_growing = grown(row, 0, BOUNDS, at(1))
    assert (row.level, is_growing) == (0, False)
    assert stepped(LETTERS, row).revision == LETTERS.revision or not row.is_needed
    assert grown(row, 1, BOUNDS, at(2))[1]


def test_a_row_is_read_as_it_was_written_and_one_of_a_newer_format_is_refused() -> None:
    row, _ = step(ROW, "slow", 0)
    assert read_alert(alert_fields(row)) == row
    with pytest.raises(StoreError, match="format 2"):
        read_alert({**alert_fields(row), "v": 2})


def test_a_row_that_says_nothing_any_more_is_removed() -> None:
    row, _ = step(ROW, "slow", 0)
    assert alert_write("shop", row, replace(row, began_ms=0, notices=())).fields is None
    assert alert_write("shop", row, replace(row, began_ms=0, notices=(), level=1)).fields is not None
