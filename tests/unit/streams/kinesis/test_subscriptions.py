"""Subscriptions to shards, each bound and one past it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.kinesis.data_records import DataPage, DataRecord
from tailrace.streams.kinesis.subscriptions import (
    HEARTBEAT_MS,
    LIFE_MS,
    Subscription,
    fresh_allowance,
    may_take_over,
)
from tailrace.streams.kinesis.throughput import READ_PER_SECOND

BEGUN = Subscription(1_000, 1_000, 0, "10")


def page(*sizes: int, after: int = 0) -> DataPage:
    """Records of these sizes behind a number."""
    records = [
        DataRecord(after + index, str(100 + after + index), 0, "a", bytes(size))
        for index, size in enumerate(sizes, start=1)
    ]
    return DataPage(records, after + len(sizes))


@pytest.mark.parametrize(("now_ms", "may"), [(0, False), (4_999, False), (5_000, True), (300_000, True)])
def test_a_shard_is_taken_over_after_five_seconds(now_ms: int, may: bool) -> None:
    assert may_take_over(0, now_ms) is may


def test_a_shard_of_nobody_is_taken_at_once() -> None:
    assert may_take_over(None, 0)


def test_a_subscription_lives_five_minutes() -> None:
    assert not BEGUN.is_over(1_000 + LIFE_MS - 1)
    assert BEGUN.is_over(1_000 + LIFE_MS)
    assert LIFE_MS == 300_000


def test_it_says_something_after_five_seconds_of_silence() -> None:
    assert not BEGUN.is_silent(1_000 + HEARTBEAT_MS - 1)
    assert BEGUN.is_silent(1_000 + HEARTBEAT_MS)
    told = BEGUN.told(page(), 3_000)
    assert not told.is_silent(7_999)
    assert told.is_silent(8_000)


def test_it_wakes_for_what_comes_first() -> None:
    assert BEGUN.wakes_ms() == 6_000
    assert BEGUN.told(page(), 299_000).wakes_ms() == 301_000


def test_it_goes_on_behind_what_was_told() -> None:
    told = BEGUN.told(page(1, 1, after=7), 2_000)
    assert (told.after, told.continuation) == (9, "109")
    silent = told.told(DataPage((), 12), 3_000)  # what was trimmed meanwhile is passed
    assert (silent.after, silent.continuation) == (12, "109")


def test_where_nothing_is_limited_nobody_waits() -> None:
    assert BEGUN.told(page(100_000_000), 2_000).waits_ms(2_000) == 0


def test_a_consumer_gets_two_mebibytes_in_a_second() -> None:
    limited = Subscription(0, 0, 0, "10", fresh_allowance(0))
    most = limited.told(page(READ_PER_SECOND - 1), 0)
    assert most.waits_ms(0) == 0
    whole = limited.told(page(READ_PER_SECOND), 0)
    assert whole.waits_ms(0) == 1
    assert whole.waits_ms(1) == 0
    twice = limited.told(page(2 * READ_PER_SECOND), 0)
    assert twice.waits_ms(0) == 1_001
    assert twice.waits_ms(1_000) == 1
    assert twice.waits_ms(1_001) == 0


@given(st.lists(st.integers(1, 3 * READ_PER_SECOND), min_size=1, max_size=20))
def test_over_any_time_no_consumer_gets_more_than_its_rate_and_one_event(sizes: list[int]) -> None:
    now_ms, told, limited = 0, 0, Subscription(0, 0, 0, "10", fresh_allowance(0))
    for size in sizes:
        now_ms += limited.waits_ms(now_ms)
        assert limited.waits_ms(now_ms) == 0
        assert told <= READ_PER_SECOND * (1 + now_ms / 1_000)
        limited = limited.told(page(size), now_ms)
        told += size
