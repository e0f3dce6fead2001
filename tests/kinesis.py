"""Data streams of an engine without a server: operations are called, what is written is durable at once.

Rules of this file: members in, members out; what a test may not do over the wire it does not do here.
"""

from typing import Any

from msgspec.structs import replace

from tailrace.api.registry import find_operations
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.kinesis.documents import ConsumerDocument
from tailrace.ports import Store
from tailrace.stores.memory import MemoryStore
from tailrace.streams.kinesis.names import consumer_arn

START_MS = 1_780_000_000_000
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
FIRST_SHARD = "shardId-000000000000"
OPERATIONS = find_operations()


class Orders:
    """An engine with the stream `orders`."""

    def __init__(
        self, shards: int = 1, settings: EngineSettings | None = None, store: Store | None = None
    ) -> None:
        self.clock = ManualClock(START_MS)
        self.engine = Engine(store or MemoryStore(), self.clock, settings or EngineSettings())
        self.call("CreateStream", StreamName="orders", ShardCount=shards)

    def call(self, name: str, *, is_durable: bool = True, **members: Any) -> Any:
        """One operation. Raises: ApiError."""
        operation = OPERATIONS[f"Kinesis_20131202.{name}".encode()]
        result = operation.run(self.engine, operation.check(members))
        if is_durable:
            self.engine.committer.flush()
        return result

    def put(self, *texts: bytes, key: str = "a") -> list[str]:
        """Put records. Returns: their sequence numbers."""
        return [
            self.call("PutRecord", StreamName="orders", Data=text, PartitionKey=key)["SequenceNumber"]
            for text in texts
        ]

    def consumer(self, name: str = "mail", **state: Any) -> str:
        """Register a consumer. Returns: its ARN."""
        return registered(self.engine, name, **state)

    def deregister(self, name: str = "mail") -> None:
        """Take a consumer away."""
        self.call("DeregisterStreamConsumer", StreamARN=STREAM_ARN, ConsumerName=name)

    def change(self, **settings: Any) -> None:
        """Give the stream other settings."""
        self.engine.kinesis.streams.save(self.engine.kinesis.streams.named("orders"), **settings)
        self.engine.committer.flush()


def registered(engine: Engine, name: str = "mail", **state: Any) -> str:
    """Register a consumer of `orders`. Returns: its ARN."""
    stream = engine.kinesis.streams.named("orders")
    now_ms = engine.clock.now().wall_ms
    consumer = replace(ConsumerDocument(name, now_ms), **state)
    engine.kinesis.streams.save(stream, consumers=(*stream.document.consumers, consumer))
    engine.committer.flush()
    return consumer_arn(stream.arn, name, now_ms // 1_000)
