"""Two subscribers share one consumer (readers that subscribe again, as flink-connector-aws does).

In the wild: two processes of a service subscribed with the ARN of one consumer. A shard has one subscription
of a consumer: the second took it over, the first was told `ResourceInUseException`, took that for a cut line,
and subscribed again. They took the shard from each other for ever, each went on behind its own position, and
each of them handled every record.

Here: who reads a shard for a handler is one worker, the one with its lease, and positions are the handler's.
A stranger that takes the consumer is an error that has a name; when it may, our reader takes the shard back
and goes on where it was.
"""

import asyncio
from typing import Any

from tailrace.errors import ApiError, SourceError
from tailrace.sources.data_streams import DataStreamSource
from tailrace.streams.kinesis.plain import data_of
from tests.kinesis import FIRST_SHARD, Orders
from tests.subscriber import HORIZON, Heard, subscribe, texts, turns

ROUNDS = 4
TURN_MS = 5_000


class Subscriber:
    """The model. The mistake: what ends a subscription is a cut line, whoever has the shard now."""

    def __init__(self, orders: Orders, arn: str) -> None:
        self.orders, self.arn = orders, arn
        self.position: dict[str, Any] = HORIZON
        self.heard: Heard | None = None
        self.handled: list[bytes] = []

    async def look(self) -> None:
        if self.heard is None or self.heard.is_over:
            try:
                self.heard = subscribe(self.orders, self.arn, FIRST_SHARD, **self.position)
            except ApiError:  # the last one is not five seconds old
                return
            assert self.heard.task is not None
            self.heard.task.add_done_callback(lambda task: task.exception())
        for told in await self.heard.more():
            if "Records" in told:
                self.handled += texts([told])
                self.position = {
                    "Type": "AFTER_SEQUENCE_NUMBER",
                    "SequenceNumber": told["ContinuationSequenceNumber"],
                }


class Worker:
    """Ours: the position is the handler's, and saved; the shard is read by who has its lease."""

    def __init__(self, orders: Orders, arn: str) -> None:
        self.source = DataStreamSource(orders.engine, "orders", arn)
        self.position = 0
        self.handled: list[bytes] = []
        self.refused: list[str] = []

    async def look(self) -> None:
        (shard,) = await self.source.shards()
        reading = asyncio.ensure_future(self.source.read(shard, self.position, 100))
        await turns()
        if not reading.done():  # there is nothing
            reading.cancel()
            return
        try:
            page = await reading
        except SourceError as error:
            self.refused.append(str(error))
        else:
            self.handled += [data_of(record) for record in page.records]
            self.position = page.next_after


def put(orders: Orders, count: int) -> None:
    orders.put(b"%d" % count)
    orders.clock.advance(TURN_MS)


def test_the_models_handle_every_record_twice() -> None:
    async def main() -> None:
        orders = Orders()
        arn = orders.consumer()
        both = Subscriber(orders, arn), Subscriber(orders, arn)
        for count in range(ROUNDS):
            put(orders, count)
            for one in both:
                await one.look()
                orders.clock.advance(TURN_MS)
                await one.look()
        assert [one.handled for one in both] == [[b"%d" % count for count in range(ROUNDS)]] * 2

    asyncio.run(main())


def test_ours_handles_each_record_once_beside_a_stranger() -> None:
    async def main() -> None:
        orders = Orders()
        arn = orders.consumer()
        ours, stranger = Worker(orders, arn), Subscriber(orders, arn)
        for count in range(ROUNDS):
            put(orders, count)
            await stranger.look()
            await ours.look()
            orders.clock.advance(TURN_MS)
            await ours.look()
        assert all("Another active subscription exists" in text for text in ours.refused)
        assert len(ours.refused) == ROUNDS
        assert ours.handled == [b"%d" % count for count in range(ROUNDS)]

    asyncio.run(main())
