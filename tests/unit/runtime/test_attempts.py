"""What is at a handler, and what failed and is tried again."""

from tailrace.clocks.manual import ManualClock
from tailrace.ports import Failed, FailedFrom, Failure, RecordBatch, Written
from tailrace.runtime import attempts as module
from tailrace.runtime.attempts import Attempts
from tests.unit.sinks.batches import STREAM, record

ONE, TWO, THREE = record(1, "k1"), record(2, "k2"), record(3, "k3")
NO = Failure(error="ValueError: no", traceback="line 1")


def batch(*records: object) -> RecordBatch:
    return RecordBatch(records or (ONE, TWO, THREE), "note", STREAM, "shardId-1")  # type: ignore[arg-type]


def failing(attempts: Attempts) -> list[int]:
    return [record.sequence for record in (ONE, TWO, THREE) if attempts.failing(record.sequence)]


def test_what_the_handler_has_is_at_work_until_it_answers() -> None:
    clock = ManualClock(5_000)
    attempts = Attempts(clock)
    attempts.begun(7, batch(ONE, TWO))
    work = attempts.at_work(TWO.sequence)
    assert work is not None
    assert work.since_ms == 5_000
    assert attempts.at_work(THREE.sequence) is None
    attempts.ended(7)
    assert attempts.at_work(TWO.sequence) is None


def test_a_change_fails_from_its_first_failure_until_it_is_accepted() -> None:
    clock = ManualClock(1_000)
    attempts = Attempts(clock)
    attempts.came_to(batch(), Failed({1: NO}))
    clock.advance(500)
    attempts.came_to(batch(TWO), Failed(whole=Failure(error="OSError: away")))
    kept = attempts.failing(TWO.sequence)
    assert kept is not None
    assert (kept.failure.error, kept.since_ms, kept.last_ms, kept.attempts) == (
        "OSError: away",
        1_000,
        1_500,
        2,
    )
    assert failing(attempts) == [TWO.sequence]
    attempts.came_to(batch(TWO), Written())
    assert failing(attempts) == []
    assert attempts.trouble is None


def test_only_what_was_accepted_before_the_first_failure_is_well() -> None:
    attempts = Attempts(ManualClock())
    attempts.came_to(batch(), Failed(whole=NO))
    assert len(failing(attempts)) == 3
    attempts.came_to(batch(), FailedFrom(1, NO))
    assert failing(attempts) == [TWO.sequence, THREE.sequence]


def test_what_is_settled_or_parked_fails_no_more() -> None:
    attempts = Attempts(ManualClock())
    attempts.came_to(batch(), Failed(whole=NO))
    attempts.settled(ONE.sequence, ())
    assert failing(attempts) == [TWO.sequence, THREE.sequence]
    attempts.settled(ONE.sequence, ((THREE.sequence, THREE.sequence),))
    assert failing(attempts) == [TWO.sequence]
    attempts.parked([TWO])
    assert failing(attempts) == []


def test_the_trouble_names_the_last_error_and_since_when_something_fails() -> None:
    clock = ManualClock(1_000)
    attempts = Attempts(clock)
    attempts.came_to(batch(ONE), Failed(whole=NO))
    clock.advance(1_000)
    attempts.came_to(batch(TWO), Failed(whole=Failure(error="OSError: away")))
    trouble = attempts.trouble
    assert trouble is not None
    assert (trouble.last.failure.error, trouble.since_ms, trouble.changes) == ("OSError: away", 1_000, 2)


def test_of_many_the_latest_are_remembered_and_since_when_for_all() -> None:
    assert module.MOST == 1_000
    clock = ManualClock(1_000)
    attempts = Attempts(clock)
    for number in range(module.MOST + 5):
        attempts.came_to(batch(record(number + 10, f"k{number}")), Failed(whole=NO))
        clock.advance(1)
    trouble = attempts.trouble
    assert trouble is not None
    assert (trouble.changes, trouble.since_ms) == (module.MOST, 1_000)
    assert trouble.last.record.sequence == module.MOST + 14
