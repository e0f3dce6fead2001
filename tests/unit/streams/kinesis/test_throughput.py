"""A shard's limits at their bounds and one past."""

from tailrace.streams.kinesis.throughput import MEBIBYTE, ShardRates


def filled_with(count: int, size: int) -> ShardRates | None:
    rates: ShardRates | None = ShardRates.fresh(0)
    for _ in range(count):
        assert rates is not None
        rates = rates.putting(size, 0)
    return rates


def test_a_thousand_records_a_second_are_taken_and_one_more_is_not() -> None:
    full = filled_with(1_000, 1)
    assert full is not None
    assert full.putting(1, 0) is None
    again = full.putting(1, 1)
    assert again is not None
    assert again.putting(1, 1) is None
    assert full.putting(1, 10_000) is not None


def test_a_mebibyte_a_second_is_taken_and_a_byte_more_is_not() -> None:
    rates = filled_with(1, MEBIBYTE - 10)
    assert rates is not None
    assert rates.putting(11, 0) is None
    assert rates.putting(10, 0) is not None


def test_a_record_larger_than_a_second_takes_the_seconds_after_it() -> None:
    rates = filled_with(1, 10 * MEBIBYTE)
    assert rates is not None
    assert rates.putting(1, 9_000) is None
    assert rates.putting(MEBIBYTE, 9_999) is None
    assert rates.putting(MEBIBYTE, 10_000) is not None
    assert ShardRates.fresh(0).putting(1, 0) is not None
    one = filled_with(1, 1)
    assert one is not None
    assert one.putting(10 * MEBIBYTE, 0) is None


def test_five_reads_a_second_are_answered_and_the_sixth_is_not() -> None:
    rates: ShardRates | None = ShardRates.fresh(0)
    for _ in range(5):
        assert rates is not None
        rates = rates.asking(0)
    assert rates is not None
    assert rates.asking(199) is None
    assert rates.asking(200) is not None


def test_after_ten_mebibytes_the_next_read_waits_five_seconds() -> None:
    began = ShardRates.fresh(0).asking(0)
    assert began is not None
    after = began.having_read(10 * MEBIBYTE)
    assert after.asking(5_000) is None
    assert after.asking(5_001) is not None


def test_two_mebibytes_a_second_may_be_read_in_parts() -> None:
    rates: ShardRates | None = ShardRates.fresh(0)
    for _ in range(2):
        assert rates is not None
        rates = rates.asking(0)
        assert rates is not None
        rates = rates.having_read(MEBIBYTE)
    assert rates is not None
    assert rates.asking(0) is None
    assert rates.asking(1) is not None


def test_a_clock_that_stands_still_gives_nothing_back() -> None:
    rates = filled_with(1_000, 1)
    assert rates is not None
    assert rates.filled(0) == rates
