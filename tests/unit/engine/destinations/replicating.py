"""Engines with the table `orders` copied into the data stream `orders`, and what has come there.

Rules of this file: what has come is read as a consumer reads it: every shard to its end, parents first.
"""

from typing import Any, NamedTuple

import orjson

from tailrace.clocks.manual import ManualClock
from tailrace.engine.destinations.catalog import DestinationState
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.kinesis.lifecycle import NewDataStream
from tailrace.ports import Store
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.values.types import Item
from tests.unit.engine.building import PLAIN, defined, opened

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"


class Copied(NamedTuple):
    """A record of the data stream: the item's name, what happened, both images, and which record it is."""

    name: str
    event: str
    old: Item | None
    new: Item | None
    event_id: str


def replicated(
    store: Store | None = None, clock: ManualClock | None = None, *, shards: int = 1, **settings: Any
) -> Engine:
    """An engine whose table has a destination that is ACTIVE, and no stream."""
    engine = opened(store, clock, EngineSettings(**settings) if settings else PLAIN)
    engine.create_table(defined(stream=None))
    make_stream(engine, shards)
    engine.destinations.enable("orders", ARN, None)
    engine.committer.flush()
    return engine


def make_stream(engine: Engine, shards: int = 1, kib: int = 1_024) -> None:
    """The data stream `orders`."""
    engine.kinesis.streams.create(NewDataStream("orders", shards=shards, max_record_kib=kib))
    engine.committer.flush()


def drop_stream(engine: Engine) -> None:
    """Delete the data stream `orders`."""
    engine.kinesis.streams.delete(engine.kinesis.streams.named("orders"), with_consumers=True)
    engine.committer.flush()


def deliver(engine: Engine, most: int = 1_000) -> int:
    """One round, each slice durable, cut off after `most` slices. Returns: how many there were."""
    engine.committer.flush()
    slices = 0
    for _ in engine.destinations.deliveries.slices():
        engine.committer.flush()
        slices += 1
        if slices == most:
            break
    return slices


def state_of(engine: Engine) -> DestinationState:
    """The destination that was made last."""
    return list(engine.destinations.deliveries.catalog.by_log.values())[-1]


def put_records(engine: Engine) -> list[DataRecord]:
    """Every record of the data stream."""
    stream, reader = engine.kinesis.streams.named("orders"), engine.kinesis.reader
    records: list[DataRecord] = []
    for shard in reader.shards(stream):
        after = 0
        while (page := reader.page(reader.place(stream, shard.shard_id), after, 100, 1 << 20)).records:
            records += page.records
            after = page.next_after
    return records


def copied(engine: Engine) -> list[Copied]:
    """What the records of the data stream say."""
    return [_read(orjson.loads(record.data)) for record in put_records(engine)]


def _read(data: Any) -> Copied:
    of = data["dynamodb"]
    return Copied(
        of["Keys"]["pk"]["S"], data["eventName"], of.get("OldImage"), of.get("NewImage"), data["eventID"]
    )


def numbers(engine: Engine, name: str) -> list[int]:
    """The numbers that the records of an item tell, in their order."""
    return [int(one.new["n"]["N"]) for one in copied(engine) if one.name == name and one.new is not None]
