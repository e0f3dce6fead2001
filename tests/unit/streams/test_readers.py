"""How many read a shard, told by what they read."""

from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.readers import FORGET_MS, ShardReaders


def after(*reads: tuple[int, int, int]) -> tuple[ShardReaders, int]:
    readers = ShardReaders()
    for position, reached, now_ms in reads:
        readers.read(position, reached, now_ms)
    return readers, reads[-1][2]


def count(*reads: tuple[int, int, int]) -> int:
    readers, now_ms = after(*reads)
    return readers.count(now_ms)


def test_one_reader_is_one_however_often_it_looks() -> None:
    assert count((0, 0, 1), (0, 5, 2), (5, 5, 3), (5, 9, 4)) == 1


def test_two_that_pass_the_same_records_are_two() -> None:
    assert count((0, 5, 1), (0, 5, 2), (5, 9, 3), (5, 9, 4)) == 2


def test_one_that_begins_anew_is_one() -> None:
    assert count((0, 5, 1), (5, 9, 2), (0, 5, 3), (5, 9, 4)) == 1


def test_one_that_has_not_gone_on_for_a_minute_is_forgotten() -> None:
    readers, _ = after((0, 5, 1), (0, 5, 2), (5, 9, 3), (5, 9, 4))
    assert readers.count(FORGET_MS + 2) == 2
    assert readers.count(FORGET_MS + 3) == 1
    assert readers.count(FORGET_MS + 4) == 0


def test_one_that_sees_no_record_does_not_count() -> None:
    assert count((0, 0, 1), (0, 0, 2), (7, 7, 3)) == 0


@given(st.integers(1, 4), st.lists(st.integers(1, 5), min_size=3, max_size=12))
def test_readers_side_by_side_are_counted_whatever_their_order(number: int, pages: list[int]) -> None:
    readers, now_ms = ShardReaders(), 0
    positions = [0] * number
    for size in pages:
        for place in range(number):  # all of them pass this page before any passes the next one
            now_ms += 1
            readers.read(positions[place], positions[place] + size, now_ms)
            positions[place] += size
    assert readers.count(now_ms) == number
