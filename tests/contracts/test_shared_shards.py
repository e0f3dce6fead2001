"""Two real workers that share the shards of a mapping: what was discarded is put back wherever its shard is
read, by one worker at a time and in order.

Rules of this file: each worker is kept from the leases of the other one's shards; what is judged is what the
handler was given, and when.
"""

import asyncio
from collections.abc import Sequence
from itertools import product
from typing import Any

from tailrace import Discard
from tailrace.deadletters.core.head import CLAIM_MS
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.leases.balance import FleetMember, assign
from tailrace.leases.lease import lease_key
from tailrace.ports import Action
from tailrace.rows.kinds import CHECKPOINT, DEADLETTER, HEAD, PASSED, REDRIVE, kind_of
from tailrace.rows.writes import StateRow, Write
from tests.contracts.delivering import Delivery, Without, delivered


class Dying(Without):
    """As a process sees it that stands still for ever at a call about its redrive."""

    left: int | None = None
    """How many it still makes of those; None: as many as it likes."""

    async def _counted(self, key: str) -> None:
        if self.left is not None and kind_of(key) in (DEADLETTER, HEAD, PASSED, REDRIVE):
            self.left -= 1
        if self.left is not None and self.left < 0:
            await asyncio.Event().wait()

    async def get(self, key: str) -> StateRow | None:
        await self._counted(key)
        return await super().get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        await self._counted(prefix)
        return await super().query(prefix, after=after, limit=limit)

    async def transact(self, writes: Sequence[Action]) -> None:
        await self._counted(writes[-1].key)
        await super().transact(writes)


WEIGHT = 5


def names() -> tuple[str, str]:
    """Two names of workers, of which the first is to have shard-1 and the second, of that weight, all else:
    shard-2, and what continues shard-1.
    """
    first, *others = [lease_key("shop", "stream-1", f"shard-{number}") for number in range(1, 5)]
    for one, two in product(range(20), range(20)):
        here, there = f"one-{one}", f"two-{two}"
        members = [FleetMember(here), FleetMember(there, WEIGHT)]
        begun = assign([first, others[0]], members)
        if begun == {first: here, others[0]: there} and set(assign(others, members).values()) == {there}:
            return here, there
    raise AssertionError("no such names")


