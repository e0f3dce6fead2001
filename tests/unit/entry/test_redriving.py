"""What a schedule does: what is parked and dead goes back, in order, as far as the time goes."""

from typing import Any

import pytest

from tailrace.app.on_failure import Discard
from tailrace.deadletters.core.head import CLAIM_MS
from tailrace.entry.redriving import RedriverEvent, read_redriver_event
from tailrace.errors import SettingsError, Unavailable
from tests.unit.entry.invoking import ARN, DONE, Process, Script, TablesInMemory, event_of, shop


def test_what_is_parked_is_handled_in_order_and_its_key_is_free() -> None:
    script, state = Script({1: 3}), TablesInMemory()
    process = Process(shop(script), state)
    assert process(event_of("a", "a", "b")) == DONE
    said = process.redrive()
    assert script.handled == [3, 1, 2]
    assert (said["is_over"], said["handlers"]["audit"]["done"]) == (True, 2)
    assert state.keys("head") == state.keys("parked") == state.keys("redrive") == []
    assert process(event_of("a", first=4)) == DONE
    assert script.handled == [3, 1, 2, 4]


def test_what_still_fails_stays_with_all_that_waits_behind_it() -> None:
    script, state = Script([1]), TablesInMemory()
    process = Process(shop(script), state)
    process(event_of("a", "a", "b"))
    for _ in range(2):
        said = process.redrive()
        assert said["handlers"]["audit"]["failed"] == 1
    assert script.handled == [3]
    assert len(state.keys("parked")) == 2
    script.failing.clear()
    process.redrive()
    assert script.handled == [3, 1, 2]


def test_another_process_redrives_what_this_one_has_parked() -> None:
    script, state = Script({1: 3}), TablesInMemory()
    app = shop(script)
    Process(app, state)(event_of("a", "a"))
    Process(app, state, seed=2).redrive()
    assert script.handled == [1, 2]


def test_dead_letters_are_put_back_unless_they_are_overtaken() -> None:
    script, state = Script({1: 3, 3: 3}), TablesInMemory()
    process = Process(shop(script, on_failure=Discard()), state)
    process(event_of("a", "a", "b"))
    assert script.handled == [2]
    said = process.redrive()
    assert script.handled == [2, 3]  # 1 is older than what was handled of its item
    assert said["handlers"]["audit"]["overtaken"] == 1
    said = process.redrive(even_if_overtaken=True)
    assert script.handled == [2, 3, 1]
    assert state.keys("deadletter") == []


def test_nothing_that_waits_costs_two_queries_and_no_row() -> None:
    state = TablesInMemory()
    assert Process(shop(Script()), state).redrive() == {"is_over": True, "handlers": {}}
    assert state.transactions == []


def test_a_run_that_is_cut_off_goes_on_in_the_next_one() -> None:
    script, state = Script(dict.fromkeys(range(1, 6), 3)), TablesInMemory()
    app = shop(script)
    process = Process(app, state)
    process(event_of("a", "b", "c", "d", "e"))
    said = process.redrive(remaining_ms=2_500, rate="1/s")
    assert not said["is_over"]
    assert len(state.keys("redrive")) == 1
    done = len(script.handled)
    assert 0 < done < 5
    later = Process(app, state, process.clock, seed=2)  # of the one before nothing is left but rows
    said = later.redrive()
    process.clock.advance(CLAIM_MS + 1)
    said = later.redrive()
    assert said["is_over"]
    assert sorted(script.handled) == [1, 2, 3, 4, 5]


def test_an_outage_ends_a_redrive_and_uses_no_attempt() -> None:
    script, state = Script({1: 3}), TablesInMemory()
    app = shop(script)
    process = Process(app, state)
    process(event_of("a", "a"))

    def down(change: Any) -> None:
        raise Unavailable("down")

    stopped = Process(shop(down), state, process.clock, seed=2)
    said = stopped.redrive()
    assert "cannot be reached" in said["handlers"]["audit"]["stopped"]
    assert script.handled == []
    process.clock.advance(CLAIM_MS + 1)
    process.redrive()
    assert script.handled == [1, 2]


def test_a_change_that_is_put_back_knows_its_stream() -> None:
    seen, state, script = [], TablesInMemory(), Script({1: 3})

    def note(change: Any) -> None:
        script(change)
        seen.append((change.table, change.region, change.sequence_number[-2:], change.event_name))

    process = Process(shop(note), state)
    process(event_of("a"))
    process.redrive()
    assert seen == [("orders", "us-east-1", "63", "INSERT")]
    assert ARN.endswith(state.keys("sources") and "2026-01-01T00:00:00.000")


@pytest.mark.parametrize("event", [None, {}, {"time": "2026-01-01", "detail-type": "Scheduled Event"}, []])
def test_an_event_of_eventbridge_says_nothing(event: Any) -> None:
    assert read_redriver_event(event) == RedriverEvent()


def test_an_event_may_say_the_rate() -> None:
    assert read_redriver_event({"rate": "5/s", "even_if_overtaken": True}) == RedriverEvent("5/s", True)
    with pytest.raises(SettingsError, match="even_if_overtaken"):
        read_redriver_event({"even_if_overtaken": "yes"})
