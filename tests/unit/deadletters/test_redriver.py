"""The redriver beside a machine that runs: what that knows counts, whether it is saved or not."""

import asyncio

import pytest

from tailrace.app.sinking import AlwaysOpen
from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.entry import (
    DeadLetter,
    deadletter_fields,
    deadletter_key,
    deadletter_prefix,
    read_deadletter,
)
from tailrace.deadletters.core.head import claimed_free, head_prefix, parked
from tailrace.deadletters.core.passed import passed_prefix, passed_write
from tailrace.deadletters.core.redrive import Choice
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.deadletters.run.putting_back import Holding
from tailrace.deadletters.run.redriver import Redriver
from tailrace.mapping.commands import Completion, GivenUp, Redriven, Released
from tailrace.ports import Failed, Failure, FailureKind, Outcome, RecordBatch, StreamRef, Written
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import MappingShard, letter_of
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import NOTHING, Version
from tests.unit.sinks.batches import STREAM, record

PLACE = MappingShard("shop", "note", "orders", "label", "shardId-1")


class Live:
    """A machine that has handled up to this change of every item, and not saved it."""

    def __init__(self, last: Version) -> None:
        self.last = last
        self.words: list[Completion] = []
        self.owner = "pid-1"
        self.is_whole = True

    def hold(self, mapping_id: str, letter: DeadLetter) -> Holding | None:
        return Holding(self.last)

    def tell(self, mapping_id: str, word: Completion) -> None:
        self.words.append(word)

    async def stream_of(self, mapping_id: str, shard_id: str) -> StreamRef:
        return STREAM

    def code_version(self, mapping_id: str) -> str:
        return ""

    def reads(self, mapping_id: str, letter: DeadLetter) -> bool:
        return self.is_whole


class Sink(AlwaysOpen):
    """Accepts everything, but what it is to refuse."""

    def __init__(self, refusal: Failure | None = None) -> None:
        self.seen: list[int] = []
        self.refusal = refusal

    async def write(self, batch: RecordBatch) -> Outcome:
        self.seen.extend(record.sequence for record in batch.records)
        return Written() if self.refusal is None else Failed(whole=self.refusal)


async def carried_out(redriver: Redriver, request: RedriveRequest, progress: Progress) -> None:
    """Ask for it, and do it."""
    await redriver.note(request)
    await redriver.carry_out(request, progress)


def redriven(last: int) -> tuple[Progress, list[int], list[Completion]]:
    """A redrive of change 4, beside a machine that has handled that change of the item last."""

    async def main() -> tuple[Progress, list[int], list[Completion]]:
        state, live, sink, progress = MemoryStateStore(), Live(Version(1, last)), Sink(), Progress()
        given_up = GivenUp(record(4, "a"), "RetryAttemptsExhausted", 6, Failure(error="ValueError: no"), 1, 1)
        fields = deadletter_fields(letter_of(PLACE, given_up, ""))
        await state.transact([Write(deadletter_key("shop", "note", Version(1, 4)), fields)])
        redriver = Redriver("shop", state, ManualClock(), live, {"note": sink})
        request = RedriveRequest("r1", "note")
        await carried_out(redriver, request, progress)
        assert await redriver.pending() == []
        return progress, sink.seen, live.words

    return asyncio.run(main())


def test_a_change_is_not_put_over_a_later_one_that_was_handled_and_is_not_saved_yet() -> None:
    progress, seen, words = redriven(last=5)
    assert (progress.overtaken, progress.done, seen) == (1, 0, [])
    assert words == [Released(record(4, "a").key, Version(1, 5))]


def test_a_change_that_nothing_has_overtaken_is_put_back_once() -> None:
    progress, seen, words = redriven(last=3)
    assert (progress.overtaken, progress.done, seen) == (0, 1, [4])
    assert words == [Released(record(4, "a").key, Version(1, 4))]


def discarded(*sequences: int) -> MemoryStateStore:
    """So many changes of one item were discarded."""
    state = MemoryStateStore()
    for sequence in sequences:
        given_up = GivenUp(
            record(sequence, "a"), "RetryAttemptsExhausted", 6, Failure(error=f"no {sequence}"), 1, 1
        )
        fields = deadletter_fields(letter_of(PLACE, given_up, ""))
        key = deadletter_key("shop", "note", Version(1, sequence))
        asyncio.run(state.transact([Write(key, fields)]))
    return state


@pytest.mark.parametrize(("drop", "then"), [(False, []), (True, [4])])
def test_a_change_that_was_put_back_overtakes_an_older_one_of_its_item_and_one_that_was_dropped_does_not(
    drop: bool, then: list[int]
) -> None:
    """A user puts the later one back first, by its error; the older one would be applied over it
    (simulation, seed 5734).
    """
    state, sink = discarded(4, 7), Sink()
    redriver = Redriver("shop", state, ManualClock(), Live(NOTHING), {"note": sink})
    first, second = Progress(), Progress()

    async def main() -> None:
        await carried_out(redriver, RedriveRequest("r1", "note", Choice(error="no 7"), drop=drop), first)
        seen = list(sink.seen)
        await carried_out(redriver, RedriveRequest("r2", "note"), second)
        assert seen == ([] if drop else [7])
        assert sink.seen == seen + then

    asyncio.run(main())
    assert (first.done, second.overtaken) == (1, not drop)


