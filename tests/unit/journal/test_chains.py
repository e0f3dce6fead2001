"""Chains of an item's changes: what breaks one, and what excuses a break."""

import pytest

from tailrace.journal.core.chains import ItemChain, MissingChanges
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.records import SCAN
from tailrace.streams.version import Version

BREAK = "its old image is not what the change before it left"


def change(
    sequence: int, old: bytes | None, new: bytes | None, *, key: bytes = b"k", origin: str | None = None
) -> JournalChange:
    event = "INSERT" if old is None else "MODIFY" if new is not None else "REMOVE"
    return JournalChange("s", key, Version(1, sequence), sequence, event, old, new, origin)


def breaks(*changes: JournalChange, missing: tuple[MissingChanges, ...] = ()) -> list[str]:
    chain = ItemChain(missing)
    return [chain.break_of(change) for change in changes]


def test_each_change_begins_with_what_the_one_before_left() -> None:
    story = (change(1, None, b"1"), change(2, b"1", b"2"), change(3, b"2", None), change(4, None, b"4"))
    assert breaks(*story) == ["", "", "", ""]
    assert breaks(story[0], story[2]) == ["", BREAK]
    assert breaks(story[0], story[3]) == ["", BREAK]


def test_a_row_of_a_base_may_have_the_version_of_the_change_it_was_read_behind() -> None:
    row, last = change(7, None, b"7", origin=SCAN), change(7, b"6", b"7")
    assert breaks(row, last) == breaks(last, row) == ["", ""]
    assert breaks(last, last) == ["", "two changes have its version"]


def test_items_do_not_judge_each_other_and_a_history_may_begin_anywhere() -> None:
    assert breaks(change(7, b"6", b"7"), change(2, b"1", b"2", key=b"l")) == ["", ""]


def test_the_same_image_in_other_bytes_is_the_same() -> None:
    assert breaks(change(1, None, b'{"a":1,"b":2}'), change(2, b'{"b": 2, "a": 1}', b"{}")) == ["", ""]
    assert breaks(change(1, None, b"{"), change(2, b"}", b"{}")) == ["", BREAK]


def test_versions_rise() -> None:
    one = change(5, None, b"1")
    assert breaks(one, change(5, b"1", b"2")) == ["", "two changes have its version"]
    assert breaks(one, change(4, b"1", b"2")) == ["", "it is older than the change before it"]


@pytest.mark.parametrize(
    ("first", "last", "excused"), [(2, 2, True), (1, 1, False), (3, 3, False), (1, 9, True), (4, 9, False)]
)
def test_a_gap_excuses_a_break_that_it_lies_in_and_no_other(first: int, last: int, excused: bool) -> None:
    told = breaks(change(1, None, b"1"), change(3, b"2", b"3"), missing=(MissingChanges(1, first, last),))
    assert told == ["", "" if excused else BREAK]


def test_a_row_of_a_base_judges_nothing_and_is_judged_by_nothing() -> None:
    row = change(2, None, b"7", origin=SCAN)
    assert breaks(change(1, None, b"1"), row, change(3, b"1", b"3")) == ["", "", ""]
    assert breaks(change(1, None, b"1"), row, change(3, b"7", b"3")) == ["", "", BREAK]
    assert breaks(row, change(3, b"1", b"3")) == ["", ""]


def test_a_row_of_a_base_may_come_before_the_change_that_has_its_version() -> None:
    row = change(2, None, b"2", origin=SCAN)
    assert breaks(row, change(2, b"1", b"2"), change(3, b"2", b"3")) == ["", "", ""]
