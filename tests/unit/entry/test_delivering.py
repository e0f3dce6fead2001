"""One batch, every handler: what is answered, what is kept, what is handled again."""

import asyncio
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.app.on_failure import Discard, Drop, Park
from tailrace.app.retry import Retry
from tailrace.entry.delivering import InvocationTime
from tailrace.errors import SettingsError, StoreError, Unavailable
from tests.unit.entry.invoking import (
    ARN,
    DONE,
    FIRST,
    Process,
    Script,
    TablesInMemory,
    event_of,
    event_record,
    identifier,
    puts,
    shop,
)


def test_a_batch_that_is_handled_is_answered_without_failures_and_costs_no_write() -> None:
    script, state = Script(), TablesInMemory()
    process = Process(shop(script), state)
    assert process(event_of("a", "b", "a")) == DONE
    assert script.handled == [1, 2, 3]
    process(event_of("c", first=4))
    assert [len(writes) for writes in state.transactions] == [1]  # the number of the stream, once


def test_a_failing_key_is_parked_with_what_follows_and_the_batch_goes_on() -> None:
    script, state = Script([1]), TablesInMemory()
    process = Process(shop(script), state)
    assert process(event_of("a", "b", "a", "c")) == DONE
    assert script.handled == [2, 4]
    assert len(state.keys("parked")) == 2
    assert len(state.keys("head")) == 1
    assert process(event_of("a", "b", first=5)) == DONE  # a later batch parks behind it
    assert script.handled == [2, 4, 6]
    assert len(state.keys("parked")) == 3


def test_without_a_state_table_the_answer_names_the_failing_change() -> None:
    script = Script([2])
    process = Process(shop(script))
    assert process(event_of("a", "b", "c", "b")) == identifier(2)
    assert script.handled == [1, 3]  # a key that fails holds up no other


def test_what_was_handled_behind_a_failure_is_not_handled_again_by_the_same_process() -> None:
    script = Script({2: 3})
    app = shop(script)
    process = Process(app)
    batch = event_of("a", "b", "c", "b")
    assert process(batch) == identifier(2)
    assert process({"Records": batch["Records"][1:]}) == DONE
    assert script.handled == [1, 3, 2, 4]


def test_another_process_handles_it_again() -> None:
    script = Script({2: 3})
    app = shop(script)
    batch = event_of("a", "b", "c", "b")
    assert Process(app)(batch) == identifier(2)
    assert Process(app)({"Records": batch["Records"][1:]}) == DONE
    assert script.handled == [1, 3, 2, 3, 4]


def test_the_lowest_change_that_any_handler_has_left_is_the_one_that_is_named() -> None:
    first, second = Script([3]), Script([2])
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.on(orders, id="first")(lambda change: first(change))
    app.on(orders, id="second")(lambda change: second(change))
    assert Process(app)(event_of("a", "b", "c", "d")) == identifier(2)
    assert (first.handled, second.handled) == ([1, 2, 4], [1, 3, 4])


def test_a_change_is_tried_within_an_invocation_as_often_as_its_waits_fit() -> None:
    script, state = Script([1]), TablesInMemory()
    Process(shop(script, retry=Retry(9, backoff="1s..5m")), state)(event_of("a"))
    assert script.seen == [1, 1, 1]  # at once, after 1 s, after 2 s more; 4 s more would be 7


@pytest.mark.parametrize(
    ("remaining_ms", "patience_ms", "stop_ms", "answer_ms"),
    [
        (900_000, 5_000, 899_000, 899_750),
        (11_000, 5_000, 10_000, 10_750),
        (10_999, 4_999, 9_999, 10_749),
        (100, 25, 50, 87),
    ],
)
def test_the_time_of_an_invocation_is_shared_out(
    remaining_ms: int, patience_ms: int, stop_ms: int, answer_ms: int
) -> None:
    time = InvocationTime(1_000, remaining_ms)
    assert (time.patience_ms, time.patient_ms) == (patience_ms, 1_000 + patience_ms)
    assert (time.stop_ms, time.answer_ms) == (1_000 + stop_ms, 1_000 + answer_ms)


