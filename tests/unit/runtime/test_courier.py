"""The courier: a notice is delivered, and then forgotten."""

import asyncio
from typing import Any

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.notice import Notice, outbox_key, outbox_prefix
from tailrace.errors import StoreError
from tailrace.ports import StateWrite, StreamRef
from tailrace.runtime.courier import Courier, FailureDocument
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.windows import WindowInvoke

NOTICE = Notice(
    "note", "shard-1", (), "RetryAttemptsExhausted", 2, 7, 0, run="r", window=WindowInvoke(0, 60_000, is_final=True)
)  # fmt: skip


class Throttled(MemoryStateStore):
    """A state store that refuses its first deletes."""

    refuses = 3

    async def transact(self, writes: Any) -> None:
        if self.refuses and any(write.fields is None for write in writes):
            self.refuses -= 1
            raise StoreError("throttled")
        await super().transact(writes)


class Destination:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    async def deliver(self, failure: FailureDocument) -> None:
        self.told.append(failure.message)


def test_a_notice_that_was_delivered_is_not_delivered_again_while_its_row_cannot_be_deleted() -> None:
    state, clock, destination = Throttled(), ManualClock(), Destination()

    async def stream_of(handler: str, shard_id: str) -> StreamRef:
        return StreamRef("arn", "orders", "label", "NEW_IMAGE")

    async def scenario() -> None:
        await state.transact([StateWrite(outbox_key("shop", NOTICE), NOTICE.fields())])
        courier = Courier("shop", state, clock, {"note": destination}, stream_of, "0" * 12)
        running = asyncio.ensure_future(courier.run())
        while await state.query(outbox_prefix("shop")):
            await asyncio.sleep(0)
            clock.advance(1_000)
        running.cancel()

    asyncio.run(scenario())
    assert state.refuses == 0
    assert len(destination.told) == 1