@pytest.mark.parametrize(("drop", "then", "passed"), [(False, [], Version(1, 7)), (True, [4], NOTHING)])
def test_a_parked_change_that_was_put_back_overtakes_older_discarded_ones_of_its_item(
    drop: bool, then: list[int], passed: Version
) -> None:
    """The older one was too old and was discarded; the later one failed and was parked."""
    state, sink, live = discarded(4), Sink(), Live(NOTHING)
    given_up = GivenUp(record(7, "a"), "RetryAttemptsExhausted", 6, Failure(error="no 7"), 1, 1)
    asyncio.run(state.transact(list(parked("shop", "note", None, [letter_of(PLACE, given_up, "")], 0))))
    asyncio.run(state.transact([passed_write("shop", "note", record(4, "a").key, NOTHING)]))
    redriver = Redriver("shop", state, ManualClock(), live, {"note": sink})
    first, second = Progress(), Progress()

    async def main() -> None:
        await carried_out(redriver, RedriveRequest("r1", "note", Choice(error="no 7"), drop=drop), first)
        assert sink.seen == ([] if drop else [7])
        sink.seen.clear()
        await carried_out(redriver, RedriveRequest("r2", "note"), second)
        assert sink.seen == then

    asyncio.run(main())
    assert (first.done, first.unparked_keys, second.overtaken) == (1, 1, not drop)
    assert live.words[0] == Redriven(record(7, "a").key, Version(1, 7), passed)


def test_a_parked_change_of_an_item_without_discarded_ones_leaves_no_row_behind() -> None:
    state, sink = MemoryStateStore(), Sink()
    given_up = GivenUp(record(7, "a"), "RetryAttemptsExhausted", 6, Failure(error="no 7"), 1, 1)
    asyncio.run(state.transact(list(parked("shop", "note", None, [letter_of(PLACE, given_up, "")], 0))))
    redriver = Redriver("shop", state, ManualClock(), Live(NOTHING), {"note": sink})
    asyncio.run(carried_out(redriver, RedriveRequest("r1", "note"), Progress()))
    assert sink.seen == [7]
    assert asyncio.run(state.query(passed_prefix("shop", "note"))) == []


def redriver_of(state: MemoryStateStore, sink: Sink, owner: str, last: Version = NOTHING) -> Redriver:
    """That of a worker which reads every shard."""
    live = Live(last)
    live.owner = owner
    return Redriver("shop", state, ManualClock(), live, {"note": sink})


@pytest.mark.parametrize(("even_if_overtaken", "then"), [(False, []), (True, [7])])
def test_who_goes_on_with_a_request_tries_nothing_behind_a_change_that_failed_for_it(
    even_if_overtaken: bool, then: list[int]
) -> None:
    state, sink = discarded(4, 7), Sink(Failure(error="no 4"))
    request = RedriveRequest("r1", "note", even_if_overtaken=even_if_overtaken)

    async def main() -> None:
        first, second = redriver_of(state, sink, "one"), redriver_of(state, sink, "two")
        only_the_first = RedriveRequest("r1", "note", Choice(error="no 4"))
        await carried_out(first, only_the_first, Progress())
        sink.seen, sink.refusal = [], None
        await carried_out(second, request, Progress())
        assert sink.seen == then
        assert await second.pending() == []

    asyncio.run(main())


def test_a_change_that_was_overtaken_keeps_no_later_one_of_its_item_back() -> None:
    """The first worker has left the older one; the machine knew of what had overtaken it, and no row did."""
    state, sink = discarded(4, 7), Sink()

    async def main() -> None:
        first, second = redriver_of(state, sink, "one", Version(1, 5)), redriver_of(state, sink, "two")
        only_the_first = RedriveRequest("r1", "note", Choice(error="no 4"))
        await carried_out(first, only_the_first, Progress())
        await carried_out(second, RedriveRequest("r1", "note"), Progress())
        assert sink.seen == [7]

    asyncio.run(main())


@pytest.mark.parametrize(("claimant", "is_left"), [("r1/two", True), ("r1/one", False), ("r2/two", False)])
def test_a_redrive_that_stops_is_forgotten_unless_another_worker_is_at_a_change_for_it(
    claimant: str, is_left: bool
) -> None:
    state = discarded(4, 7)
    sink = Sink(Failure(FailureKind.UNAVAILABLE, "nobody is there"))

    async def main() -> None:
        redriver = redriver_of(state, sink, "one")
        given_up = GivenUp(record(9, "b"), "RetryAttemptsExhausted", 6, Failure(error="no"), 1, 1)
        elsewhere = letter_of(PLACE, given_up, "")
        await state.transact([claimed_free(elsewhere, "shop", claimant, 0)[1]])
        progress = Progress()
        await carried_out(redriver, RedriveRequest("r1", "note"), progress)
        assert progress.stopped
        assert bool(await redriver.pending()) is is_left

    asyncio.run(main())


