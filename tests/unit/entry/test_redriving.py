"""What a schedule does: what is parked and dead goes back, in order, as far as the time goes."""

import asyncio
import json
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.app.on_failure import Discard
from tailrace.deadletters.core.head import CLAIM_MS
from tailrace.entry.delivering import deliver
from tailrace.entry.redriving import FORGETTING_MS, RedriverEvent, read_redriver_event
from tailrace.entry.waiting import MARGIN_MS
from tailrace.errors import SettingsError, Unavailable
from tailrace.leases.checkpoint import MARK_AGE_MS
from tailrace.rows.writes import Write
from tests.unit.entry.invoking import ARN, DONE, FIRST, Process, Script, TablesInMemory, event_of, shop

WAIT_MS = 900_000 + MARGIN_MS


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
    process.redrive()
    process.clock.advance(WAIT_MS)
    said = process.redrive()
    assert script.handled == [2, 3]  # 1 is older than what was handled of its item
    assert said["handlers"]["audit"]["overtaken"] == 1
    process.redrive(even_if_overtaken=True)
    process.clock.advance(WAIT_MS)
    process.redrive(even_if_overtaken=True)
    assert script.handled == [2, 3, 1]
    assert state.keys("deadletter") == state.keys("head") == state.keys("redrive") == []


# ---- dead letters and batches that are under way -----------------------------------------------------------


def given_up(longest_batch_s: int = 900) -> tuple[Script, TablesInMemory, Process]:
    """A change of `a` that was given up, and the first call of the schedule since."""
    script, state = Script({1: 3}), TablesInMemory()
    process = Process(shop(script, on_failure=Discard()), state)
    process(event_of("a"))
    assert process.redrive(longest_batch_s=longest_batch_s)["handlers"]["audit"]["busy"] == 1
    assert script.handled == []
    return script, state, process


@pytest.mark.parametrize("longest_batch_s", [1, 900])
def test_a_dead_letter_waits_until_every_batch_is_over_that_began_before_its_head(
    longest_batch_s: int,
) -> None:
    script, state, process = given_up(longest_batch_s)
    process.clock.advance(longest_batch_s * 1_000 + MARGIN_MS - 1)
    process.redrive(longest_batch_s=longest_batch_s)
    assert script.handled == []
    process.clock.advance(1)
    process.redrive(longest_batch_s=longest_batch_s)
    assert script.handled == [1]
    assert state.keys("head") == state.keys("deadletter") == state.keys("redrive") == []


def test_what_comes_of_its_item_meanwhile_is_handled_behind_it_by_whichever_process() -> None:
    script, state, process = given_up()
    other = Process(process.sandbox.app, state, process.clock, seed=2)
    assert other(event_of("a", "b", first=2)) == DONE
    assert script.handled == [3]
    process.clock.advance(WAIT_MS)
    other.redrive()
    assert script.handled == [3, 1, 2]
    assert state.keys("head") == state.keys("parked") == state.keys("deadletter") == []


def test_a_batch_that_began_before_the_head_has_its_item_for_itself() -> None:
    seen: list[str] = []
    has_begun, may_end, failing = asyncio.Event(), asyncio.Event(), [1, 1, 1]
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="audit", on_failure=Discard())
    async def audit(change: Any) -> None:
        number = int(change.new["n"])
        if number == 1 and failing:
            failing.pop()
            raise ValueError("not yet")
        seen.append(f"begins {number}")
        if number == 2:
            has_begun.set()
            await may_end.wait()
        seen.append(f"ends {number}")

    process = Process(app, TablesInMemory())
    process(event_of("a"))

    async def side_by_side() -> None:
        batch = asyncio.ensure_future(deliver(process.sandbox, event_of("a", first=2), 60_000))
        await has_begun.wait()
        await process.redrives.run(RedriverEvent(even_if_overtaken=True), 30_000)
        assert seen == ["begins 2"]
        may_end.set()
        assert (await batch).value() == DONE

    process.run(side_by_side())
    process.clock.advance(WAIT_MS)
    process.redrive(even_if_overtaken=True)
    assert seen == ["begins 2", "ends 2", "begins 1", "ends 1"]


def test_a_dead_letter_that_fails_again_frees_its_item_and_waits_anew() -> None:
    script, state, process = given_up()
    script.failing[1] = 1
    process.clock.advance(WAIT_MS)
    process.redrive()
    assert script.handled == []
    assert state.keys("head") == []
    process.redrive()
    process.clock.advance(WAIT_MS)
    process.redrive()
    assert script.handled == [1]


