"""Those who have subscribed to shards, and what is encoded for all of them.

Rules of this file: kept in memory alone: after a start nobody has subscribed. It waits for nothing and sends
nothing: an operation of the API does. Source: semantics §5.4.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from tailrace.engine.kinesis.catalog import DataParts
from tailrace.engine.kinesis.consumers import StreamConsumer
from tailrace.errors import ApiError
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.data_shards import DataShard
from tailrace.streams.kinesis.subscriptions import LIFE_MS, fresh_allowance, may_take_over
from tailrace.streams.kinesis.throughput import Allowance

KEPT_BYTES: Final = 16 * 1_048_576
IN_USE: Final = "Another active subscription exists for this consumer: {0}:{1}:{2}:{3}"


class Hold:
    """A consumer's subscription to a shard, until the next one takes it over.

    Shape:   `since_ms` of a clock that never goes back; `when_lost` is called once.
    """

    __slots__ = ("is_lost", "since_ms", "when_lost")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.is_lost = False
        self.when_lost: Callable[[], None] | None = None

    def lose(self) -> None:
        """Somebody else has it."""
        self.is_lost = True
        if self.when_lost is not None:
            self.when_lost()


class Encodings:
    """Records as clients see them, made once for all who read them now. Shape: `made` counts them.

    The oldest go first; one that would take half of the room is not kept.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.made = 0
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()

    def of(self, record: DataRecord, kind: bytes, make: Callable[[DataRecord], bytes]) -> bytes:
        """A record in the form that is called `kind`."""
        key = record.sequence, kind
        known = self._kept.get(key)
        if known is not None:
            return known
        self.made += 1
        encoded = make(record)
        if len(encoded) <= self._most_bytes // 2:
            self._kept[key] = encoded
            self._bytes += len(encoded)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return encoded


class FanOut:
    """The subscriptions of an engine."""

    def __init__(self, parts: DataParts) -> None:
        self.encodings = Encodings()
        self._parts = parts
        self._holds: dict[tuple[str, int], Hold] = {}

    def require_free(self, consumer: StreamConsumer, shard: DataShard) -> None:
        """Require that a consumer may have a shard. Raises: ApiError (ResourceInUseException) in the first
        seconds of another subscription of it.
        """
        before = self._holds.get((consumer.arn, shard.number))
        now_ms = self._parts.clock.now().monotonic_ms
        if not may_take_over(None if before is None else before.since_ms, now_ms):
            stream, name = consumer.stream.document, consumer.document.name
            raise ApiError(
                "ResourceInUseException", IN_USE.format(stream.account, stream.name, shard.shard_id, name)
            )

    def subscribe(self, consumer: StreamConsumer, shard: DataShard) -> Hold:
        """Let a consumer have a shard, and whoever had it lose it. Raises: as `require_free`."""
        self.require_free(consumer, shard)
        key, now_ms = (consumer.arn, shard.number), self._parts.clock.now().monotonic_ms
        if key in self._holds:
            self._holds[key].lose()
        self._forget(now_ms)
        hold = self._holds[key] = Hold(now_ms)
        return hold

    def _forget(self, now_ms: int) -> None:
        """What has ended of itself is nobody's any more."""
        for key in [key for key, hold in self._holds.items() if now_ms - hold.since_ms > LIFE_MS]:
            del self._holds[key]

    def allowance(self) -> Allowance | None:
        """What a new subscription gets in its first second; None where nothing is limited."""
        if not self._parts.settings.shard_limits:
            return None
        return fresh_allowance(self._parts.clock.now().monotonic_ms)

    def on_commit(self, number: int, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when records of a shard are durable, or it is closed. Returns: the unsubscribe."""

        def advanced(shards: frozenset[int]) -> None:
            if number in shards:
                wake()

        return self._parts.committer.on_commit(advanced)
