"""SubscribeToShard: the records of a shard as they come, for one registered consumer.

Behaviour:     an event stream over HTTP/1.1 (chunks) or HTTP/2. The first event is empty; then records as
               soon as they are durable, and an event without any after five seconds of silence. It ends
               after five minutes, and at the end of a closed shard, whose last event tells its children and
               has a null continuation, exactly then. Another call for the same consumer and shard is refused
               in the first five seconds and takes over later: who had it gets ResourceInUseException, then
               the end. A consumer, shard or stream that goes meanwhile is told within five seconds.
Limits:        one event has 1 MiB of data, or one record. With --shard-limits a consumer gets 2 MiB of a
               shard in a second.
Not emulated:  exceptions of KMS: nothing is encrypted.
Source:        AWS API Reference, Kinesis, SubscribeToShard; semantics §5.4; fleet §4.3.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final

from tailrace.api.kinesis.requests import read_start, refuse_dry_run
from tailrace.api.kinesis.subscription_events import SubscriptionEvents
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.streaming import Outlet, Streamed, StreamReset
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.consumers import StreamConsumer
from tailrace.engine.kinesis.fan_out import Hold
from tailrace.engine.kinesis.kinesis import DataDoor
from tailrace.errors import ApiError, StoreError
from tailrace.streams.kinesis.data_records import DataPage
from tailrace.streams.kinesis.data_shards import SECOND_MS, DataShard
from tailrace.streams.kinesis.sequence_numbers import numbered
from tailrace.streams.kinesis.subscriptions import EVENT_BYTES, Subscription
from tailrace.streams.kinesis.throughput import RECORDS_A_PAGE

_log = logging.getLogger("tailrace.server")

NOT_FOUND: Final = "ResourceNotFoundException"
IN_USE: Final = "ResourceInUseException"
TAKEN_OVER: Final = "Another subscription of this consumer to this shard has begun."


@operation(KINESIS, "SubscribeToShard")
def subscribe_to_shard(engine: Engine, payload: Payload) -> Result:
    """Begin a subscription. Raises: ApiError."""
    kinesis, position = engine.kinesis, payload["StartingPosition"]
    consumer = kinesis.consumers.subscribing(payload["ConsumerARN"])
    place = kinesis.reader.place(consumer.stream, payload["ShardId"])
    start = read_start(position["Type"], position.get("SequenceNumber"), position.get("Timestamp"))
    after = kinesis.reader.after(place, start)
    refuse_dry_run(payload)
    kinesis.fan_out.require_free(consumer, place.shard)
    now = kinesis.clock.now()
    continuation = numbered(place.shard.numbering, after, now.wall_ms // SECOND_MS)
    subscription = Subscription(
        now.monotonic_ms, now.monotonic_ms, after, continuation, kinesis.fan_out.allowance()
    )
    return Streamed(_Telling(kinesis, consumer, place.shard, subscription).write_to)


class _Telling:
    """One subscription, told to its client. The shard is its consumer's when the first lines have left."""

    def __init__(
        self, kinesis: DataDoor, consumer: StreamConsumer, shard: DataShard, subscription: Subscription
    ) -> None:
        self._kinesis = kinesis
        self._consumer = consumer
        self._shard = shard
        self._subscription = subscription
        self._woken = asyncio.Event()
        self._hold: Hold | None = None

    async def write_to(self, outlet: Outlet, kind: bytes) -> None:
        """Until it ends. Raises: StreamReset when another one has taken over."""
        fan_out = self._kinesis.fan_out
        events = SubscriptionEvents(kind, fan_out.encodings)
        outlet.write(events.first())
        try:
            hold = self._hold = fan_out.subscribe(self._consumer, self._shard)
        except ApiError as error:  # of two that were asked for at once, the second
            outlet.write(events.exception(error.code, str(error.message)))
            return
        stop_listening = fan_out.on_commit(self._shard.number, self._woken.set)
        hold.when_lost = self._woken.set
        try:
            while await self._go_on(outlet, events):
                await asyncio.sleep(0)  # others have their turn, also where there is always more
        finally:
            stop_listening()
            hold.when_lost = None

    async def _go_on(self, outlet: Outlet, events: SubscriptionEvents) -> bool:
        """Say what there is, or wait. Returns: whether it goes on."""
        now_ms, subscription = self._kinesis.clock.now().monotonic_ms, self._subscription
        self._woken.clear()
        if self._hold is not None and self._hold.is_lost:
            if not outlet.is_blocked:
                outlet.write(events.exception(IN_USE, TAKEN_OVER))
            raise StreamReset
        if subscription.is_over(now_ms):
            return False
        if outlet.is_blocked:
            await self._rest(subscription.ends_ms, outlet.drain())
            return True
        if enough_ms := subscription.waits_ms(now_ms):
            await self._rest(min(now_ms + enough_ms, subscription.ends_ms))
            return True
        try:
            page = self._page()
        except ApiError as error:
            outlet.write(events.exception(error.code, str(error.message)))
            return False
        if not (page.records or page.closed or subscription.is_silent(now_ms)):
            await self._rest(subscription.wakes_ms())
            return True
        self._subscription = subscription.told(page, now_ms)
        outlet.write(events.event(page, self._subscription.continuation))
        return not page.closed

    def _page(self) -> DataPage:
        """What comes next. Raises: ApiError when there is nothing to read any more."""
        kinesis = self._kinesis
        stream = kinesis.consumers.subscribing(self._consumer.arn).stream
        place = kinesis.reader.place_of(self._shard.number)
        if place is None:
            raise ApiError(
                NOT_FOUND, f"Shard {self._shard.shard_id} in stream {stream.name} does not exist any more."
            )
        try:
            return kinesis.reader.page(place, self._subscription.after, RECORDS_A_PAGE, EVENT_BYTES)
        except StoreError as error:
            _log.error("a subscription cannot be read: %s", error.args[0], extra={"hint": error.hint})
            raise ApiError("InternalFailureException", "Internal failure") from error

    async def _rest(self, until_ms: int, *others: Awaitable[None]) -> None:
        """Until something has happened, until that time, or until one of the others is done."""
        waiting: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(other) for other in (self._kinesis.clock.sleep_until(until_ms), *others)
        ]
        for future in waiting:
            future.add_done_callback(lambda _: self._woken.set())
        try:
            await self._woken.wait()
        finally:
            for future in waiting:
                future.cancel()
