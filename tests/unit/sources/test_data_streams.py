"""A data stream as a source: positions, lineage, and what is lost."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.compose_fleet import _tables_of
from tailrace.errors import ApiError, SettingsError, SourceError
from tailrace.leases.checkpoint import behind, read_checkpoint
from tailrace.ports import ReadDone, Shard
from tailrace.sources.data_streams import DataStreamSource
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.streams.envelopes import event_id
from tailrace.streams.kinesis.hash_ranges import HASHES
from tailrace.streams.kinesis.plain import data_of, partition_key_of
from tailrace.tables.plain_keys import located
from tailrace.testing.loop import SeededLoop
from tests.kinesis import FIRST_SHARD, START_MS, STREAM_ARN, Orders

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Ground(Orders):
    """The stream `orders` as a source, and a loop."""

    def __init__(self, shards: int = 1) -> None:
        super().__init__(shards)
        self.source = DataStreamSource(self.engine, "orders")
        self.loop: SeededLoop

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        self.loop = SeededLoop(1, self.clock)
        try:
            return self.loop.run_until_complete(main)
        finally:
            self.loop.close()

    def shards(self) -> list[Shard]:
        shards: list[Shard] = self.run(self.source.shards())
        return shards

    def read(self, shard: Shard, after: int = 0, limit: int = 100) -> ReadDone:
        page: ReadDone = self.run(self.source.read(shard, after, limit))
        return page

    def split(self, shard: str = FIRST_SHARD) -> None:
        self.call("SplitShard", StreamName="orders", ShardToSplit=shard, NewStartingHashKey=str(HASHES // 2))

    def housekeeping(self) -> None:
        for _ in self.engine.housekeeping():
            self.engine.committer.flush()
        self.engine.committer.flush()


def test_a_record_is_the_insert_of_an_item_with_its_partition_key_and_data() -> None:
    ground = Ground()
    (number,) = ground.put(b'\x00\xff"', key='a"b')
    (shard,) = ground.shards()
    (record,) = ground.read(shard).records
    assert (record.event_name, record.created_us, record.old) == ("INSERT", START_MS * 1_000, None)
    assert record.sequence_number.wire == number
    assert event_id(record) == f"{FIRST_SHARD}:{number}"
    assert (partition_key_of(record), data_of(record)) == ('a"b', b'\x00\xff"')
    assert (record.size_bytes, record.keys_size, record.new_size) == (6, 3, 3)
    assert (record.key, record.partition) == located('a"b')


def test_the_names_of_a_stream_tell_it_from_one_that_had_its_name_before() -> None:
    ground = Ground()
    first = ground.run(ground.source.stream())
    assert (first.arn, first.table) == (STREAM_ARN, "kinesis:orders")
    ground.call("DeleteStream", StreamName="orders")
    with pytest.raises(SourceError, match="there is no data stream 'orders'") as refused:
        ground.run(ground.source.stream())
    assert "CreateStream" in str(refused.value.hint)
    ground.clock.advance(1)
    ground.call("CreateStream", StreamName="orders", ShardCount=1)
    second = ground.run(ground.source.stream())
    assert (second.arn, second.label > first.label) == (first.arn, True)
    with pytest.raises(SourceError, match="is gone"):
        ground.run(ground.source.shards(first))


def test_a_stream_on_its_way_out_is_none() -> None:
    ground = Ground()
    ground.change(busy="DELETING", busy_until_ms=START_MS + 10_000)
    with pytest.raises(SourceError, match="there is no data stream"):
        ground.run(ground.source.stream())


def test_shards_name_their_parents_of_a_split_and_of_a_merge() -> None:
    ground = Ground()
    ground.split()
    ground.call(
        "MergeShards",
        StreamName="orders",
        ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge="shardId-000000000002",
    )
    parents = {shard.shard_id[-1]: [parent[-1] for parent in shard.parents] for shard in ground.shards()}
    assert parents == {"0": [], "1": ["0"], "2": ["0"], "3": ["1", "2"]}
    assert [shard.is_closed for shard in ground.shards()] == [True, True, True, False]
    for shard in ground.shards()[1:]:
        older = {one.shard_id: one for one in ground.shards()}
        assert all((older[parent].last or 0) < shard.first for parent in shard.parents)


def test_reading_goes_on_behind_a_record_and_behind_what_an_empty_page_said() -> None:
    ground = Ground()
    ground.put(b"1", b"2", b"3")
    (shard,) = ground.shards()
    page = ground.read(shard, limit=2)
    assert [data_of(record) for record in page.records] == [b"1", b"2"]
    rest = ground.read(shard, page.next_after)
    assert [data_of(record) for record in rest.records] == [b"3"]
    assert ground.read(shard, rest.next_after, limit=0).next_after == rest.next_after


def test_a_position_just_before_a_record_shows_it() -> None:
    ground = Ground()
    _, second = ground.put(b"1", b"2")
    (shard,) = ground.shards()
    page = ground.read(shard, int(second) - 1)
    assert [data_of(record) for record in page.records] == [b"2"]
    assert len(ground.read(shard, shard.first - 1).records) == 2


def test_a_closed_shard_ends_with_its_last_record() -> None:
    ground = Ground()
    ground.put(b"1")
    ground.split()
    page = ground.read(ground.shards()[0])
    assert (len(page.records), page.closed) == (1, True)
    end = ground.read(ground.shards()[0], page.next_after)
    assert (end.records, end.closed, end.trimmed, end.next_after) == ([], True, False, page.next_after)


def test_a_read_waits_for_the_commit_that_brings_a_record() -> None:
    ground = Ground()
    (shard,) = ground.shards()

    async def main() -> None:
        reading = asyncio.ensure_future(ground.source.read(shard, 0, 10))
        await ground.loop.idle()
        ground.call("PutRecord", is_durable=False, StreamName="orders", Data=b"1", PartitionKey="a")
        await ground.loop.idle()
        assert not reading.done(), "what is not durable does not exist"
        ground.engine.committer.flush()
        assert [data_of(record) for record in (await reading).records] == [b"1"]

    ground.run(main())


@pytest.mark.parametrize(
    ("what", "is_closed"), [(lambda ground: ground.split(), True), (lambda ground: ground.put(b"1"), False)]
)
def test_a_read_that_waits_is_told_of_a_split(what: Callable[[Ground], None], is_closed: bool) -> None:
    ground = Ground()
    (shard,) = ground.shards()

    async def main() -> None:
        reading = asyncio.ensure_future(ground.source.read(shard, 0, 10))
        await ground.loop.idle()
        what(ground)
        assert (await reading).closed is is_closed

    ground.run(main())


def test_what_is_past_the_retention_is_lost_to_who_stood_before_it_and_not_to_who_is_new() -> None:
    ground = Ground()
    first, second = ground.put(b"1", b"2")
    (shard,) = ground.shards()
    ground.clock.advance(DAY_MS + 1)
    ground.put(b"3")
    assert ground.read(shard).trimmed is False
    for after in (shard.first - 1, int(first)):
        page = ground.read(shard, after)
        assert (page.trimmed, [data_of(record) for record in page.records]) == (True, [b"3"])
    assert ground.read(shard, int(second)).trimmed is False
    horizon = ground.read(shard, 0, 0)
    assert (horizon.trimmed, int(second) <= horizon.next_after) == (False, True)
    assert ground.read(shard, int(first), 0).trimmed is True


def test_a_shard_within_its_retention_has_lost_nothing() -> None:
    ground = Ground()
    ground.put(b"1")
    (shard,) = ground.shards()
    ground.clock.advance(DAY_MS)
    page = ground.read(shard, shard.first - 1)
    assert (page.trimmed, len(page.records)) == (False, 1)


@pytest.mark.parametrize("cleaned", [False, True])
def test_what_a_deleted_stream_held_is_lost_to_who_was_not_at_its_end(cleaned: bool) -> None:
    ground = Ground()
    first, second = ground.put(b"1", b"2")
    (shard,) = ground.shards()
    ground.call("DeleteStream", StreamName="orders")
    if cleaned:
        ground.housekeeping()
    page = ground.read(shard, int(first))
    assert (page.records, page.closed, page.trimmed) == ([], True, True)
    assert ground.read(shard, 0).trimmed is False
    if not cleaned:
        assert page.next_after >= int(second)
        assert ground.read(shard, int(second)).trimmed is False


def test_a_read_that_waits_for_a_deleted_stream_ends_without_a_loss() -> None:
    ground = Ground()
    (number,) = ground.put(b"1")
    (shard,) = ground.shards()

    async def main() -> None:
        reading = asyncio.ensure_future(ground.source.read(shard, int(number), 10))
        await ground.loop.idle()
        ground.call("DeleteStream", StreamName="orders")
        page = await reading
        assert (page.closed, page.trimmed) == (True, False)

    ground.run(main())


def test_the_log_reads_data_streams_by_their_names_as_sources_and_never_waits() -> None:
    ground = Ground(shards=2)
    log = EmbeddedLog(ground.engine)

    async def main() -> list[ReadDone]:
        assert await log.streams("kinesis:other") == []
        (stream,) = await log.streams("kinesis:orders")
        return [await log.read(shard, 0, 10) for shard in await log.shards(stream)]

    assert [len(page.records) for page in ground.run(main())] == [0, 0]
    ground.put(b"1")
    assert sorted(len(page.records) for page in ground.run(main())) == [0, 1]


def test_what_is_not_durable_has_been_pending_since_it_was_put() -> None:
    ground = Ground()
    log = EmbeddedLog(ground.engine)
    (shard,) = ground.shards()
    assert ground.run(log.pending_since(shard)) is None
    ground.call("PutRecord", is_durable=False, StreamName="orders", Data=b"1", PartitionKey="a")
    assert ground.run(log.pending_since(shard)) == START_MS


# ---- as a consumer -----------------------------------------------------------------------------------------

LIFE_MS = 300_000


class Subscribed(Ground):
    """The stream read as a consumer."""

    def __init__(self, **state: Any) -> None:
        super().__init__()
        self.put(b"1")
        self.arn = self.consumer(**state)
        self.source = DataStreamSource(self.engine, "orders", self.arn)

    def subscribe(self) -> None:
        """Somebody else takes the shard as the same consumer. Raises: ApiError."""
        kinesis = self.engine.kinesis
        place = kinesis.reader.place(kinesis.streams.named("orders"), FIRST_SHARD)
        kinesis.fan_out.subscribe(kinesis.consumers.subscribing(self.arn), place.shard)


def test_a_consumer_stands_in_the_name_of_its_stream_and_holds_the_shard_it_reads() -> None:
    ground = Subscribed()
    assert ground.run(ground.source.stream()).arn == ground.arn
    (shard,) = ground.shards()
    ground.subscribe()
    with pytest.raises(SourceError, match="cannot subscribe: Another active subscription"):
        ground.read(shard)
    ground.clock.advance(5_000)
    assert len(ground.read(shard).records) == 1
    with pytest.raises(ApiError, match="Another active subscription"):
        ground.subscribe()


def test_a_subscription_that_was_taken_over_is_taken_back_after_five_seconds() -> None:
    ground = Subscribed()
    (shard,) = ground.shards()
    ground.read(shard)
    ground.clock.advance(5_000)
    ground.subscribe()
    ground.clock.advance(4_999)
    with pytest.raises(SourceError, match="cannot subscribe"):
        ground.read(shard)
    ground.clock.advance(1)
    assert len(ground.read(shard).records) == 1


@pytest.mark.parametrize(("later_ms", "is_renewed"), [(LIFE_MS - 1, False), (LIFE_MS, True)])
def test_a_subscription_is_renewed_when_its_five_minutes_are_over(later_ms: int, is_renewed: bool) -> None:
    ground = Subscribed()
    (shard,) = ground.shards()
    ground.read(shard)
    ground.clock.advance(later_ms)
    ground.read(shard)
    if is_renewed:
        with pytest.raises(ApiError, match="Another active subscription"):
            ground.subscribe()
    else:
        ground.subscribe()


def test_a_consumer_that_is_not_active_or_is_gone_reads_nothing() -> None:
    ground = Subscribed(busy="CREATING", busy_until_ms=START_MS + 10_000)
    (shard,) = ground.shards()
    with pytest.raises(SourceError, match="is not ACTIVE"):
        ground.read(shard)
    ground.clock.advance(10_000)
    assert len(ground.read(shard).records) == 1
    ground.deregister()
    with pytest.raises(SourceError, match="not found"):
        ground.read(shard)


# ---- where mappings begin, and who reads none --------------------------------------------------------------


def test_latest_is_behind_every_record_there_is_and_before_the_next() -> None:
    ground = Ground()
    ground.put(b"1")
    (shard,) = ground.shards()
    write = behind("k", shard, ground.engine.last_sequence)
    after, _, finished = read_checkpoint(write.fields)
    ground.put(b"2")
    page = ground.read(shard, after)
    assert (finished, [data_of(record) for record in page.records]) == (False, [b"2"])
    ground.split()
    (closed, *_) = ground.shards()
    assert read_checkpoint(behind("k", closed, ground.engine.last_sequence).fields)[2] is True


def test_a_worker_of_a_fleet_refuses_a_data_stream_in_words() -> None:
    app = App("site")

    @app.batch(app.data_stream("clicks"))
    def keep(records: Any) -> None: ...

    with pytest.raises(SettingsError, match="reads the data stream 'clicks'"):
        _tables_of(app)
