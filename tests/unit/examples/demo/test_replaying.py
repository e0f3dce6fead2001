"""Steps of time, and which failure of many is told."""

from types import SimpleNamespace

from flights_demo.replaying import STEP_MINUTES, first_of, steps


def test_writes_of_half_an_hour_are_one_step() -> None:
    writes = [SimpleNamespace(instant=minute) for minute in (0, 29, 30, 89, 90)]
    batches = [(minute, [write.instant for write in batch]) for minute, batch in steps(writes)]
    assert STEP_MINUTES == 30
    assert batches == [(0, [0, 29]), (30, [30]), (60, [89]), (90, [90])]


def test_a_flight_is_never_written_twice_in_a_step() -> None:
    """Writes of one flight in one step would still be in order: they go over one connection.
    None are that near.
    """
    from tailrace.cli.demo import flights_directory, load

    program = load(flights_directory() / "replay.py")
    near = [
        write.flight
        for _, batch in steps(program.replay(program.week_rows()))
        for write in batch
        if [other.flight for other in batch].count(write.flight) > 1
    ]
    assert near == []


def test_the_first_failure_of_nested_groups_is_told() -> None:
    first = ValueError("first")
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [first, KeyError()]), OSError()])
    assert first_of(group) is first
