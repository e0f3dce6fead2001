"""No row is written before the number of its change is beside the rows, that of a reset neither."""

import asyncio
from contextlib import nullcontext

from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.engine.state import EngineStateStore
from tailrace.leases.generation import Generations
from tailrace.ports import Outcome, RecordBatch, Written
from tailrace.runtime.agreeing import Agreeing, VersionedRows
from tailrace.stores.memory import MemoryStore
from tailrace.testing.contracts.sink import STREAM, batch_of
from tailrace.testing.sinks import VersionedMemory
from tests.unit.engine.building import opened

LABEL = STREAM.label
FIRST = Generations("shop", "orders").with_labels([LABEL])


class Noting(VersionedMemory):
    """Shape: `kept` is what was beside the rows when each batch was written; `asked` how often."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, int]] = []
        self.asked = 0

    async def sources(self) -> dict[str, int]:
        self.asked += 1
        return dict(await super().sources())

    async def write(self, batch: RecordBatch) -> Outcome:
        self.kept.append(dict(self.target.sources))
        return await super().write(batch)


def test_the_number_of_a_reset_is_beside_the_rows_before_the_first_change_that_follows_it() -> None:
    async def story() -> None:
        engine, sink = opened(MemoryStore()), Noting()

        async def flushed() -> None:
            engine.committer.flush()

        state = EngineStateStore(engine, flushed)
        await state.transact([FIRST.write()])
        agreeing = Agreeing(sink, VersionedRows("the sink", sink, nullcontext), state, "shop", "orders")
        await agreeing.open(ManualClock())

        async def write(generation: int) -> None:
            records = [structs.replace(record, generation=generation) for record in batch_of("ab")]
            assert await agreeing.write(RecordBatch(records, "m", STREAM, "shard")) == Written()

        await write(1)
        reset = FIRST.with_reset({"shard": 7})
        await state.transact([reset.write()])
        await write(1)
        assert sink.asked == 1, "what is agreed on is not asked again"
        for _ in range(2):
            await write(3)
        assert sink.kept == [FIRST.kept, FIRST.kept, reset.kept, reset.kept]
        assert sink.asked == 2

    asyncio.run(story())
