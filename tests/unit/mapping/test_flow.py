"""Outcomes without their degenerate forms."""

import pytest

from tailrace.mapping.batch import Work
from tailrace.mapping.flow import Numbers, lowest, well_formed
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome, Written
from tests.unit.mapping.records import records

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
