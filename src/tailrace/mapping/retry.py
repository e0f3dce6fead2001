"""What to do after a failure: one pure decision, and how long to wait.

Rules of this file: numbers in, a decision out; no other file compares attempts with limits. Called by the
flows.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from tailrace.mapping.outcomes import Failure, FailureKind
from tailrace.mapping.settings import INFINITE, Backoff, MappingSettings

OUTAGES: Final = (FailureKind.THROTTLED, FailureKind.UNAVAILABLE)
FREE: Final = (*OUTAGES, FailureKind.EARLY)
"""What uses up no attempt."""
MOST_DOUBLINGS: Final = 200  # keeps factor**n inside a float; every back-off has reached its cap long before


class RetryAfter(Struct, frozen=True):
    """Send the same records again after this time. `counts`: the failed attempt was used up."""

    delay_ms: int
    counts: bool


class Split(Struct, frozen=True):
    """Send the first `size` records and then the rest, each as a new batch with all of its attempts."""

    size: int


class GiveUp(Struct, frozen=True):
    """Do not try again. It is never waited for: the last failure decides at once, or one that cannot get
    better.
    """


Decision: TypeAlias = RetryAfter | Split | GiveUp


def after_failure(
    settings: MappingSettings,
    failure: Failure,
    *,
    size: int,
    attempts: int,
    outages: int = 0,
    probing: bool = False,
) -> Decision:
    """Decide about a batch of `size` records that failed as a whole.

    Shape:   `attempts` were used up, this one included; `outages` failures of the sink came in a row, this
             one included; `probing`: the breaker was open, so this failure says nothing about the record.
    Source:  semantics §2.5.
    """
    is_slow = failure.kind is FailureKind.TIMEOUT and settings.order == "shard" and size == 1  # no refusal
    if failure.kind in FREE or probing or is_slow:
        return RetryAfter(delay_ms(settings.backoff, max(outages, 1), failure.retry_after_ms), counts=False)
    if size > 1 and settings.bisect_batch_on_function_error:
        return Split(size // 2)
    limit = settings.maximum_retry_attempts
    if failure.final and settings.order != "lane":  # Lambda knows no such word
        return GiveUp()
    if limit != INFINITE and attempts > limit:
        return GiveUp()
    return RetryAfter(delay_ms(settings.backoff, attempts, failure.retry_after_ms), counts=True)


def delay_ms(backoff: Backoff, failures: int, at_least_ms: int = 0) -> int:
    """How long to wait after the n-th failure in a row (1 is the first)."""
    exponent = min(failures - 1, MOST_DOUBLINGS)
    return max(int(min(backoff.base_ms * backoff.factor**exponent, backoff.cap_ms)), at_least_ms)
