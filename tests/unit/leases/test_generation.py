"""Streams are numbered in the order of their labels, once, and a late one is refused instead of counted as newer."""

import pytest

from tailrace.errors import SourceError, StoreError
from tailrace.leases.generation import Generations, read_generations
from tailrace.rows.writes import Absent, Equals

FIRST, SECOND, THIRD = "2026-11-01T00:00:00.000", "2026-11-02T00:00:00.000", "2026-11-03T00:00:00.000"
NONE = Generations("shop", "orders")


def test_all_that_are_there_are_numbered_in_the_order_of_their_labels() -> None:
    assert NONE.with_labels([THIRD, FIRST, SECOND]).numbers == {FIRST: 1, SECOND: 2, THIRD: 3}


def test_a_later_one_takes_the_next_number_and_the_others_keep_theirs() -> None:
    known = NONE.with_labels([SECOND, FIRST])
    assert known.with_labels([FIRST, SECOND, THIRD]).numbers == {FIRST: 1, SECOND: 2, THIRD: 3}
    assert known.with_labels([THIRD]).of(THIRD) == 3


def test_one_that_is_gone_by_then_keeps_its_number_taken() -> None:
    assert NONE.with_labels([FIRST]).with_labels([THIRD]).numbers == {FIRST: 1, THIRD: 2}


def test_those_of_before_numbers_are_all_of_the_first_generation() -> None:
    known = NONE.with_labels([FIRST, SECOND], all_first=True)
    assert known.numbers == {FIRST: 1, SECOND: 1}
    assert known.with_labels([THIRD]).of(THIRD) == 2


def test_one_that_is_older_than_a_numbered_one_is_refused_by_name() -> None:
    with pytest.raises(
        SourceError, match=rf"stream {FIRST} of table 'orders' is older than {SECOND}, which is generation 1"
    ):
        NONE.with_labels([SECOND]).with_labels([FIRST, SECOND])


def test_a_row_is_written_only_over_the_one_that_was_read() -> None:
    first = NONE.with_labels([FIRST])
    assert first.write().condition == Absent()
    second = first.with_labels([SECOND])
    assert second.write().condition == Equals("revision", 1)
    assert read_generations("shop", "orders", second.write().fields) == second


def test_a_row_of_the_future_is_refused() -> None:
    with pytest.raises(StoreError, match="table's sources has format 2"):
        read_generations("shop", "orders", {"v": 2})
