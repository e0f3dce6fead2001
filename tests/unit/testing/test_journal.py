"""The events of a world: with their virtual times, the last ones only, told when a test reads them."""

from tailrace import App, Change
from tailrace.clocks.manual import ManualClock
from tailrace.testing import World
from tailrace.testing.journal import KEPT, Journal, named


def test_an_event_has_its_virtual_time() -> None:
    clock = ManualClock(1_767_225_600_000)
    journal = Journal(clock)
    journal.note("{} of {}", 1, "two")
    clock.advance(61_005)
    journal.note("braces {} stay without values")
    assert journal.lines() == [
        "2026-01-01 00:00:00.000  1 of two",
        "2026-01-01 00:01:01.005  braces {} stay without values",
    ]


def test_only_the_last_events_are_kept_and_as_many_are_told_as_are_asked_for() -> None:
    journal = Journal(ManualClock())
    for number in range(KEPT + 5):
        journal.note(f"event {number}")
    assert len(journal.lines()) == KEPT
    assert [line.rsplit(" ", 1)[1] for line in journal.lines(2)] == [str(KEPT + 3), str(KEPT + 4)]
    assert journal.lines(0) == []


def test_many_keys_are_named_in_short() -> None:
    assert named(["a"]) == "a"
    assert named(range(3)) == "0, 1, 2"
    assert named(range(9)) == "0, 1, 2 and 6 more"


def test_writes_deliveries_failures_and_deaths_stand_in_the_journal() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    failing = iter([True])

    @app.on(orders)
    def note(change: Change) -> None:
        if next(failing, False):
            raise ValueError("no")

    with World(app, seed=1) as world:
        world.put(orders, {"id": "a", "n": 1})
        world.settle()
        world.update(orders, {"id": "a"}, n=2)
        world.kill()
        told = [line.split("  ", 1)[1] for line in world.events()]
    handler = "test_writes_deliveries_failures_and_deaths_stand_in_the_journal.<locals>.note"
    assert told == [
        "put orders id=a, n=1",
        f"{handler} ← a, attempt 1",
        f"{handler} ← a raises ValueError('no')",
        f"{handler} ← a, attempt 2",
        "update orders id=a",
        "killed",
    ]