@pytest.mark.parametrize("takes_s", [0.0, 0.9, 1.5])
def test_a_failing_key_is_parked_in_the_shortest_invocations_too(takes_s: float) -> None:
    calls, state = [], TablesInMemory()
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="audit")
    async def audit(change: Any) -> None:
        calls.append(change)
        await asyncio.sleep(takes_s)
        raise ValueError("poison")

    process = Process(app, state)
    assert process(event_of("a"), 3_000) == DONE  # Lambda's own default
    assert len(state.keys("parked")) == 1
    assert len(calls) <= 2


def test_what_one_handler_has_left_is_not_handled_again_by_the_others_of_the_same_process() -> None:
    first, second = Script(), Script({2: 3})
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.on(orders, id="first")(lambda change: first(change))
    app.on(orders, id="second")(lambda change: second(change))
    process, batch = Process(app), event_of("a", "b", "c")
    assert process(batch) == identifier(2)
    assert process({"Records": batch["Records"][1:]}) == DONE
    assert (first.handled, second.handled) == ([1, 2, 3], [1, 3, 2])


def test_time_that_is_used_up_leaves_the_rest_to_lambda() -> None:
    script, state = Script([1]), TablesInMemory()
    process = Process(shop(script, on_failure=Park.shard), state)
    begun_ms = process.clock.now().monotonic_ms
    assert process(event_of("a", "b"), 3_000) == identifier(1)
    assert process.clock.now().monotonic_ms - begun_ms < 3_000
    assert state.keys("parked") == []


def test_an_outage_uses_no_attempt_and_holds_the_batch() -> None:
    calls = []

    def down(change: Any) -> None:
        calls.append(change)
        raise Unavailable("the mail server is down")

    state = TablesInMemory()
    process = Process(shop(down), state)
    assert process(event_of("a", "b")) == identifier(1)
    assert state.keys("parked") == []
    assert calls


def test_a_state_table_that_cannot_be_written_holds_the_batch() -> None:
    script, state = Script([2]), TablesInMemory()
    process = Process(shop(script), state)
    process(event_of("z"))
    state.faults = [StoreError("no answer")] * 1_000
    assert process(event_of("a", "b", first=1)) == identifier(2)
    state.faults.clear()
    assert process(event_of("b", first=2)) == DONE
    assert len(state.keys("parked")) == 1


def test_a_state_table_that_cannot_be_read_holds_the_batch_and_calls_nobody() -> None:
    class Unreadable(TablesInMemory):
        async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> Any:
            raise StoreError("no answer")

    script = Script()
    assert Process(shop(script), Unreadable())(event_of("a")) == identifier(1)
    assert script.seen == []


def test_what_a_handler_writes_in_a_transaction_is_written_once_however_often_the_batch_comes() -> None:
    app, state = App("shop"), TablesInMemory()
    orders, totals = app.table("orders", pk="id"), app.table("totals", pk="id")

    @app.on(orders)
    def tally(change: Any) -> None:
        change.transaction.put(totals, {"id": change.keys["id"], "n": change.new["n"]})

    batch = event_of("a", "b", "a")
    for number in range(3):  # each in a process of its own
        assert Process(app, state, seed=number)(batch) == DONE
    assert sorted(puts(state)) == [1, 2, 3]


def test_once_needs_a_place_for_marks() -> None:
    script = Script()
    with pytest.raises(SettingsError, match="TAILRACE_STATE"):
        Process(shop(script, once=True))
    state = TablesInMemory()
    for _ in range(2):
        assert Process(shop(script, once=True), state)(event_of("a", "b")) == DONE
    assert script.handled == [1, 2]


