"""Shared reads as they run: one read for all, errors and cancellation, a slow mapping that holds no other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tailrace import App, Batch, Change
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError
from tailrace.mapping.reader import Budget
from tailrace.ports import ReadDone, Shard, Source, StreamRef
from tailrace.runtime.reading import SharedReads
from tailrace.sources.embedded import EmbeddedSource
from tailrace.testing import World, check_source
from tailrace.testing.loop import SeededLoop
from tests.contracts.test_source import Fed, roll, write
from tests.unit.mapping.records import records

SHARD = Shard("shardId-1", 1, before=0)


class Slow(Source):
    """A shard that answers when it is told to; `reads` is how many of its reads run, and how many ran
    at once at most.
    """

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.outstanding = self.most = 0
        self.answers: list[asyncio.Future[ReadDone]] = []

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self.reads.append(after)
        self.outstanding += 1
        self.most = max(self.most, self.outstanding)
        answer: asyncio.Future[ReadDone] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        try:
            return await answer
        finally:
            self.outstanding -= 1


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    loop = SeededLoop(1, ManualClock())
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_read_answers_everybody_who_waits() -> None:
    async def main() -> None:
        source = Slow()
        reads = SharedReads(source, Budget(1_000_000), 3)
        asking = [asyncio.ensure_future(reads.read(name, SHARD, 0, 10)) for name in "abc"]
        await _turn()
        assert source.reads == [0]
        source.answers[0].set_result(ReadDone(records(1, 2), 2))
        assert await asyncio.gather(*asking) == [ReadDone(records(1, 2), 2)] * 3
        assert source.reads == [0]

    run(main)


def test_when_the_reader_is_cancelled_another_takes_over() -> None:
    async def main() -> None:
        source = Slow()
        reads = SharedReads(source, Budget(1_000_000), 2)
        first = asyncio.ensure_future(reads.read("a", SHARD, 0, 10))
        await _turn()
        second = asyncio.ensure_future(reads.read("b", SHARD, 0, 10))
        await _turn()
        first.cancel()
        await _turn()
        assert first.cancelled()
        assert source.reads == [0, 0]
        source.answers[1].set_result(ReadDone(records(1), 1))
        assert await second == ReadDone(records(1), 1)

    run(main)


def test_who_waits_can_be_cancelled_and_the_read_goes_on() -> None:
    async def main() -> None:
        source = Slow()
        reads = SharedReads(source, Budget(1_000_000), 2)
        first = asyncio.ensure_future(reads.read("a", SHARD, 0, 10))
        await _turn()
        second = asyncio.ensure_future(reads.read("b", SHARD, 0, 10))
        await _turn()
        second.cancel()
        await _turn()
        source.answers[0].set_result(ReadDone(records(1), 1))
        assert await first == ReadDone(records(1), 1)
        assert source.reads == [0]

    run(main)


def test_a_failing_source_fails_each_reader_once() -> None:
    async def main() -> None:
        source = Slow()
        reads = SharedReads(source, Budget(1_000_000), 2)
        asking = [asyncio.ensure_future(reads.read(name, SHARD, 0, 10)) for name in "ab"]
        for failing in range(2):
            await _turn()
            source.answers[failing].set_exception(SourceError("down"))
        failures = await asyncio.gather(*asking, return_exceptions=True)
        assert [str(failure) for failure in failures] == ["down", "down"]
        assert source.reads == [0, 0]

    run(main)


def test_a_shard_never_has_more_than_two_reads_whatever_the_number_of_mappings() -> None:
    async def main() -> None:
        source = Slow()
        reads = SharedReads(source, Budget(0), 9)
        asking = [
            asyncio.ensure_future(reads.read(str(place), SHARD, place * 10, 10)) for place in range(1, 10)
        ]
        while not all(task.done() for task in asking):
            await _turn()
            for after, answer in zip(source.reads, source.answers, strict=True):
                if not answer.done():
                    answer.set_result(ReadDone(records(after + 1), after + 1))
        assert source.most <= 2
        assert [(await task).next_after for task in asking] == [place * 10 + 1 for place in range(1, 10)]

    run(main)


def test_one_mapping_alone_reads_straight_from_the_source() -> None:
    async def main() -> None:
        source = Slow()
        budget = Budget(1_000_000)
        asking = asyncio.ensure_future(SharedReads(source, budget, 1).read("a", SHARD, 0, 10))
        await _turn()
        source.answers[0].set_result(ReadDone(records(1), 1))
        await asking
        assert budget.rings == 0

    run(main)


def test_a_shard_that_nobody_reads_any_more_gives_its_budget_back() -> None:
    async def main() -> None:
        source = Slow()
        budget = Budget(1_000_000)
        reads = SharedReads(source, budget, 2)
        asking = [asyncio.ensure_future(reads.read(name, SHARD, 0, 10)) for name in "ab"]
        await _turn()
        source.answers[0].set_result(ReadDone(records(1), 1, closed=True))
        await asyncio.gather(*asking)
        reads.leave("a", SHARD)
        assert budget.rings == 1
        reads.leave("b", SHARD)
        assert budget.rings == 0

    run(main)


class SharedFed(Fed):
    """The embedded source as the second of two mappings sees it, with a budget that is always used up."""

    budget_bytes = 2_000

    def __init__(self) -> None:
        super().__init__()
        self.reads = SharedReads(_Embedded(self), Budget(self.budget_bytes), 2)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await self.reads.read("second", shard, after, limit)
        return ReadDone(page.records, page.next_after, page.closed, page.trimmed)


class _Embedded(Source):
    def __init__(self, fed: Fed) -> None:
        self._fed = fed

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        return await EmbeddedSource.read(self._fed, shard, after, limit)

    async def stream(self) -> StreamRef:
        return await self._fed.stream()


class SharedWithoutBudget(SharedFed):
    budget_bytes = 0


@pytest.mark.parametrize("make", [SharedFed, SharedWithoutBudget])
def test_a_shared_read_keeps_the_contract_of_the_source(make: Callable[[], Source]) -> None:
    check_source(make, write, roll=roll, idle_ms=3)


# ---- in a world --------------------------------------------------------------------------------------------


def test_a_slow_handler_does_not_hold_the_others_and_is_read_again_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    seen: dict[str, int] = dict.fromkeys(("one", "two", "slow"), 0)

    @app.batch(orders, id="one")
    def one(batch: Batch) -> None:
        seen["one"] += len(batch)

    @app.batch(orders, id="two")
    def two(batch: Batch) -> None:
        seen["two"] += len(batch)

    @app.on(orders, id="slow", batch_size=1)
    async def slow(change: Change) -> None:
        await asyncio.sleep(1)
        seen["slow"] += 1

    monkeypatch.setattr("tailrace.worker.worker.READ_BUDGET_BYTES", 1_000)
    reads = 0
    plain = EmbeddedSource.read

    async def counted(self: EmbeddedSource, shard: Shard, after: int, limit: int) -> ReadDone:
        nonlocal reads
        reads += 1
        return await plain(self, shard, after, limit)

    monkeypatch.setattr(EmbeddedSource, "read", counted)
    with World(app, seed=1) as world:
        for number in range(4_000):
            world.put(orders, {"id": str(number)})
        world.advance("10s")
        assert (seen["one"], seen["two"]) == (4_000, 4_000)
        assert seen["slow"] <= 11
        assert reads <= 12  # not one for each of the three, and the slow one has room for 2,000
        world.advance("2h")
    assert seen == {"one": 4_000, "two": 4_000, "slow": 4_000}


def test_a_new_handler_does_not_wait_for_what_another_waits_for() -> None:
    def app_of(*names: str) -> App:
        app = App("shop")
        orders = app.table("orders", pk="id")
        for name in names:

            def seen(change: Change[Any]) -> None: ...

            app.on(orders, id=name)(seen)
        return app

    with World(app_of("old"), seed=1) as world:
        world.put("orders", {"id": "1"})
        world.settle()
        world.kill()
        world.use(
            app_of("old", "new")
        )  # the old one waits at the end of the shard when the new one begins it
        world.settle()
        assert world.delivered("new") == ["1"]
        assert world.clock.now().monotonic_ms == 0
