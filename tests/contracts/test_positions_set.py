"""Positions that are set beside real workers, in processes that hear of it by rows alone: everything behind
them comes again, and nothing of a shard before what it continues.
"""

from collections.abc import Awaitable, Callable

from tailrace.leases.checkpoint import checkpoint_key
from tailrace.rows.writes import StateRow
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.placing import NewPosition, place_checkpoint
from tests.contracts.delivering import Delivery, Without, delivered, is_in_order


class Lineage:
    """A shard that is finished, the two that continue it, and changes of one item in both generations."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        delivery.source.begin(1)
        self.numbers = [delivery.source.write("o1") for _ in range(3)]
        self.parent = "shard-1"
        self.children = delivery.source.split(self.parent)
        self.numbers += [delivery.source.write("o1") for _ in range(3)]

    async def set_back(self) -> None:
        """All of them to their beginnings, parents first."""
        stream = await self.delivery.source.stream()
        performer = Performer(self.delivery.state, self.delivery.clock)
        for number, shard in enumerate(await self.delivery.source.shards()):
            place = MappingShard("shop", "note", "orders", stream.label, shard.shard_id)
            to = NewPosition(shard.first - 1, False, goes_back=True)
            await performer.perform(place_checkpoint(place, to, "set-1", number, 0))

    async def finished(self) -> list[str]:
        rows = await self.delivery.checkpoints()
        return [shard for (_, shard), fields in rows.items() if fields["finished"]]


class Meanwhile(Without):
    """A store in which something happens right before a worker reads a row for the first time."""

    def __init__(self, delivery: Delivery, key: str, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(delivery.state)
        self.key = key
        self._happens = happens

    async def get(self, key: str) -> StateRow | None:
        if key == self.key:
            self.key = ""
            await self._happens()
        return await super().get(key)


def test_workers_that_run_begin_a_whole_lineage_again_in_order() -> None:
    async def story(delivery: Delivery) -> None:
        lineage = Lineage(delivery)
        processes = [delivery.start("one"), delivery.start("two")]
        await delivery.rest()
        assert delivery.noted.of("o1") == lineage.numbers
        assert await lineage.finished() == [lineage.parent]
        await lineage.set_back()
        assert await lineage.finished() == []
        await delivery.rest()
        assert delivery.noted.of("o1") == lineage.numbers * 2
        assert await lineage.finished() == [lineage.parent]
        late = delivery.source.write("o1")
        await delivery.rest()
        assert delivery.noted.of("o1")[-1] == late
        for process in processes:
            await process.stop()

    delivered(story)


def test_a_worker_that_looked_before_it_was_set_begins_no_child_before_its_parent() -> None:
    async def story(delivery: Delivery) -> None:
        lineage = Lineage(delivery)
        first = delivery.start("one")
        await delivery.rest()
        await first.stop()
        stream = await delivery.source.stream()
        child = next(shard for shard in lineage.children if delivery.source.shard_of("o1") == shard)
        key = checkpoint_key("shop", "note", stream.label, child)
        delivery.noted.seen.clear()
        seen_late = Meanwhile(delivery, key, lineage.set_back)
        second = delivery.start("two", seen_late)
        await delivery.rest()
        assert seen_late.key == "", "it was set after the worker had seen that the parent was finished"
        again = delivery.noted.of("o1")
        assert is_in_order(again), again
        assert again == lineage.numbers
        await second.stop()

    delivered(story)
