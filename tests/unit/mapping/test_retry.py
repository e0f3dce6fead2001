"""One table for every decision after a failure."""

import pytest

from tailrace.mapping.outcomes import Failure, FailureKind
from tailrace.mapping.retry import Decision, GiveUp, RetryAfter, Split, after_failure, delay_ms
from tailrace.mapping.settings import INFINITE, Backoff, MappingSettings

BACKOFF = Backoff(100, 2.0, 1_000)
RECORD, TIMEOUT = FailureKind.RECORD, FailureKind.TIMEOUT
THROTTLED, UNAVAILABLE = FailureKind.THROTTLED, FailureKind.UNAVAILABLE

#   kind, records, attempts used up, outages in a row, bisect, retries allowed → decision
TABLE: list[tuple[FailureKind, int, int, int, bool, int, Decision]] = [
    (RECORD, 4, 1, 0, True, 0, Split(2)),
    (RECORD, 3, 1, 0, True, 0, Split(1)),
    (RECORD, 2, 1, 0, True, 0, Split(1)),
    (TIMEOUT, 5, 1, 0, True, 3, Split(2)),
    (RECORD, 4, 9, 0, True, 1, Split(2)),  # splitting costs no attempt, however many were used
    (RECORD, 1, 1, 0, True, 0, GiveUp()),
    (RECORD, 1, 1, 0, True, 1, RetryAfter(100, counts=True)),
    (RECORD, 1, 2, 0, True, 1, GiveUp()),
    (RECORD, 4, 1, 0, False, 2, RetryAfter(100, counts=True)),
    (RECORD, 4, 2, 0, False, 2, RetryAfter(200, counts=True)),
    (RECORD, 4, 3, 0, False, 2, GiveUp()),  # N retries allow N+1 invokes
    (TIMEOUT, 1, 3, 0, False, 2, GiveUp()),
    (RECORD, 1, 50, 0, False, INFINITE, RetryAfter(1_000, counts=True)),
    (THROTTLED, 1, 1, 1, False, 0, RetryAfter(100, counts=False)),
    (THROTTLED, 4, 1, 3, True, 0, RetryAfter(400, counts=False)),  # an outage never splits a batch
    (UNAVAILABLE, 1, 99, 7, False, 0, RetryAfter(1_000, counts=False)),
]


@pytest.mark.parametrize(("kind", "size", "attempts", "outages", "bisect", "retries", "expected"), TABLE)
def test_the_decision_after_a_failure(
    kind: FailureKind, size: int, attempts: int, outages: int, bisect: bool, retries: int, expected: Decision
) -> None:
    settings = MappingSettings(
        "m", bisect_batch_on_function_error=bisect, maximum_retry_attempts=retries, backoff=BACKOFF
    )
    assert after_failure(settings, Failure(kind), size=size, attempts=attempts, outages=outages) == expected


def test_a_failed_probe_uses_up_no_attempt() -> None:
    settings = MappingSettings("m", maximum_retry_attempts=0, backoff=BACKOFF)
    decision = after_failure(settings, Failure(), size=1, attempts=1, outages=2, probing=True)
    assert decision == RetryAfter(200, counts=False)


@pytest.mark.parametrize(
    ("backoff", "failures", "at_least", "expected"),
    [
        (BACKOFF, 1, 0, 100),
        (BACKOFF, 4, 0, 800),
        (BACKOFF, 5, 0, 1_000),
        (BACKOFF, 10_000, 0, 1_000),  # no overflow
        (Backoff(1_000_000_000, 10.0, 1_000_000_000), 10_000, 0, 1_000_000_000),
        (BACKOFF, 1, 5_000, 5_000),  # the sink's own wish
        (BACKOFF, 4, 50, 800),
        (Backoff(0, 1.0, 0), 3, 0, 0),
    ],
)
def test_waiting_doubles_up_to_the_cap(backoff: Backoff, failures: int, at_least: int, expected: int) -> None:
    assert delay_ms(backoff, failures, at_least) == expected


def test_what_cannot_get_better_is_not_tried_again() -> None:
    """Fault 2.11: a message too large for its sink was retried to the end."""
    refused = Failure(RECORD, "too large", final=True)
    settings = MappingSettings("m", maximum_retry_attempts=5)
    assert after_failure(settings, refused, size=1, attempts=1) == GiveUp()
    assert after_failure(settings, refused, size=4, attempts=1) == Split(2)  # which one was meant is unknown
    whole = MappingSettings("m", maximum_retry_attempts=5, bisect_batch_on_function_error=False)
    assert after_failure(whole, refused, size=4, attempts=1) == GiveUp()


def test_a_function_is_tried_again_whatever_it_raises() -> None:
    settings = MappingSettings.for_lambda("m", MaximumRetryAttempts=1)
    again = after_failure(settings, Failure(RECORD, final=True), size=1, attempts=1)
    assert isinstance(again, RetryAfter)


WHOLE = MappingSettings("m", order="shard", on_failure="discard", maximum_retry_attempts=1, backoff=BACKOFF)
#   kind, records, attempts used up, failures that used up none in a row, final → decision in the order of the
# whole shard
WHOLE_TABLE: list[tuple[FailureKind, int, int, int, bool, Decision]] = [
    (RECORD, 4, 1, 1, False, Split(2)),
    (RECORD, 1, 1, 1, False, RetryAfter(100, counts=True)),
    (RECORD, 1, 2, 1, False, GiveUp()),
    (RECORD, 1, 1, 1, True, GiveUp()),
    (RECORD, 2, 1, 1, True, Split(1)),
    (TIMEOUT, 4, 1, 1, False, Split(2)),  # less may be done in time
    (TIMEOUT, 1, 1, 1, False, RetryAfter(100, counts=False)),
    (TIMEOUT, 1, 99, 4, False, RetryAfter(800, counts=False)),  # slow is no refusal
    (THROTTLED, 1, 99, 1, False, RetryAfter(100, counts=False)),
]


@pytest.mark.parametrize(("kind", "size", "attempts", "outages", "final", "expected"), WHOLE_TABLE)
def test_only_a_refusal_is_given_up_in_the_order_of_the_shard(
    kind: FailureKind, size: int, attempts: int, outages: int, final: bool, expected: Decision
) -> None:
    failure = Failure(kind, final=final)
    assert after_failure(WHOLE, failure, size=size, attempts=attempts, outages=outages) == expected
