"""Work that one worker does at a time: taken, kept, overtaken, given back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import OutcomeUnknown, StateConflict
from tailrace.leases.duty import DUTY_MS, HeldDuty, moved_duty, read_duty, taken_duty
from tailrace.leases.lease import Owner
from tailrace.ports import Action
from tailrace.rows.kinds import DUTY
from tailrace.rows.writes import Write, holds
from tailrace.runtime.duties import RENEWAL_MS, Duties, Duty
from tailrace.stores.memory import MemoryStateStore

KEY = DUTY.key("shop", "courier")


class Counted(MemoryStateStore):
    """Counts what it is asked; `unknown` writes are made and nothing is heard of them."""

    asked = 0
    unknown = 0

    async def get(self, key: str) -> object:  # type: ignore[override]
        self.asked += 1
        return await super().get(key)

    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(writes)
        if self.unknown:
            self.unknown -= 1
            raise OutcomeUnknown("no answer came")


class Pair:
    """Two workers, one store, and a clock of its own for each."""

    def __init__(self, second: Owner | None = None) -> None:
        self.state = Counted()
        self.clocks = ManualClock(), ManualClock(5_000)
        owners = Owner("one"), second or Owner("two")
        self.one, self.two = (
            Duty(KEY, self.state, clock, owner) for clock, owner in zip(self.clocks, owners, strict=True)
        )

    def advance(self, milliseconds: int) -> None:
        for clock in self.clocks:
            clock.advance(milliseconds)


def played(story: Callable[[Pair], Awaitable[None]], pair: Pair | None = None) -> Pair:
    pair = pair or Pair()
    asyncio.run(story(pair))  # type: ignore[arg-type]
    return pair


def test_of_two_workers_one_has_it_and_asks_nothing_until_a_renewal_is_due() -> None:
    async def story(pair: Pair) -> None:
        assert await asyncio.gather(pair.one.hold(), pair.two.hold()) in ([True, False], [False, True])
        held = pair.one if pair.one.is_held else pair.two
        asked = pair.state.asked
        pair.advance(RENEWAL_MS - 1)
        assert await held.hold()
        assert pair.state.asked == asked
        pair.advance(1)
        assert await held.hold()
        assert (pair.state.asked, held.taken) == (asked + 1, 1)

    played(story)


def test_of_two_workers_that_see_it_free_at_once_one_takes_it() -> None:
    """The second one has read the row before the first one has written it."""
    _, left = moved_duty(HeldDuty(KEY, "before", 3, 5), owner="")
    before = HeldDuty(KEY, "", 3, 6)
    assert left.fields is not None
    _, first = taken_duty(before, "one")
    _, second = taken_duty(before, "two")
    assert holds(first.condition, left.fields)
    assert not holds(second.condition, first.fields)


def test_it_is_taken_over_when_it_has_stood_still_for_the_observers_own_time_and_not_before() -> None:
    async def story(pair: Pair) -> None:
        assert await pair.one.hold()
        assert not await pair.two.hold()
        pair.advance(DUTY_MS - 1)
        assert not await pair.two.hold()
        assert pair.one.is_held
        pair.advance(1)
        assert not pair.one.is_held, "a worker that stood still does not believe it any more"
        assert await pair.two.hold()
        with pytest.raises(StateConflict):
            await pair.state.transact([pair.one.fence, Write("outbox", None)])
        await pair.state.transact([pair.two.fence, Write("outbox", None)])
        assert not await pair.one.hold()

    played(story)


def test_a_worker_that_renews_keeps_it_for_ever() -> None:
    async def story(pair: Pair) -> None:
        assert await pair.one.hold()
        for _ in range(20):
            pair.advance(RENEWAL_MS)
            assert await pair.one.hold()
            assert not await pair.two.hold()
        assert pair.one.taken == 1

    played(story)


def test_what_is_given_back_and_what_a_worker_that_is_gone_had_is_taken_at_once() -> None:
    async def given_back(pair: Pair) -> None:
        assert await pair.one.hold()
        await pair.one.leave()
        await pair.one.leave()
        assert await pair.two.hold()

    async def gone(pair: Pair) -> None:
        assert await pair.one.hold()
        assert await pair.two.hold()

    played(given_back)
    played(gone, Pair(Owner("two", lambda name: name == "one")))


def test_a_write_of_which_nothing_is_heard_costs_no_other_worker_a_turn() -> None:
    async def story(pair: Pair) -> None:
        pair.state.unknown = 1
        with pytest.raises(OutcomeUnknown):
            await pair.one.hold()
        assert not pair.one.is_held
        assert not await pair.two.hold()
        assert await pair.one.hold(), "its own from before"
        pair.advance(RENEWAL_MS)
        pair.state.unknown = 1
        with pytest.raises(OutcomeUnknown):
            await pair.one.hold()
        assert await pair.one.hold()
        await pair.state.transact([pair.one.fence])

    played(story)


def test_two_tasks_of_one_worker_do_not_rob_each_other() -> None:
    async def story(pair: Pair) -> None:
        assert await asyncio.gather(pair.one.hold(), pair.one.hold()) == [True, True]
        pair.advance(RENEWAL_MS)
        assert await asyncio.gather(pair.one.hold(), pair.one.hold()) == [True, True]
        assert pair.one.taken == 1

    played(story)


def test_a_worker_that_asks_every_hour_keeps_it_while_it_lives_and_no_other_does_the_same() -> None:
    async def story(pair: Pair) -> None:
        turns = []
        for _ in range(4):
            turns.append((await pair.one.hold(), await pair.two.hold()))
            pair.advance(3_600_000)
        assert turns == [(True, False)] * 4
        assert await pair.two.hold(), "for an hour nothing has moved"

    played(story)


def test_a_store_that_does_not_answer_says_no() -> None:
    async def story(pair: Pair) -> None:
        pair.state.unknown = 1
        assert not await pair.one.may()
        assert await pair.one.may()
        row = await MemoryStateStore.get(pair.state, KEY)
        assert row is not None
        assert read_duty(KEY, row.fields).epoch == 2

    played(story)


def test_one_that_is_doubted_is_looked_at() -> None:
    async def story(pair: Pair) -> None:
        assert await pair.one.hold()
        asked = pair.state.asked
        pair.one.doubt()
        assert await pair.one.hold()
        assert pair.state.asked == asked + 1

    played(story)


def test_the_duties_of_a_worker_are_given_back_together() -> None:
    async def story(pair: Pair) -> None:
        duties = Duties(pair.state, pair.clocks[0], Owner("three"))
        assert duties.of(KEY) is duties.of(KEY)
        assert await duties.of(KEY).hold()
        await duties.leave()
        assert await pair.two.hold()

    played(story)
