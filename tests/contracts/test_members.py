"""Real workers as members of a fleet, over one state store in memory: who has what, what is handed over and
how, and what a worker does that others may take for dead.

Rules of this file: what is judged are rows, what the handler was given, and what runs.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tailrace.errors import NameInUse, StoreError
from tailrace.leases.balance import FleetMember as Share
from tailrace.leases.balance import rooms
from tailrace.leases.lease import finish
from tailrace.ports import Action
from tailrace.rows.kinds import CHECKPOINT, LEASE, MEMBER
from tailrace.rows.writes import StateRow
from tailrace.runtime.fleet import write_each
from tailrace.worker.habits import Habits
from tailrace.worker.leasing import Leasing
from tailrace.worker.worker import Worker
from tests.contracts import delivering
from tests.contracts.delivering import ALL, Delivery, Process, Without, delivered


class Deaf(Without):
    """A state store as one worker sees it whose next takes of leases are made, and seem to have failed."""

    deaf = 0

    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(writes)
        if self.deaf and any(write.key.startswith(LEASE.prefix()) for write in writes):
            self.deaf -= 1
            raise StoreError("the answer was lost")


class Slow(Without):
    """A state store as one worker sees it: its heartbeats are on their way for so long, when that is set."""

    delay_ms = 0

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.state)
        self._clock = delivery.clock

    async def transact(self, writes: Sequence[Action]) -> None:
        if self.delay_ms and any(write.key.startswith(MEMBER.prefix()) for write in writes):
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self.delay_ms)
        await super().transact(writes)


class SlowTakes(Without):
    """A state store as one worker sees it: the answers to what it writes in leases are on their way for so
    long, when that is set.
    """

    delay_ms = 0

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.state)
        self._clock = delivery.clock

    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(writes)
        if self.delay_ms and any(write.key.startswith(LEASE.prefix()) for write in writes):
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self.delay_ms)


class SlowLooks(Without):
    """A state store as one worker sees it: what it asks of checkpoints is on its way for so long, when that
    is set, and its heartbeats fail when it `is_dead`.
    """

    delay_ms = 0
    is_dead = False

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.state)
        self._clock = delivery.clock

    async def get(self, key: str) -> StateRow | None:
        if self.delay_ms and key.startswith(CHECKPOINT.prefix()):
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self.delay_ms)
        return await super().get(key)

    async def transact(self, writes: Sequence[Action]) -> None:
        if self.is_dead and any(write.key.startswith(MEMBER.prefix()) for write in writes):
            raise StoreError("the heartbeat was not written")
        await super().transact(writes)


async def leases(delivery: Delivery) -> dict[str, dict[str, object]]:
    rows = await delivery.state.query(LEASE.prefix("shop"))
    return {row.key.rsplit("/", 1)[1]: dict(row.fields) for row in rows}


async def heartbeats(delivery: Delivery) -> dict[str, int]:
    return {row.key: row.fields["counter"] for row in await delivery.state.query(MEMBER.prefix("shop"))}


async def owners(delivery: Delivery) -> Counter[object]:
    return Counter(lease["owner"] for lease in (await leases(delivery)).values())


def running(process: Process) -> set[str]:
    return {status.shard_id for status in process.worker.status()}


async def ended(*processes: Process) -> None:
    for process in processes:
        await process.kill()


def test_a_lease_is_written_when_it_changes_hands_and_each_worker_writes_one_row() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(8)
        processes = [delivery.start(name) for name in ("one", "two", "three")]
        await delivery.rest(60)
        before = await leases(delivery)
        members = {
            row.key: row.fields["counter"] for row in await delivery.state.query(MEMBER.prefix("shop"))
        }
        await delivery.rest(60)
        assert await leases(delivery) == before
        after = await heartbeats(delivery)
        assert sorted(after) == ["member/shop/one", "member/shop/three", "member/shop/two"]
        assert {after[key] - members[key] for key in after} == {20}, "one write in three seconds"
        await ended(*processes)

    delivered(story)


def test_leases_are_spread_over_workers_by_their_weights() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(12)
        delivery.hand_overs = 4
        processes = [delivery.start("one"), delivery.start("two", weight=2)]
        await delivery.rest(60)
        room = rooms(12, [Share("one"), Share("two", 2)])
        assert await owners(delivery) == room == {"one": 4, "two": 8}
        assert [len(running(process)) for process in processes] == [4, 8]
        await processes[1].stop()
        await delivery.rest(10)
        assert await owners(delivery) == {"one": 12}
        assert [row.key for row in await delivery.state.query(MEMBER.prefix("shop"))] == ["member/shop/one"]
        await ended(*processes)

    delivered(story)


@pytest.mark.parametrize("most", [1, 3])
def test_so_many_leases_at_once_are_drained_for_others_and_no_more(most: int) -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(16)
        delivery.hand_overs = most
        first = delivery.start("one")
        await delivery.rest(1)
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        delivery.noted.slowness = wait
        written = [delivery.source.write(f"o{number}") for number in range(80)]
        second = delivery.start("two")
        await delivery.rest(30)
        leaving = [place for place in first.worker.leases.held if first.worker.leases.is_leaving(place)]
        assert (len(leaving), running(second)) == (most, set()), "what is at the handler is waited for"
        gate.set()
        await delivery.rest(30)
        assert await owners(delivery) == {"one": 8, "two": 8}
        assert sorted(sequence for _, sequence in delivery.noted.seen) == written, "nothing is repeated"
        await ended(first, second)

    delivered(story)


def test_a_worker_that_is_cut_off_for_a_lease_time_ends_what_it_reads_and_takes_it_anew() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        view = Without(delivery.state)
        process = delivery.start("one", view)
        await delivery.rest(4)
        view.is_cut = True
        await delivery.rest(8)
        assert len(running(process)) == 2, "its last heartbeat is younger than ten seconds"
        await delivery.rest(4)
        assert running(process) == set()
        delivery.source.write("o1")
        await delivery.rest(4)
        assert delivery.noted.seen == []
        view.is_cut = False
        await delivery.rest(5)
        assert {lease["epoch"] for lease in (await leases(delivery)).values()} == {2}
        assert len(delivery.noted.seen) == 1
        await ended(process)

    delivered(story)


def test_a_heartbeat_that_was_long_on_its_way_fails_when_it_is_old() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        view = Slow(delivery)
        process = delivery.start("one", view)
        await delivery.rest(4)
        view.is_cut = True
        await delivery.rest(14)
        view.is_cut, view.delay_ms = False, 9_000
        while not running(process):
            await delivery.rest(1)
        view.delay_ms = 60_000
        await delivery.rest(2)
        assert running(process) == set(), "no other write followed, and this one is ten seconds old"
        await ended(process)

    delivered(story)


def test_a_take_whose_answer_was_lost_strands_nothing() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(4)
        view = Deaf(delivery.state)
        view.deaf = 4
        processes = [delivery.start("one", view), delivery.start("two")]
        await delivery.rest(60)
        written = [delivery.source.write(f"o{number}") for number in range(20)]
        await delivery.rest(5)
        assert await owners(delivery) == {"one": 2, "two": 2}
        assert sorted(sequence for _, sequence in delivery.noted.seen) == written
        await ended(*processes)

    delivered(story)


def test_what_is_being_taken_is_no_stray_when_it_is_to_be_anothers_by_then() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(1)
        view = SlowTakes(delivery)
        view.delay_ms = 25_000
        first = delivery.start("one", view)
        await delivery.rest(1)
        assert [lease["owner"] for lease in (await leases(delivery)).values()] == ["one"]
        second = delivery.start("two", weight=ALL)
        await delivery.rest(22)
        assert await owners(delivery) == {"one": 1}, "it does not know yet that it has it"
        view.delay_ms = 0
        await delivery.rest(30)
        assert await owners(delivery) == {"two": 1}
        assert [lease["epoch"] for lease in (await leases(delivery)).values()] == [2]
        await ended(first, second)

    delivered(story)


def test_no_lease_is_taken_when_the_heartbeat_has_failed_while_the_shard_was_looked_at() -> None:
    """Whatever is asked of a shard before its lease is taken may take long."""

    async def story(delivery: Delivery) -> None:
        delivery.source.begin(1)
        view = SlowLooks(delivery)
        view.delay_ms = 14_000
        process = delivery.start("one", view)
        await delivery.rest(1)
        view.is_dead = True
        await delivery.rest(30)
        assert await leases(delivery) == {}, (
            "others take it for dead, and it would not know that it has a lease"
        )
        view.is_dead, view.delay_ms = False, 0
        await delivery.rest(30)
        assert await owners(delivery) == {"one": 1}
        await ended(process)

    delivered(story)


def test_of_two_workers_of_one_name_one_ends_in_words() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        first = delivery.start("one")
        await delivery.rest(5)
        second = delivery.start("one")
        delivery.processes.clear()  # the end of one is what is asked for
        await delivery.rest(10)
        assert (first.task.done(), second.task.done()) == (True, False)
        error = first.task.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(NameInUse) is not None
        written = [delivery.source.write(f"o{number}") for number in range(9)]
        await delivery.rest(5)
        assert sorted(sequence for _, sequence in delivery.noted.seen) == written
        await ended(second)

    delivered(story)


def test_what_continues_a_shard_is_read_by_the_worker_that_is_to_have_it() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        processes = [delivery.start(name) for name in ("one", "two")]
        await delivery.rest(30)
        for shard_id in list(delivery.source.open_shards):
            delivery.source.split(shard_id)
        written = [delivery.source.write(f"o{number}") for number in range(40)]
        await delivery.rest(40)
        assert [len(running(process)) for process in processes] == [2, 2]
        assert sorted(sequence for _, sequence in delivery.noted.seen) == written
        assert {tuple(lease.get("finished", ())) for lease in (await leases(delivery)).values()} == {
            ("note",),
            (),
        }
        await ended(*processes)

    delivered(story)


def test_what_comes_from_other_workers_and_goes_to_them_is_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tailrace.worker")

    async def story(delivery: Delivery) -> None:
        delivery.source.begin(4)
        first = delivery.start("one")
        await delivery.rest(5)
        second = delivery.start("two")
        await delivery.rest(40)
        kept = len(second.worker.leases.held)
        assert 0 < kept < 4
        assert f"leases: {kept} handed over; {4 - kept} held now" in caplog.messages
        await first.kill()
        delivery.processes.remove(first)
        await delivery.rest(40)
        assert f"leases: {4 - kept} taken over; 4 held now" in caplog.messages
        await ended(second)

    delivered(story)


def as_many_as_there_are_are_drained_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delivering, "Habits", lambda *arguments: Habits(*arguments[:-1], 99))


def a_lease_is_left_while_its_shard_is_at_work(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "leave", lambda *_: False)


def a_lease_says_again_that_its_owner_lives(patch: pytest.MonkeyPatch) -> None:
    """As it was before there were heartbeats."""
    right = Leasing._round

    async def wrong(self: Leasing) -> None:
        await right(self)
        for place, lease in list(self.held.items()):
            self.held[place], write = finish(lease, ())
            await self._performer.perform(write_each([write]))

    patch.setattr(Leasing, "_round", wrong)


CANARIES: dict[Callable[[pytest.MonkeyPatch], None], Callable[[], None]] = {
    as_many_as_there_are_are_drained_at_once: partial(
        test_so_many_leases_at_once_are_drained_for_others_and_no_more, 3
    ),
    a_lease_is_left_while_its_shard_is_at_work: partial(
        test_so_many_leases_at_once_are_drained_for_others_and_no_more, 3
    ),
    a_lease_says_again_that_its_owner_lives: (
        test_a_lease_is_written_when_it_changes_hands_and_each_worker_writes_one_row
    ),
}


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_the_planted_bug_of_members_is_noticed(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        CANARIES[plant]()
