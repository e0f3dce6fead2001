"""Changes of a table over a data stream: what is read of it, and handlers that are called for each once and
in order, whatever comes again, late and in shards that split.
"""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace import App, Change
from tailrace.app.app import App as Declared
from tailrace.compose_fleet import _tables_of
from tailrace.errors import SettingsError, SourceError
from tailrace.ports import ReadDone, Shard
from tailrace.sources.table_changes import TableChangesSource
from tailrace.streams.kinesis.destination import encode, partition_key
from tailrace.streams.kinesis.hash_ranges import HASHES, hash_of
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.tables.schema import TableSchema
from tailrace.testing import World
from tailrace.testing.loop import SeededLoop
from tailrace.values.types import Item
from tailrace.values.wire import dump_item
from tests.kinesis import OPERATIONS, START_MS, Orders

SCHEMA = TableSchema("T", 0, "", "id", "S")
ITEM: Item = {"id": {"S": "a"}, "n": {"N": "1"}}
SECOND: Item = {**ITEM, "n": {"N": "2"}}


def change(old: Item | None, new: Item | None) -> ChangeRecord:
    """A change of an item of T."""
    keys: Item = {"id": ITEM["id"]}
    target = SCHEMA.locate_key(dict(keys))
    images = [None if item is None else dump_item(item) for item in (old, new)]
    return change_record(
        sequence=5, shard=3, created_ms=START_MS + 5, partition=target.partition, key=target.key_bytes,
        keys=keys, old=images[0], new=images[1], size_bytes=12,
    )  # fmt: skip


class Ground(Orders):
    """The data stream `orders` with changes of the table T, as a source."""

    def __init__(self, shards: int = 1) -> None:
        super().__init__(shards)
        self.source = TableChangesSource(self.engine, "orders", SCHEMA)

    def run(self, main: Any) -> Any:
        loop = SeededLoop(1, self.clock)
        try:
            return loop.run_until_complete(main)
        finally:
            loop.close()

    def tell(self, record: ChangeRecord, table: str = "T") -> str:
        (number,) = self.put(encode(record, table, "us-east-1"), key=partition_key(record.key))
        return number

    def read(self, after: int = 0, limit: int = 100) -> ReadDone:
        (shard,) = self.run(self.source.shards())
        page: ReadDone = self.run(self.source.read(shard, after, limit))
        return page


def test_a_change_is_what_the_record_says_under_the_number_of_the_data_stream() -> None:
    ground = Ground()
    told = change(ITEM, SECOND)
    number = ground.tell(told)
    (record,) = ground.read().records
    assert record.sequence_number.wire == number
    assert (record.key, record.old, record.new) == (told.key, told.old, told.new)
    assert record.partition == hash_of(partition_key(told.key))
    assert record.created_us == told.created_us - told.created_us % 1_000