def test_nothing_is_claimed_for_a_request_that_is_there_no_more() -> None:
    state, sink = discarded(4), Sink()
    redriver = redriver_of(state, sink, "one")
    progress = Progress()
    asyncio.run(redriver.carry_out(RedriveRequest("r1", "note"), progress))
    assert (progress.busy, sink.seen) == (1, [])
    assert asyncio.run(state.query(head_prefix("shop", "note"))) == []


def test_what_was_parked_behind_a_change_that_is_put_back_comes_at_the_rate_too() -> None:
    state, sink, clock = discarded(4), Sink(), ManualClock()
    redriver = Redriver("shop", state, clock, Live(NOTHING), {"note": sink})

    async def main() -> None:
        rows = await state.query(deadletter_prefix("shop", "note"))
        head, claim = claimed_free(read_deadletter(rows[0].fields), "shop", "", 0)
        await state.transact([claim])
        waiting = letter_of(PLACE, GivenUp(record(7, "a"), "KeyParked", 0, None, 0, 0), "")
        await state.transact(list(parked("shop", "note", head, [waiting], 0)))
        request = RedriveRequest("r1", "note", rate="1/m")
        redriving = asyncio.ensure_future(carried_out(redriver, request, Progress()))
        for seen in ([4], [4], [4, 7]):
            for _ in range(100):
                await asyncio.sleep(0)
            assert sink.seen == seen
            clock.advance(30_000)
        await redriving

    asyncio.run(main())


def test_a_claim_does_not_run_out_while_the_rate_of_its_redrive_is_kept() -> None:
    state, sink, clock = MemoryStateStore(), Sink(), ManualClock()
    letters = [
        letter_of(PLACE, GivenUp(record(sequence, "a"), "KeyParked", 0, None, 0, 0), "")
        for sequence in (4, 7)
    ]
    request = RedriveRequest("r1", "note", rate="1/m")

    async def rested() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def main() -> None:
        await state.transact(list(parked("shop", "note", None, letters, 0)))
        one, two = (
            Redriver("shop", state, clock, live, {"note": sink}) for live in (Live(NOTHING), Live(NOTHING))
        )
        two._live.owner = "pid-2"  # type: ignore[union-attr]
        redriving = asyncio.ensure_future(carried_out(one, request, Progress()))
        for _ in range(5):
            await rested()
            progress = Progress()
            await two.carry_out(request, progress)
            assert (progress.busy, sink.seen) == (1, [4])
            for _ in range(10):
                clock.advance(1_000)
                await rested()
        clock.advance(10_000)
        await redriving
        assert sink.seen == [4, 7]

    asyncio.run(main())


def test_a_slow_redrive_does_not_hold_up_another_one() -> None:
    state, sink, clock = discarded(4, 7), Sink(), ManualClock()
    redriver = Redriver("shop", state, clock, Live(NOTHING), {"note": sink})
    elsewhere = letter_of(PLACE, GivenUp(record(9, "b"), "RecordAgeExceeded", 0, None, 0, 0), "")

    async def rested() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def main() -> None:
        await state.transact(
            [Write(deadletter_key("shop", "note", Version(1, 9)), deadletter_fields(elsewhere))]
        )
        slow = RedriveRequest("r1", "note", Choice(error="no *"), rate="1/h")
        slowly = asyncio.ensure_future(carried_out(redriver, slow, Progress()))
        await rested()
        assert sink.seen == [4]
        chosen = Choice(event_id=elsewhere.event_id)
        other = asyncio.ensure_future(
            carried_out(redriver, RedriveRequest("r2", "note", chosen, rate="10/s"), Progress())
        )
        await rested()
        assert sink.seen == [4, 9]
        await other
        clock.advance(3_600_000)
        await slowly
        assert sink.seen == [4, 9, 7]

    asyncio.run(main())


def test_a_change_that_was_overtaken_for_good_is_passed_over_wherever_its_shard_is_read() -> None:
    """No claim is needed to see it: two requests took the item from each other for ever, each to note that it
    had tried (simulation, seed 3781).
    """
    state, live, progress = discarded(4), Live(NOTHING), Progress()
    live.is_whole = False
    key = record(4, "a").key
    redriver = Redriver("shop", state, ManualClock(), live, {"note": Sink()})

    async def main() -> None:
        await state.transact([passed_write("shop", "note", key, Version(1, 5))])
        before = await state.query("")
        await carried_out(redriver, RedriveRequest("r1", "note"), progress)
        assert await state.query("") == before

    asyncio.run(main())
    assert (progress.overtaken, progress.busy) == (1, 0)
