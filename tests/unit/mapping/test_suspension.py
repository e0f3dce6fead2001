"""When a mapping pauses by itself: the evidence, and what takes it away."""

from tailrace.mapping.outcomes import Failure, FailureKind
from tailrace.mapping.suspension import LEAST_EVIDENCE, Suspension


def failure(error: str) -> Failure:
    return Failure(FailureKind.RECORD, error)


def keys(first: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def test_as_many_keys_as_are_asked_for_that_fail_alike_are_evidence() -> None:
    suspension = Suspension(max_keys=LEAST_EVIDENCE)
    suspension.failed(keys(0, LEAST_EVIDENCE - 1), failure("KeyError: 'total'"))
    assert not suspension.is_convinced
    suspension.failed(keys(0, 1), failure("KeyError: 'total'"))
    assert not suspension.is_convinced, "one key that fails twice is one key"
    suspension.failed(keys(9, 1), failure("KeyError: 'total'"))
    assert suspension.is_convinced


def test_changes_that_fail_for_different_reasons_are_no_evidence() -> None:
    suspension = Suspension(max_keys=LEAST_EVIDENCE)
    for number in range(3 * LEAST_EVIDENCE):
        reason = ("KeyError: 'total'", "ValueError: not a date")[number % 2]
        suspension.failed(keys(number, 1), failure(reason))
        assert not suspension.is_convinced


def test_whatever_the_handler_accepts_takes_the_evidence_away() -> None:
    suspension = Suspension(max_keys=LEAST_EVIDENCE)
    suspension.failed(keys(0, LEAST_EVIDENCE - 1), failure("KeyError: 'total'"))
    suspension.succeeded()
    suspension.failed(keys(10, LEAST_EVIDENCE - 1), failure("KeyError: 'total'"))
    assert not suspension.is_convinced
