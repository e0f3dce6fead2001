"""Destinations in regions, accounts and directories with one namespace, and logs that are damaged."""

import logging

import orjson
import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.destinations import states
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.kinesis.lifecycle import NewDataStream
from tailrace.errors import DamagedData
from tailrace.ports import LogRow
from tailrace.stores.memory import MemoryStore
from tailrace.tables.mutate import Put
from tests.unit.engine.building import START_MS, FailingStore, defined, item, put
from tests.unit.engine.destinations.replicating import ARN, deliver, numbers, replicated, state_of


def destined(engine: Engine, view: Engine, arn: str) -> dict[str, str]:
    """Enable the destination of a new table `orders`. Returns: what Describe says."""
    view.create_table(defined(stream=None))
    view.destinations.enable("orders", arn, None)
    engine.committer.flush()
    (told,) = view.destinations.describe("orders")["KinesisDataStreamDestinations"]
    return dict(told)


def first_record(engine: Engine, view: Engine) -> dict[str, str]:
    deliver(engine)
    stream = view.kinesis.streams.named("orders")
    place = view.kinesis.reader.place(stream, "shardId-000000000000")
    record = orjson.loads(view.kinesis.reader.page(place, 0, 10, 10_000).records[0].data)
    return {name: record[name] for name in ("awsRegion", "tableName")}


def test_a_table_of_a_region_goes_into_the_stream_of_its_region() -> None:
    engine = Engine(MemoryStore(), ManualClock(START_MS))
    view = engine.of("eu-west-1", "111111111111")
    view.kinesis.streams.create(NewDataStream("orders", shards=1))
    arn = "arn:aws:kinesis:eu-west-1:111111111111:stream/orders"
    assert destined(engine, view, arn)["DestinationStatus"] == "ACTIVE"
    view.put(Put("orders", item("a")))
    assert first_record(engine, view) == {"awsRegion": "eu-west-1", "tableName": "orders"}


@pytest.mark.parametrize(
    ("region", "account", "reason"),
    [
        ("us-east-1", "111111111111", states.OTHER_REGION),
        ("eu-west-1", "222222222222", states.NOT_ACTIVE_STREAM),
    ],
)
def test_a_stream_of_another_region_or_account_is_none_of_its(region: str, account: str, reason: str) -> None:
    engine = Engine(MemoryStore(), ManualClock(START_MS))
    engine.of(region, account).kinesis.streams.create(NewDataStream("orders", shards=1))
    arn = f"arn:aws:kinesis:{region}:{account}:stream/orders"
    told = destined(engine, engine.of("eu-west-1", "111111111111"), arn)
    assert (told["DestinationStatus"], told["DestinationStatusDescription"]) == ("ENABLE_FAILED", reason)


def test_in_one_namespace_any_arn_names_the_stream() -> None:
    settings = EngineSettings(one_namespace=True)
    engine = Engine(MemoryStore(), ManualClock(START_MS), settings)
    view = engine.of("ap-south-1", "333333333333")
    engine.kinesis.streams.create(NewDataStream("orders", shards=1))
    arn = "arn:aws:kinesis:ap-south-1:333333333333:stream/orders"
    assert destined(engine, view, arn)["DestinationStatus"] == "ACTIVE"
    view.put(Put("orders", item("a")))
    assert first_record(engine, view) == {"awsRegion": "us-east-1", "tableName": "orders"}


class FlippedStore(FailingStore):
    """A store in which one record of the log is damaged."""

    damaged: tuple[int, int] | None = None

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        rows = super().read_log(shard, after, limit, reverse=reverse)
        for place, row in enumerate(rows):
            if (row.shard, row.sequence) == self.damaged:
                raise DamagedData("flipped", shard=shard, sequence=row.sequence, readable=rows[:place])
        return rows


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_record_is_passed_counted_and_told_and_the_others_go(
    place: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlippedStore()
    engine = replicated(store)
    for number in range(3):
        put(engine, "a", number)
    log = state_of(engine).document.log
    store.damaged = log, store.inner.read_log(log, 0, 10)[place].sequence
    with caplog.at_level(logging.ERROR, "tailrace.destinations"):
        deliver(engine)
        deliver(engine)
    assert numbers(engine, "a") == [number for number in range(3) if number != place]
    document = state_of(engine).document
    assert document.failed == 1
    assert "is damaged" in document.last_failure
    assert f"table orders: not copied to {ARN}: change" in caplog.text
    store.damaged = None
    assert store.read_log(log, 0, 10) == []
