"""The courier: a notice is delivered, and then forgotten."""

import asyncio
from typing import Any

from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.notice import Notice, outbox_key, outbox_prefix
from tailrace.deadletters.run.courier import Courier, FailureDocument
from tailrace.errors import StoreError
from tailrace.ports import StreamRef
from tailrace.rows.writes import Write
from tailrace.runtime.parts import Parts
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.windows import WindowInvoke

NOTICE = Notice(
    "note",
    "shard-1",
    (),
    "RetryAttemptsExhausted",
    2,
    7,
    0,
    run="r",
    window=WindowInvoke(0, 60_000, is_final=True),
)


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
        await state.transact([Write(outbox_key("shop", NOTICE), NOTICE.fields())])
        courier = Courier("shop", Parts(state, clock), {"note": destination}, stream_of, "0" * 12)
        running = asyncio.ensure_future(courier.run())
        while await state.query(outbox_prefix("shop")):
            await asyncio.sleep(0)
            clock.advance(1_000)
        running.cancel()

    asyncio.run(scenario())
    assert state.refuses == 0
    assert len(destination.told) == 1


async def stream_of(handler: str, shard_id: str) -> StreamRef:
    return StreamRef("arn", "orders", "label", "NEW_IMAGE")


class Hanging(Destination):
    """Never answers."""

    async def deliver(self, failure: FailureDocument) -> None:
        await super().deliver(failure)
        await asyncio.Event().wait()


def test_a_notice_stays_until_it_is_delivered_and_a_courier_that_is_killed_meanwhile_loses_none() -> None:
    state, clock, hanging, destination = MemoryStateStore(), ManualClock(), Hanging(), Destination()

    async def scenario() -> None:
        await state.transact([Write(outbox_key("shop", NOTICE), NOTICE.fields())])
        first = asyncio.ensure_future(
            Courier("shop", Parts(state, clock), {"note": hanging}, stream_of, "0" * 12).run()
        )
        while not hanging.told:
            assert not first.done(), "the courier ended by itself"
            await asyncio.sleep(0)
        assert len(await state.query(outbox_prefix("shop"))) == 1, "it is kept while it is on its way"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.ensure_future(
            Courier("shop", Parts(state, clock), {"note": destination}, stream_of, "0" * 12).run()
        )
        while await state.query(outbox_prefix("shop")):
            await asyncio.sleep(0)
        second.cancel()

    asyncio.run(scenario())
    assert destination.told == hanging.told


def test_a_destination_that_hangs_holds_up_the_notices_of_no_other_handler() -> None:
    state, clock, hanging, destination = MemoryStateStore(), ManualClock(), Hanging(), Destination()
    others = [replace(NOTICE, handler="other", request=number) for number in (1, 2)]

    async def scenario() -> None:
        await state.transact(
            [Write(outbox_key("shop", notice), notice.fields()) for notice in (NOTICE, others[0])]
        )
        courier = Courier(
            "shop", Parts(state, clock), {"note": hanging, "other": destination}, stream_of, "0" * 12
        )
        running = asyncio.ensure_future(courier.run())
        while not (hanging.told and len(destination.told) == 1):
            await asyncio.sleep(0)
        await state.transact([Write(outbox_key("shop", others[1]), others[1].fields())])
        courier.wake()
        while len(await state.query(outbox_prefix("shop"))) > 1:
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(scenario())
    assert (len(hanging.told), len(destination.told)) == (1, 2)