def test_a_shard_tells_its_hashes_and_a_record_is_in_them() -> None:
    ground = Ground(2)
    ground.tell(change(None, ITEM))
    shards: list[Shard] = ground.run(ground.source.shards())
    assert [shard.hash_range for shard in shards] == [(0, HASHES // 2 - 1), (HASHES // 2, HASHES - 1)]

    (there,) = [shard for shard in shards if shard.may_have(hash_of(partition_key(change(None, ITEM).key)))]
    page: ReadDone = ground.run(ground.source.read(there, 0, 100))
    assert len(page.records) == 1


def test_changes_of_other_tables_are_passed_over() -> None:
    ground = Ground()
    for _ in range(3):
        ground.tell(change(None, ITEM), table="another")
    number = ground.tell(change(ITEM, SECOND))
    page = ground.read(limit=2)
    assert [record.sequence_number.wire for record in page.records] == [number]
    assert page.next_after == page.records[-1].sequence


def test_the_stream_is_of_its_table_and_has_both_images() -> None:
    stream = Ground().run(Ground().source.stream())
    assert (stream.table, stream.view_type) == ("T", "NEW_AND_OLD_IMAGES")


@pytest.mark.parametrize("data", [b"hello", b"{}"])
def test_a_record_that_is_no_change_stops_the_reader_and_is_named(data: bytes) -> None:
    ground = Ground()
    (number,) = ground.put(data)
    with pytest.raises(SourceError, match=f"record {number} of data stream 'orders'"):
        ground.read()


def test_a_change_without_the_key_of_the_table_is_named() -> None:
    ground = Ground()
    ground.tell(replace(change(None, ITEM), keys=b'{"other":{"S":"a"}}'))
    with pytest.raises(SourceError, match="of data stream 'orders'"):
        ground.read()


# ---- handlers ----------------------------------------------------------------------------------------------


class Played:
    """A world whose handler reads `orders` over the data stream `orders-changes`, and a plain one."""

    def __init__(self, **settings: Any) -> None:
        app = Declared("shop")
        self.orders = app.table("orders", pk="id")
        self.seen: dict[Any, list[tuple[Any, Any]]] = {}
        self.own: dict[Any, list[tuple[Any, Any]]] = {}
        self.versions: dict[Any, list[int]] = {}
        changes = app.kinesis("orders-changes", **settings)

        @app.on(changes.of(self.orders), id="over")
        def over(change: Change) -> None:
            self.seen.setdefault(change.key, []).append((change.old, change.new))
            self.versions.setdefault(change.key, []).append(change.record.version.sequence)

        @app.on(self.orders, id="own")
        def own(change: Change) -> None:
            self.own.setdefault(change.key, []).append((change.old, change.new))

        self.handler = over
        self.world = World(app, seed=3)
        self.call("CreateStream", StreamName="orders-changes", ShardCount=1)

    def call(self, name: str, **members: Any) -> Any:
        operation = OPERATIONS[f"Kinesis_20131202.{name}".encode()]
        engine = self.world.engine
        result = operation.run(engine, operation.check(members))
        engine.committer.flush()
        return result

    def written(self) -> list[ChangeRecord]:
        """Every change of the table, in the order of its own stream."""
        engine = self.world.engine
        stream = engine.stream_of("orders")
        shards = engine.shards_of(stream.arn)
        return [record for shard in shards for record in engine.log.read(shard, 0, 1_000).records]

    def tell(self, records: list[ChangeRecord]) -> None:
        for record in records:
            data = encode(record, "orders", "us-east-1")
            self.call(
                "PutRecord", StreamName="orders-changes", Data=data, PartitionKey=partition_key(record.key)
            )


def test_a_handler_is_called_for_each_change_once_and_in_order_whatever_the_stream_does() -> None:
    played = Played()
    with played.world as world:
        for number in range(5):
            for key in ("a", "b", "c"):
                world.put(played.orders, {"id": key, "n": number})
            world.advance("1s")
        records = played.written()
        noisy = [*records[:3]]  # the first change of each item is not overtaken
        rest = [record for record in records[3:] for _ in range(2)]
        Random(5).shuffle(rest)
        played.tell([*noisy, *rest[:10]])
        played.call(
            "SplitShard", StreamName="orders-changes", ShardToSplit="shardId-000000000000",
            NewStartingHashKey=str(HASHES // 2),
        )  # fmt: skip
        played.tell(rest[10:])
        world.settle()
        assert played.seen == played.own
        assert len(played.seen) == 3
        for versions in played.versions.values():
            assert versions == sorted(set(versions))
        assert (world.lag(), world.gaps()) == (0, [])


def test_a_change_that_never_comes_is_a_gap_of_its_item_when_the_bound_has_passed() -> None:
    played = Played(disorder="5s")
    with played.world as world:
        for number in range(3):
            world.put(played.orders, {"id": "a", "n": number})
        first, _, last = played.written()
        played.tell([first, last])
        world.settle()
        assert [new["n"] for _, new in played.seen["a"]] == [0, 2]
        (gap,) = world.gaps()
        assert gap.handler == "over"


def test_a_change_that_comes_behind_later_ones_is_a_dead_letter_and_not_handed_over() -> None:
    played = Played()
    with played.world as world:
        for number in range(2):
            world.put(played.orders, {"id": "a", "n": number})
        first, last = played.written()
        if first.created_us == last.created_us:
            first = replace(first, created_us=first.created_us - 2_000)
        played.tell([last])
        world.settle()
        played.tell([first])
        world.settle()
        assert [new["n"] for _, new in played.seen["a"]] == [1]
        (letter,) = world.dead_letters("over")
        assert letter.condition == "ArrivedLate"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stream": "a b"}, "is no data stream's name"),
        ({"stream": "s", "disorder": "soon"}, "disorder="),
        ({"stream": "s", "disorder": 10}, "disorder="),
        ({"stream": "s", "disorder": "0ms"}, "'1ms' to '1h'"),
        ({"stream": "s", "disorder": "2h"}, "'1ms' to '1h'"),
    ],
)
def test_what_is_wrong_with_a_source_is_said(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        App("shop").kinesis(**settings)


def test_what_needs_whole_tables_or_whole_shards_is_not_read_over_a_data_stream() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    changes = app.kinesis("orders-changes").of(orders)
    with pytest.raises(SettingsError, match="a function of 'orders' is not read over the data stream"):
        app.function(lambda event, context: None, changes, id="f")
    with pytest.raises(SettingsError, match="does not keep the order"):
        app.merged(changes)(lambda change: None)


def test_a_worker_of_a_fleet_refuses_a_handler_over_a_data_stream_in_words() -> None:
    app = App("shop")
    app.on(app.kinesis("orders-changes").of(app.table("orders", pk="id")), id="ship")(lambda change: None)
    with pytest.raises(SettingsError, match="handler 'ship' reads 'orders' over the data stream"):
        _tables_of(app)