def test_several_dead_letters_of_an_item_come_in_order_each_after_its_wait() -> None:
    script, state = Script({1: 3, 2: 3}), TablesInMemory()
    process = Process(shop(script, on_failure=Discard()), state)
    process(event_of("a"))
    process(event_of("a", first=2))
    for handled in ([], [1], [1], [1, 2]):
        process.redrive()
        assert script.handled == handled, handled
        process.clock.advance(WAIT_MS)
    assert state.keys("head") == state.keys("deadletter") == []


def test_a_head_whose_dead_letter_is_no_more_is_removed() -> None:
    _, state, process = given_up()
    (letter,) = state.keys("deadletter")
    process.run(state.transact([Write(letter, None)]))
    assert len(state.keys("head")) == 1
    process(event_of("b", first=5))
    process.redrive()
    assert state.keys("head") == []


@pytest.mark.parametrize("longest_batch_s", [0, 901])
def test_a_time_out_that_lambda_does_not_have_is_refused(longest_batch_s: int) -> None:
    with pytest.raises(SettingsError, match="longest_batch_s"):
        read_redriver_event({"longest_batch_s": longest_batch_s})


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


# ---- on-failure destinations -------------------------------------------------------------------------------


class Mailbox:
    """A destination that notes what it is told, and refuses as often as it is said."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.messages: list[dict[str, Any]] = []

    async def deliver(self, failure: Any) -> None:
        if self.refuses:
            self.refuses -= 1
            raise ConnectionError("the queue is away")
        self.messages.append(json.loads(failure.message))


def test_a_destination_is_told_what_was_given_up_when_the_schedule_calls_next_and_once() -> None:
    script, state, mailbox = Script([1]), TablesInMemory(), Mailbox()
    process = Process(shop(script, on_failure=Discard(to=mailbox)), state)
    assert process(event_of("a", "b")) == DONE
    assert mailbox.messages == []
    for _ in range(2):
        process.redrive()
    (message,) = mailbox.messages
    told = message["DDBStreamBatchInfo"]
    assert (told["streamArn"], told["batchSize"]) == (ARN.replace("123456789012", "000000000000"), 1)
    assert told["startSequenceNumber"] == str(FIRST + 1)
    assert told["shardId"] == "lambda-2026-01-01T00:00:00.000"
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert state.keys("outbox") == []


def test_a_destination_that_is_away_is_told_by_a_later_run_of_whichever_process() -> None:
    script, state, mailbox = Script([1]), TablesInMemory(), Mailbox(refuses=1)
    app = shop(script, on_failure=Discard(to=mailbox))
    Process(app, state)(event_of("a"))
    Process(app, state, seed=2).redrive()
    assert (mailbox.messages, len(state.keys("outbox"))) == ([], 1)
    Process(app, state, seed=3).redrive()
    assert (len(mailbox.messages), state.keys("outbox")) == (1, [])


def test_a_batch_that_comes_again_is_told_of_once() -> None:
    script, state, mailbox = Script([1]), TablesInMemory(), Mailbox()
    process = Process(shop(script, on_failure=Discard(to=mailbox)), state)
    for _ in range(2):
        process(event_of("a"))
    assert len(state.keys("outbox")) == 1
    process.redrive()
    assert len(mailbox.messages) == 1


# ---- marks -------------------------------------------------------------------------------------------------


def test_marks_whose_changes_are_long_gone_are_removed_once_an_hour() -> None:
    script, state = Script(), TablesInMemory()
    process = Process(shop(script, once=True), state)
    process(event_of("a", "b"))
    process.clock.advance(MARK_AGE_MS)
    process.redrive()
    assert len(state.keys("mark")) == 2
    process.clock.advance(FORGETTING_MS - 1)
    process.redrive()
    assert len(state.keys("mark")) == 2  # it has looked within the hour
    process.clock.advance(1)
    process.redrive()
    assert state.keys("mark") == []


def test_a_mark_of_an_item_with_a_dead_letter_is_kept() -> None:
    script, state = Script([3]), TablesInMemory()
    process = Process(shop(script, once=True), state)
    process(event_of("a", "b"))
    process.clock.advance(2 * MARK_AGE_MS)
    process(event_of("a", first=3))
    process.redrive()
    assert [key.rpartition("/")[2] for key in state.keys("mark")] == [key_of_a(state)]


def key_of_a(state: TablesInMemory) -> str:
    (head,) = state.keys("head")
    return head.rpartition("/")[2]
