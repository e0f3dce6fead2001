"""What one process has saved from the trim is the beginning of the shard for every process: no gap, and
nothing out of its order.

Rules of this file: the retention is so short that all is due at each round of the saving; the stream forgets
when a test says so.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from tailrace.errors import StoreError
from tailrace.ports import StateStore
from tailrace.rows.kinds import EVACUATED, EVACUATION
from tailrace.worker.rounds import ROUND_MS
from tests.contracts.delivering import ALL, Delivery, Process, delivered, is_in_order

RETENTION_MS = 3_600_000
ROUND_S = ROUND_MS // 1_000 + 5
SMALL: dict[str, Any] = {"buffer_records": 10, "batch_size": 1}
"""A handler that is away has read few of what waits."""


class Failing:
    """How a process sees the state store: what it writes of the saving fails, before it is
    written or after it.
    """

    def __init__(self, state: StateStore, *, is_written: bool) -> None:
        self.state, self.is_written = state, is_written
        self.left = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.state, name)

    async def transact(self, writes: Sequence[Any]) -> None:
        is_saving = any(write.key.startswith(EVACUATED.prefix("shop")) for write in writes)
        if is_saving and self.left:
            self.left -= 1
            if self.is_written:
                await self.state.transact(writes)
            raise StoreError("no answer")
        await self.state.transact(writes)


async def away(delivery: Delivery) -> asyncio.Event:
    """The handler does not come back from a call before that."""
    back = asyncio.Event()

    async def wait() -> None:
        await back.wait()

    delivery.noted.slowness = wait
    return back


async def saved(delivery: Delivery) -> int:
    return len(await delivery.state.query(EVACUATED.prefix("shop", "note")))


async def is_whole(delivery: Delivery, written: list[int], *processes: Process) -> None:
    assert sorted({sequence for _, sequence in delivery.noted.seen}) == written
    for key in {key for key, _ in delivery.noted.seen}:
        assert is_in_order(delivery.noted.of(key))
    assert await delivery.gaps() == []
    for process in processes:
        await process.kill()


async def owner_and_other(delivery: Delivery) -> tuple[Process, Process]:
    """The handler is away; the first process has the shard, and the other one has none."""
    await away(delivery)
    first = delivery.start("one", weight=ALL)
    await delivery.rest()
    second = delivery.start("two")
    await delivery.rest()
    return first, second


async def is_taken_over(delivery: Delivery, written: list[int], owner: Process, other: Process) -> None:
    """The owner dies, the handler is back, and the other process hands over all that was written."""
    await owner.kill()
    delivery.noted.slowness = None
    await delivery.rest(30)
    await is_whole(delivery, written, other)


def test_what_another_process_has_saved_is_read_where_the_stream_has_forgotten_it() -> None:
    async def story(delivery: Delivery) -> None:
        (shard,) = delivery.source.begin(1)
        back = await away(delivery)
        failing = Failing(delivery.state, is_written=False)
        first = delivery.start("one", failing, ALL)
        await delivery.rest()
        second = delivery.start("two")
        await delivery.rest()
        assert (len(first.worker.status()), second.worker.status()) == (1, [])
        written = [delivery.source.write(f"o{number % 7}") for number in range(200)]
        await delivery.rest(ROUND_S)
        assert (failing.left, await saved(delivery)) == (0, len(written))
        delivery.source.trim(shard)
        back.set()
        await delivery.rest()
        await is_whole(delivery, written, first, second)

    delivered(story, retention_ms=RETENTION_MS, **SMALL)


def test_who_takes_a_shard_over_knows_what_the_owner_before_has_saved() -> None:
    async def story(delivery: Delivery) -> None:
        (shard,) = delivery.source.begin(1)
        first, second = await owner_and_other(delivery)
        written = [delivery.source.write(f"o{number % 3}") for number in range(9)]
        await delivery.rest(ROUND_S)
        assert await saved(delivery) == len(written)
        delivery.source.trim(shard)
        await is_taken_over(delivery, written, first, second)

    delivered(story, retention_ms=RETENTION_MS)


def test_a_child_waits_for_a_parent_that_only_another_process_has_saved() -> None:
    async def story(delivery: Delivery) -> None:
        (parent,) = delivery.source.begin(1)
        first, second = await owner_and_other(delivery)
        written = [delivery.source.write(f"o{number % 3}") for number in range(9)]
        delivery.source.split(parent)
        written += [delivery.source.write(f"o{number % 3}") for number in range(9)]
        await delivery.rest(ROUND_S)
        rows = await delivery.state.query(EVACUATION.prefix("shop", "note"))
        assert any(row.fields["closed"] for row in rows)
        delivery.source.forget(parent)
        await is_taken_over(delivery, written, first, second)

    delivered(story, retention_ms=RETENTION_MS)


def test_who_has_not_heard_that_it_saved_something_reads_it_all_the_same() -> None:
    async def story(delivery: Delivery) -> None:
        (shard,) = delivery.source.begin(1)
        back = await away(delivery)
        failing = Failing(delivery.state, is_written=True)
        process = delivery.start("one", failing)
        await delivery.rest()
        written = [delivery.source.write(f"o{number % 7}") for number in range(200)]
        await delivery.rest(ROUND_S)
        assert failing.left == 0
        await delivery.rest(ROUND_S)
        assert await saved(delivery) == len(written)
        delivery.source.trim(shard)
        back.set()
        await delivery.rest()
        await is_whole(delivery, written, process)

    delivered(story, retention_ms=RETENTION_MS, **SMALL)
