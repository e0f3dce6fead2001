"""One change and its item's row → the rows to write, in a table."""

from typing import Any

import pytest

from tailrace.rows.writes import Absent, Equals
from tailrace.streams.version import Version
from tailrace.windows.core.folding import as_they_are, fold, is_closed_for_good
from tailrace.windows.core.rows import (
    LATEST_MS,
    Contribution,
    WindowOwner,
    contribution_fields,
    digits,
    member_key,
    read_contribution,
)
from tailrace.windows.core.shapes import Fixed, Session

OWNER = WindowOwner("shop", "spike")
SHAPE = Fixed(60_000, 60_000)
NOW_MS = 10_000_000


def at(sequence: int, at_ms: int | None, group: str = "NL") -> Contribution:
    if at_ms is None:
        return Contribution("6b", Version(1, sequence))
    return Contribution("6b", Version(1, sequence), group, at_ms, {"n": {"N": str(sequence)}})


def kinds(before: Contribution | None, after: Contribution, horizon_ms: int = 0) -> list[tuple[str, bool]]:
    """The kinds of the rows that are written, and whether they are put."""
    folded = fold(OWNER, SHAPE, before, after, horizon_ms, NOW_MS)
    return [
        (write.key.split("/")[0].removeprefix("window-"), write.fields is not None) for write in folded.writes
    ]


IN = [("member", True), ("touched", True), ("day", True)]
OUT = [("member", False), ("touched", True), ("day", True)]
CASES: list[tuple[str, Contribution | None, Contribution, list[tuple[str, bool]]]] = [
    ("the first change goes in", None, at(1, 5), [*IN, ("item", True)]),
    ("a newer one takes the old one out and goes in", at(1, 5), at(2, 70_000), [*OUT, *IN, ("item", True)]),
    ("the same again changes nothing", at(2, 5), at(2, 5), []),
    ("an older one changes nothing", at(2, 5), at(1, 90_000), []),
    ("a removal takes it out and leaves a tombstone", at(1, 5), at(2, None),
     [*OUT, ("day", True), ("item", True)]),
    ("a late duplicate of a removed item changes nothing", at(2, None), at(1, 5), []),
    ("an item that comes back goes in", at(2, None), at(3, 5), [*IN, ("item", True)]),
    ("a removal of nothing leaves a tombstone", None, at(1, None), [("day", True), ("item", True)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "written"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_a_change_writes(before: Any, after: Contribution, written: list[tuple[str, bool]]) -> None:
    assert kinds(before, after) == written


def test_the_items_row_is_written_on_the_condition_that_it_is_as_it_was() -> None:
    first = fold(OWNER, SHAPE, None, at(1, 5), 0, NOW_MS).writes[-1]
    assert first.condition == Absent()
    second = fold(OWNER, SHAPE, at(1, 5), at(2, 5), 0, NOW_MS).writes[-1]
    assert second.condition == Equals("version", Version(1, 1).text)


def test_both_groups_are_touched_when_an_item_changes_its_group() -> None:
    folded = fold(OWNER, SHAPE, at(1, 5, "NL"), at(2, 5, "BE"), 0, NOW_MS)
    assert folded.touched == [(0, "NL"), (0, "BE")]


def test_what_is_closed_for_good_stays_as_it_was_told() -> None:
    assert kinds(at(1, 5), at(2, 90_000), horizon_ms=59_999) == [*OUT, *IN, ("item", True)]
    assert kinds(at(1, 5), at(2, 90_000), horizon_ms=60_000) == [*IN, ("item", True)]
    assert kinds(at(1, 5), at(2, None), horizon_ms=60_000) == [("day", True), ("item", True)]


def test_what_comes_into_a_window_that_is_closed_for_good_is_told_to_nobody() -> None:
    """As a replay hands it over; live, it came too late."""
    assert kinds(None, at(1, 5), horizon_ms=60_000) == [("member", True), ("day", True), ("item", True)]


def test_of_an_item_that_is_in_two_panes_of_a_window_its_last_contribution_counts() -> None:
    other = Contribution("6c", Version(1, 7), "NL", 30, {})
    assert as_they_are([at(2, 50), at(3, 20), at(1, 5), other]) == [at(3, 20), other]


@pytest.mark.parametrize(("horizon_ms", "closed"), [(59_999, False), (60_000, True)])
def test_a_window_is_closed_for_good_when_its_end_has_passed(horizon_ms: int, closed: bool) -> None:
    assert is_closed_for_good(SHAPE, 5, horizon_ms) is closed
    assert is_closed_for_good(Session(30_000), 5, horizon_ms) is closed


def test_rows_sort_by_time_and_read_back() -> None:
    keys = [member_key(OWNER, "NL", pane, "6b") for pane in (0, 9, 10, 1_767_225_600_000, LATEST_MS)]
    assert keys == sorted(keys)
    assert len(digits(LATEST_MS)) == len(digits(0))
    assert read_contribution(contribution_fields(at(3, 5))) == at(3, 5)


def test_a_change_of_a_stream_that_was_switched_off_and_on_goes_in_though_its_number_is_smaller() -> None:
    newer = Contribution("6b", Version(2, 1), "NL", 5, {})
    assert kinds(at(900, 5), newer) == [*OUT, *IN, ("item", True)]
    assert kinds(newer, at(901, 5)) == []


def test_a_row_of_before_versions_is_of_the_first_generation_and_is_replaced_as_it_was_read() -> None:
    old = read_contribution({"v": 1, "key": "6b", "sequence": 900, "group": "NL", "at_ms": 5, "image": {}})
    assert old == Contribution("6b", Version(1, 900), "NL", 5, {})
    assert fold(OWNER, SHAPE, old, at(901, 5), 0, NOW_MS).writes[-1].condition == Equals("sequence", 900)