def test_a_transaction_without_a_place_for_marks_fails_in_words(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def tally(change: Any) -> None:
        change.transaction.put(orders, {"id": "x"})

    assert Process(app)(event_of("a")) == identifier(1)
    assert "TAILRACE_STATE" in caplog.text


def test_discarded_changes_are_dead_letters_and_their_key_goes_on() -> None:
    script, state = Script([1]), TablesInMemory()
    assert Process(shop(script, on_failure=Discard()), state)(event_of("a", "a")) == DONE
    assert script.handled == [2]
    assert len(state.keys("deadletter")) == 1


def test_discarded_changes_are_left_to_lambda_without_a_state_table() -> None:
    script = Script([1])
    assert Process(shop(script, on_failure=Discard()))(event_of("a", "a", "b")) == identifier(1)
    assert script.handled == [3]


def test_dropped_changes_are_done() -> None:
    script = Script([1])
    assert Process(shop(script, on_failure=Drop))(event_of("a", "a")) == DONE
    assert script.handled == [2]


def test_a_batch_handler_is_halved_until_the_change_at_fault_is_alone() -> None:
    app, state, calls = App("shop"), TablesInMemory(), []
    orders = app.table("orders", pk="id")

    @app.batch(orders, id="bulk")
    def bulk(batch: Any) -> None:
        numbers = [int(change.new["n"]) for change in batch]
        calls.append(numbers)
        if 3 in numbers:
            raise ValueError("three")

    assert Process(app, state)(event_of("a", "b", "c", "d")) == DONE
    assert [1, 2, 3, 4] in calls
    assert {number for call in calls if 3 not in call for number in call} == {1, 2, 4}
    assert len(state.keys("parked")) == 1


def test_predicates_and_kinds_choose_as_everywhere() -> None:
    app, seen = App("shop"), []
    orders = app.table("orders", pk="id")

    @app.on(orders.inserted, where=lambda change: change.new["n"] > 1)
    def audit(change: Any) -> None:
        seen.append(int(change.new["n"]))

    assert Process(app)(event_of("a", "b", "c")) == DONE
    assert seen == [2, 3]


def test_handlers_of_other_tables_are_not_called() -> None:
    script, other = Script(), Script()
    app = shop(script)
    users = app.table("users", pk="id")
    app.on(users, id="users")(lambda change: other(change))
    assert Process(app)(event_of("a")) == DONE
    assert (script.handled, other.seen) == ([1], [])


def test_a_table_whose_handlers_run_elsewhere_is_refused_rather_than_passed_over() -> None:
    app = shop(Script())
    users = app.table("users", pk="id")
    app.on(users, id="users")(lambda change: None)
    process = Process(app, environment={"TAILRACE_HANDLERS": "users"})
    with pytest.raises(SettingsError, match="no handler of this function is of table 'orders'"):
        process(event_of("a"))


def test_what_one_key_parks_fits_into_transactions_of_dynamodb() -> None:
    script, state = Script([1]), TablesInMemory()
    keys = ["a"] * 250
    assert Process(shop(script), state)(event_of(*keys)) == DONE
    assert len(state.keys("parked")) == 250
    assert max(len(writes) for writes in state.transactions) <= 100


def test_records_of_another_process_that_were_parked_are_not_handled_before_their_turn() -> None:
    script, state = Script({1: 3}), TablesInMemory()
    app = shop(script)
    assert Process(app, state)(event_of("a", "a")) == DONE  # parked, and the answer is lost
    assert Process(app, state, seed=2)(event_of("a", "a")) == DONE
    assert script.handled == []
    assert len(state.keys("parked")) == 2


def test_a_stream_after_another_one_is_newer_whatever_its_numbers_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, state = App("shop"), TablesInMemory()
    orders = app.table("orders", pk="id")
    app.transactions(object(), "marks")
    monkeypatch.setattr("tailrace.entry.sandbox._effects_state", lambda app, there: state)
    seen = []

    @app.on(orders, id="audit", once=True)
    def audit(change: Any) -> None:
        seen.append((change.record.generation, int(change.new["n"])))

    later = ARN.replace("2026-01-01", "2026-01-02")
    for number in range(2):  # without a state table the numbers of streams are beside the marks
        process = Process(app, seed=number)
        process(event_of("a", first=9))
        process({"Records": [event_record(1, "a", later)]})
    assert seen == [(1, 9), (2, 1)]


def test_sequence_numbers_and_event_ids_are_those_of_the_wire() -> None:
    app, seen = App("shop"), []
    orders = app.table("orders", pk="id")
    app.on(orders, id="audit")(lambda change: seen.append((change.sequence_number, change.event_id)))
    Process(app)({"Records": [event_record(7, "a")]})
    assert seen == [(str(FIRST + 7), f"{7:032x}")]