class Shared:
    """Two processes, one with shard-1 and another with shard-2."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        delivery.source.begin(2)
        self.dying = Dying(delivery.state, "shard-2")
        self.views = [self.dying, Without(delivery.state, "shard-1")]
        self.names = names()
        self.processes = [
            delivery.start(name, view, weight)
            for name, view, weight in zip(self.names, self.views, (1, WEIGHT), strict=True)
        ]
        keys = [f"o{number}" for number in range(20)]
        self.first, self.second = (
            next(key for key in keys if delivery.source.shard_of(key) == shard)
            for shard in ("shard-1", "shard-2")
        )

    @classmethod
    async def of(cls, delivery: Delivery) -> "Shared":
        shared = cls(delivery)
        await delivery.rest(3)
        assert [[status.shard_id for status in one.worker.status()] for one in shared.processes] == [
            ["shard-1"],
            ["shard-2"],
        ]
        return shared

    async def discarded(self, *keys: str) -> dict[str, int]:
        """A change of each key that was given up."""
        self.delivery.noted.failing = set(keys)
        numbers = {key: self.delivery.source.write(key) for key in keys}
        await self.delivery.rest(5)
        assert len(await self.delivery.discarded()) == len(keys)
        self.delivery.noted.failing = set()
        return numbers

    async def ended(self) -> None:
        for process in self.processes:
            await process.kill()


async def requests(delivery: Delivery) -> int:
    return len(await delivery.state.query(REDRIVE.prefix("shop")))


def test_every_discarded_change_is_put_back_by_the_worker_that_reads_its_shard() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        numbers = await shared.discarded(shared.first, shared.second)
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest(5)
        assert sorted(delivery.noted.seen) == sorted(numbers.items())
        assert (await delivery.discarded(), await delivery.heads(), await requests(delivery)) == ([], [], 0)
        await shared.ended()

    delivered(story, on_failure=Discard())


def test_changes_that_fail_again_are_tried_once_for_a_request_which_is_done_then() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        await shared.discarded(shared.first, shared.second)
        delivery.noted.failing = {shared.first, shared.second}
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest(9)
        assert [(letter.attempts, letter.tried) for letter in await delivery.discarded()] == [
            (3, "r1"),
            (3, "r1"),
        ]
        assert (await delivery.heads(), await requests(delivery)) == ([], 0)
        await delivery.ask(RedriveRequest("r2", "note"))
        delivery.noted.failing = set()
        await delivery.rest(5)
        assert await delivery.discarded() == []
        await shared.ended()

    delivered(story, on_failure=Discard())


def test_a_worker_puts_nothing_back_whose_shard_another_one_reads() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        numbers = await shared.discarded(shared.first, shared.second)
        redriver = shared.processes[0].worker.redrives.redriver
        assert redriver is not None
        progress = Progress()
        request = RedriveRequest("r1", "note")
        await delivery.ask(request)
        await redriver.carry_out(request, progress)
        assert delivery.noted.seen == [(shared.first, numbers[shared.first])]
        assert (progress.done, progress.busy) == (1, 1)
        await shared.ended()

    delivered(story, on_failure=Discard())


async def at_the_handler(shared: Shared) -> tuple[asyncio.Event, dict[str, int]]:
    """A discarded change of the first shard is put back by the first worker, whose call takes until the event
    is set; so does every other of it.
    """
    delivery, gate = shared.delivery, asyncio.Event()
    numbers = await shared.discarded(shared.first)

    async def wait() -> None:
        await gate.wait()

    delivery.noted.slowness = wait
    await delivery.ask(RedriveRequest("r1", "note"))
    await delivery.rest(2)
    (claim,) = await delivery.heads()
    assert (claim["claimed_by"], claim["count"]) == (f"r1/{shared.names[0]}", 0)
    return gate, numbers


def moved(shared: Shared) -> None:
    """The second worker may read every shard."""
    shared.views[1].shards.clear()


def test_what_a_worker_died_with_is_put_back_by_the_next_one_before_anything_newer_of_the_item() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        _, numbers = await at_the_handler(shared)
        await shared.processes[0].kill()
        delivery.noted.slowness = None
        moved(shared)
        later = delivery.source.write(shared.first, n=1)
        await delivery.rest(20)
        assert len(shared.processes[1].worker.status()) == 2
        assert delivery.noted.of(shared.first) == [], (
            "as far as the rows tell it lives, and is at the older one"
        )
        await delivery.rest(CLAIM_MS // 1_000 + 5)
        newest = delivery.source.write(shared.first, n=2)
        await delivery.rest(3)
        assert delivery.noted.of(shared.first) == [numbers[shared.first], later, newest]
        assert (await delivery.discarded(), await delivery.heads(), await requests(delivery)) == ([], [], 0)
        await shared.ended()

    delivered(story, on_failure=Discard())


async def died_at(delivery: Delivery, calls: int) -> tuple[list[int], list[int], bool]:
    """An item with two discarded changes, whose worker died after so many calls: its changes, what the
    handler saw of it, and whether it did die.
    """
    shared = await Shared.of(delivery)
    numbers = [(await shared.discarded(shared.first))[shared.first]]
    delivery.noted.failing = {shared.first}
    numbers.append(delivery.source.write(shared.first, n=1))
    await delivery.rest(5)
    delivery.noted.failing = set()
    await delivery.ask(RedriveRequest("r1", "note"))
    shared.dying.left = calls
    await delivery.rest(3)
    has_died = shared.dying.left < 0
    await shared.processes[0].kill()
    moved(shared)
    numbers.append(delivery.source.write(shared.first, n=2))
    await delivery.rest(CLAIM_MS // 1_000 + 30)
    numbers.append(delivery.source.write(shared.first, n=3))
    await delivery.rest(3)
    assert (await delivery.discarded(), await delivery.heads(), await requests(delivery)) == ([], [], 0), (
        calls
    )
    await shared.ended()
    return numbers, delivery.noted.of(shared.first), has_died


def test_a_worker_that_dies_between_any_two_calls_of_a_redrive_leaves_what_another_one_goes_on_with() -> None:
    calls, has_died = 0, True
    while has_died:
        outcome: list[tuple[list[int], list[int], bool]] = []

        async def story(delivery: Delivery, calls: int = calls, outcome: list[Any] = outcome) -> None:
            outcome.append(await died_at(delivery, calls))

        delivered(story, on_failure=Discard())
        ((numbers, seen, has_died),) = outcome
        assert list(dict.fromkeys(seen)) == numbers, f"{calls}: {seen}"
        assert len(seen) <= len(numbers) + 1, (
            f"{calls}: at most the change that was at the handler comes twice"
        )
        calls += 1
    assert calls > 12, "it dies before, in and after every transaction"


def test_a_worker_that_has_lost_the_shard_and_is_still_at_a_change_is_not_overtaken() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        gate, numbers = await at_the_handler(shared)
        shared.views[0].is_cut = True
        shared.views[0].shards.add("shard-1")
        moved(shared)
        await delivery.rest(15)
        assert len(shared.processes[1].worker.status()) == 2
        later = delivery.source.write(shared.first, n=1)
        await delivery.rest(5)
        gate.set()
        await delivery.rest(1)
        assert delivery.noted.of(shared.first) == [numbers[shared.first]], "the later one waits behind it"
        await shared.processes[0].kill()
        await delivery.rest(CLAIM_MS // 1_000 + 5)
        assert delivery.noted.of(shared.first) == [numbers[shared.first]] * 2 + [later], (
            "no process could write down that it was done"
        )
        assert (await delivery.discarded(), await delivery.heads(), await requests(delivery)) == ([], [], 0)
        await shared.ended()

    delivered(story, on_failure=Discard())


def test_a_worker_that_has_lost_the_shard_before_it_claims_puts_nothing_back() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        await shared.discarded(shared.first)
        row = await delivery.state.get(CHECKPOINT.key("shop", "note", "stream-1", "shard-1"))
        assert row is not None
        raised = {**row.fields, "epoch": row.fields["epoch"] + 1}
        await delivery.state.transact([Write(row.key, raised)])
        redriver = shared.processes[0].worker.redrives.redriver
        assert redriver is not None
        progress = Progress()
        request = RedriveRequest("r1", "note")
        await redriver.note(request)
        await redriver.carry_out(request, progress)
        assert (delivery.noted.seen, progress.busy, await requests(delivery)) == ([], 1, 1)
        await shared.ended()

    delivered(story, on_failure=Discard())


def test_what_continues_a_shard_begins_when_the_change_that_is_put_back_there_is_done() -> None:
    async def story(delivery: Delivery) -> None:
        shared = await Shared.of(delivery)
        gate, numbers = await at_the_handler(shared)
        moved(shared)
        shared.views[0].shards.update(delivery.source.split("shard-1"))
        later = delivery.source.write(shared.first, n=1)
        await delivery.rest(9)
        assert [status.shard_id for status in shared.processes[1].worker.status()] == ["shard-2"]
        gate.set()
        await delivery.rest(9)
        assert len(shared.processes[1].worker.status()) == 3
        assert delivery.noted.of(shared.first) == [numbers[shared.first], later]
        await shared.ended()

    delivered(story, on_failure=Discard())
