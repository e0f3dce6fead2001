"""Cutting batches and ageing them, their numbers, and outcomes without their degenerate forms."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.mapping.batch import (
    ENVELOPE_BYTES,
    RETENTION_MS,
    BatchingWindow,
    Numbers,
    Weighed,
    Work,
    fitting,
    lowest,
    payload_bytes,
    well_formed,
)
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome, Written
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.record import ChangeRecord
from tests.unit.mapping.records import WALL_MS, now, record, records


def test_the_payload_counts_keys_both_images_and_the_envelope() -> None:
    assert payload_bytes(record(1, size=100)) == ENVELOPE_BYTES + 2 + 100


@pytest.mark.parametrize(
    ("count", "batch_size", "batch_bytes", "expected"),
    [
        (0, 3, 6_000_000, (0, False)),
        (2, 3, 6_000_000, (2, False)),
        (3, 3, 6_000_000, (3, True)),
        (5, 3, 6_000_000, (3, True)),
        (5, 5, 1_300, (2, True)),
        (5, 5, 1, (1, True)),  # one record always fits
    ],
)
def test_a_batch_ends_at_its_size_or_payload(
    count: int, batch_size: int, batch_bytes: int, expected: tuple[int, bool]
) -> None:
    settings = MappingSettings("m", batch_size=batch_size, batch_bytes=batch_bytes)
    assert fitting(records(*range(1, count + 1)), settings, batch_size) == expected


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(1, 4)), max_size=12),
    st.sampled_from([1, 1_300, 2_000, 6_000_000]),
)
def test_what_waits_makes_the_same_batch_however_often_it_was_asked(
    steps: list[tuple[bool, int, int]], batch_bytes: int
) -> None:
    """A step adds records or takes the first ones, then asks."""
    settings = MappingSettings("m", batch_size=4, batch_bytes=batch_bytes)
    waiting, pending, last = Weighed(), list[ChangeRecord](), 0
    for adds, count, limit in steps:
        if adds:
            pending += records(*range(last + 1, last + count + 1))
            last += count
        else:
            del pending[:count]
            waiting.forget()
        assert waiting.fitting(pending, settings, limit) == fitting(pending, settings, limit)


def test_a_record_that_waits_is_weighed_once() -> None:
    weighed = []

    class Counted:
        old = new = b""

        @property
        def keys(self) -> bytes:
            weighed.append(self)
            return b""

    settings, waiting, pending = MappingSettings("m", batch_size=10_000), Weighed(), list[Any]()
    for _ in range(50):
        pending.append(Counted())
        waiting.fitting(pending, settings, 10_000)
    assert weighed == pending


def test_only_records_beyond_the_age_are_taken() -> None:
    settings = MappingSettings("m", maximum_record_age_ms=60_000)
    old, young = record(1, created_ms=WALL_MS - 60_001), record(2, created_ms=WALL_MS - 60_000)
    work = Work([old, young], request=1, attempts=8)
    work.failed(Failure(error="no"), now())
    taken = work.take_over_age(settings, now())
    assert [(entry.record, entry.condition, entry.attempts) for entry in taken] == [
        (old, "RecordAgeExceeded", 8)
    ]
    assert work.records == [young]


def test_an_old_record_is_looked_at_before_its_back_off_ends() -> None:
    settings = MappingSettings("m", maximum_record_age_ms=60_000)
    work = Work([record(1, created_ms=WALL_MS - 59_000)], request=1, ready_ms=30_000)
    assert work.wake_ms(settings, now()) == 1_001
    assert work.wake_ms(MappingSettings("m"), now()) == 30_000


@pytest.mark.parametrize(
    ("maximum_ms", "created_ms", "is_taken"),
    [
        (-1, WALL_MS - RETENTION_MS, False), (-1, WALL_MS - RETENTION_MS - 1, True),
        (604_800_000, WALL_MS - RETENTION_MS, False), (604_800_000, WALL_MS - RETENTION_MS - 1, True),
        (60_000, WALL_MS - 60_000, False), (60_000, WALL_MS - 60_001, True),
    ],
)  # fmt: skip
def test_a_lane_gives_up_what_fails_when_the_stream_keeps_it_no_more(
    maximum_ms: int, created_ms: int, is_taken: bool
) -> None:
    settings = MappingSettings("m", order="lane", maximum_record_age_ms=maximum_ms)
    work = Work([record(1, created_ms=created_ms)], request=1, ready_ms=30_000)
    assert work.wake_ms(settings, now()) == (0 if is_taken else 1)
    assert bool(work.take_over_age(settings, now())) is is_taken


def test_a_key_holds_what_fails_as_long_as_its_policy_says() -> None:
    work = Work([record(1, created_ms=WALL_MS - 2 * RETENTION_MS)], request=1)
    assert work.take_over_age(MappingSettings("m", order="key"), now()) == []


def test_failures_are_dated_first_and_last() -> None:
    work = Work(records(1), request=1, attempts=2)
    work.failed(Failure(error="first"), now(5))
    work.failed(Failure(error="last"), now(9))
    (entry,) = work.exhausted()
    assert (entry.first_failure_ms, entry.last_failure_ms) == (WALL_MS + 5, WALL_MS + 9)
    assert entry.failure == Failure(error="last")
    assert (entry.condition, entry.attempts) == ("RetryAttemptsExhausted", 2)


def test_a_window_opens_when_it_is_first_asked_and_closes_by_sending() -> None:
    window = BatchingWindow(MappingSettings("m", batching_window_ms=500))
    assert window.wake_ms is None
    assert not window.is_over(now(100))
    assert window.wake_ms == 600
    assert not window.is_over(now(599))
    assert window.is_over(now(600))
    window.close()
    assert not window.is_over(now(600))


def test_without_a_window_nothing_waits() -> None:
    assert BatchingWindow(MappingSettings("m")).is_over(now())


# ---- numbers and outcomes --------------------------------------------------------------------------------


NO = Failure(error="no")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Written(), None),
        (Failed(), None),
        (Failed({1: NO}), Failed({1: NO})),
        (Failed({1: NO, 3: NO}), Failed(whole=NO)),  # 3 is not in a batch of three
        (Failed({-1: NO}), Failed(whole=NO)),
        (Failed({0: NO}, whole=NO), Failed({0: NO}, whole=NO)),
        (FailedFrom(0, NO), FailedFrom(0, NO)),
        (FailedFrom(2, NO), FailedFrom(2, NO)),
        (FailedFrom(3, NO), Failed(whole=NO)),
        (FailedFrom(-1, NO), Failed(whole=NO)),
    ],
)
def test_an_index_outside_the_batch_is_a_total_failure(outcome: Outcome, expected: object) -> None:
    assert well_formed(outcome, 3) == expected


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (Failed({2: Failure(error="later"), 1: NO}), FailedFrom(1, NO)),
        (FailedFrom(2, NO), FailedFrom(2, NO)),
        (Failed(whole=NO), NO),
    ],
)
def test_lambda_sees_the_lowest_failure(failed: Failed | FailedFrom, expected: object) -> None:
    assert lowest(failed) == expected


def test_an_unchanged_batch_keeps_its_request_but_not_its_id() -> None:
    numbers = Numbers()
    work = Work(records(1), numbers.request())
    first, second = numbers.invoke(work, 0), numbers.invoke(work, 0)
    assert (first.request, second.request) == (1, 1)
    assert first.id != second.id
    assert numbers.request() == 2
