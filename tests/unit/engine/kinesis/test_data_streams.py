"""Data streams in the engine: what a restart, a failed commit, a clock and housekeeping leave of them."""

from pathlib import Path

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.kinesis.lifecycle import NewDataStream
from tailrace.engine.kinesis.putting import DataEntry
from tailrace.errors import ApiError, DamagedData, StoreError
from tailrace.ports import LogRow, Store
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.streams.kinesis.data_records import DataPage
from tests.unit.engine.building import (
    DAY_MS,
    START_MS,
    FailingStore,
    keep_house,
    opened,
)

HALF = str(2**127)


def with_stream(
    store: Store | None = None, clock: ManualClock | None = None, *, shards: int = 1, **settings: int
) -> Engine:
    """An engine with the stream `orders`, durable."""
    engine = opened(store, clock, EngineSettings(**settings))
    engine.kinesis.streams.create(NewDataStream("orders", shards=shards))
    engine.committer.flush()
    return engine


def put(engine: Engine, *data: bytes, key: str = "a") -> None:
    """Durable records."""
    stream = engine.kinesis.streams.usable("orders")
    engine.kinesis.puts.put(stream, [DataEntry(one, key) for one in data])
    engine.committer.flush()


def page(engine: Engine, shard: int = 0, after: int = 0, limit: int = 100) -> DataPage:
    """A page of a shard."""
    stream = engine.kinesis.streams.usable("orders")
    place = engine.kinesis.reader.place(stream, f"shardId-{shard:012d}")
    return engine.kinesis.reader.page(place, after, limit, 1_000_000)


def read(engine: Engine, shard: int = 0) -> list[bytes]:
    return [record.data for record in page(engine, shard).records]


def split(engine: Engine, shard: int = 0, at: str = HALF) -> None:
    stream = engine.kinesis.streams.usable("orders")
    engine.kinesis.resharding.split(stream, f"shardId-{shard:012d}", at)


@pytest.mark.parametrize("data", [b"", b"\x00", "ключ".encode()])
def test_a_file_keeps_streams_records_and_children(tmp_path: Path, data: bytes) -> None:
    clock = ManualClock(START_MS)
    engine = with_stream(SqliteStore(tmp_path / "store"), clock, shards=2)
    put(engine, data, key="ключ")
    split(engine, 1, str(2**127 + 2**126))
    engine.close()
    again = opened(SqliteStore(tmp_path / "store"), clock)
    records = page(again, 1).records
    assert [(record.data, record.partition_key, record.created_ms) for record in records] == [
        (data, "ключ", START_MS)
    ]
    assert page(again, 1).closed
    assert [child.shard_id[-1] for child in page(again, 1).children] == ["2", "3"]
    put(again, b"more", key="ключ")
    assert [record.data for shard in (2, 3) for record in page(again, shard).records] == [b"more"]
    again.close()


def test_numbers_and_times_go_on_after_a_restart_with_a_clock_that_was_set_back() -> None:
    store, clock = FailingStore(), ManualClock(START_MS)
    engine = with_stream(store, clock)
    put(engine, b"1")
    engine.close()
    again = opened(store, ManualClock(START_MS - DAY_MS))
    put(again, b"2")
    first, second = page(again).records
    assert int(first.sequence_number) < int(second.sequence_number)
    assert second.created_ms >= first.created_ms


def test_what_is_not_durable_is_not_read_and_a_shard_is_not_at_its_end() -> None:
    engine = with_stream()
    stream = engine.kinesis.streams.usable("orders")
    engine.kinesis.puts.put(stream, [DataEntry(b"1", "a")])
    assert read(engine) == []
    split(engine)
    assert not page(engine).closed
    engine.committer.flush()
    assert (read(engine), page(engine).closed) == ([b"1"], True)


def test_a_commit_that_fails_leaves_nothing_of_its_group() -> None:
    store = FailingStore()
    engine = with_stream(store)
    put(engine, b"1")
    stream = engine.kinesis.streams.usable("orders")
    engine.kinesis.puts.put(stream, [DataEntry(b"2", "a")])
    split(engine)
    engine.kinesis.streams.create(NewDataStream("other", shards=1))
    store.is_broken = True
    with pytest.raises(StoreError):
        engine.committer.flush()
    store.is_broken = False
    assert [stream.name for stream in engine.kinesis.streams.all()] == ["orders"]
    assert (read(engine), page(engine).closed) == ([b"1"], False)
    put(engine, b"3")
    split(engine)
    engine.committer.flush()
    assert (read(engine), page(engine).closed) == ([b"1", b"3"], True)


def test_listeners_hear_of_shards_that_advanced_or_were_closed() -> None:
    engine = with_stream(shards=2)
    heard: list[frozenset[int]] = []
    engine.committer.on_commit(heard.append)
    stream = engine.kinesis.streams.usable("orders")
    low, high = (shard.number for shard in stream.document.shards)
    put(engine, b"1", key="a")
    split(engine, 1, str(2**127 + 2**126))
    engine.committer.flush()
    assert heard == [frozenset({low}), frozenset({high})]


def test_a_deleted_stream_closes_its_readers_and_leaves_no_record() -> None:
    store = FailingStore()
    engine = with_stream(store, slice_rows=10)
    put(engine, *(b"%d" % number for number in range(35)))
    (shard,) = engine.kinesis.streams.usable("orders").document.shards
    heard: list[frozenset[int]] = []
    engine.committer.on_commit(heard.append)
    engine.kinesis.streams.delete(engine.kinesis.streams.named("orders"), with_consumers=False)
    engine.committer.flush()
    assert (heard, engine.kinesis.reader.place_of(shard.number)) == ([frozenset({shard.number})], None)
    assert keep_house(engine) >= 4
    assert store.read_log(shard.number, 0, 100) == []
    again = opened(store)
    before = len(store.commits)
    keep_house(again)
    assert len(store.commits) == before


def test_an_interrupted_removal_goes_on_after_a_restart() -> None:
    store = FailingStore()
    engine = with_stream(store, slice_rows=10)
    put(engine, *(b"%d" % number for number in range(35)))
    (shard,) = engine.kinesis.streams.usable("orders").document.shards
    engine.kinesis.streams.delete(engine.kinesis.streams.named("orders"), with_consumers=False)
    engine.committer.flush()
    slices = engine.housekeeping()
    next(slices)
    engine.committer.flush()
    slices.close()
    assert store.read_log(shard.number, 0, 100)
    keep_house(opened(store, settings=EngineSettings(slice_rows=10)))
    assert store.read_log(shard.number, 0, 100) == []


class ReadingStore(FailingStore):
    """Counts reads of the log."""

    reads = 0

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        self.reads += 1
        return super().read_log(shard, after, limit, reverse=reverse)


def test_housekeeping_reads_a_stream_only_when_something_of_it_is_due() -> None:
    store, clock = ReadingStore(), ManualClock(START_MS)
    engine = with_stream(store, clock, slice_rows=10)
    put(engine, *(b"%d" % number for number in range(25)))
    keep_house(engine)
    store.reads = 0
    clock.advance(DAY_MS)
    keep_house(engine)
    assert store.reads == 0
    clock.advance(1)
    keep_house(engine)
    assert store.read_log(1, 0, 100) == []
    commits = len(store.commits)
    keep_house(engine)
    assert len(store.commits) == commits


def test_a_shorter_retention_is_kept_by_housekeeping_at_once() -> None:
    store, clock = FailingStore(), ManualClock(START_MS)
    engine = with_stream(store, clock)
    kinesis = engine.kinesis
    kinesis.settings.lengthen(kinesis.streams.named("orders"), 48)
    put(engine, b"1")
    clock.advance(DAY_MS + 1)
    keep_house(engine)
    assert len(store.read_log(1, 0, 10)) == 1
    kinesis.settings.shorten(kinesis.streams.named("orders"), 24)
    keep_house(engine)
    assert store.read_log(1, 0, 10) == []


def test_a_reader_whose_records_are_gone_is_told_and_goes_on_behind_them() -> None:
    clock = ManualClock(START_MS)
    engine = with_stream(clock=clock)
    put(engine, b"1", b"2")
    first = page(engine, limit=1)
    clock.advance(DAY_MS + 1)
    put(engine, b"3")
    later = page(engine, after=first.next_after)
    assert ([record.data for record in later.records], later.trimmed) == ([b"3"], True)
    assert not page(engine).trimmed  # from the beginning nothing is missed


def test_a_clock_that_jumps_takes_nothing_away_at_once() -> None:
    class JumpingClock(ManualClock):
        """Its wall can be set ahead alone."""

        ahead_ms = 0

        def now(self):  # type: ignore[no-untyped-def]
            """The present."""
            now = super().now()
            return now._replace(wall_ms=now.wall_ms + self.ahead_ms)

    clock = JumpingClock(START_MS)
    engine = with_stream(clock=clock)
    put(engine, b"1")
    clock.ahead_ms = 3 * DAY_MS
    assert read(engine) == [b"1"]
    clock.advance(3_600_000)
    assert read(engine) == []


def test_damage_is_told_by_stream_shard_and_number() -> None:
    engine = with_stream()
    put(engine, b"1")
    (shard,) = engine.kinesis.streams.usable("orders").document.shards
    words = engine.committer.describe(DamagedData("x", shard=shard.number, sequence=7))
    assert words == "record 7 of data stream orders (shard shardId-000000000000)"


def test_a_record_of_a_table_is_no_record_of_a_data_stream() -> None:
    engine = with_stream()
    (shard,) = engine.kinesis.streams.usable("orders").document.shards
    engine.committer.add_record(LogRow(shard.number, 10**18, b"\x01" + b"\xff" * 40, None, None))
    engine.committer.flush()
    with pytest.raises(StoreError, match="has format 1; records of data streams have format 3"):
        page(engine)


def test_names_of_one_namespace_are_those_of_all_where_there_is_one() -> None:
    engine = with_stream(MemoryStore(), one_namespace=True)
    elsewhere = engine.of("eu-west-1", "123456789012")
    arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
    assert elsewhere.kinesis.streams.named(None, arn).name == "orders"
    apart = with_stream().of("eu-west-1", "123456789012")
    with pytest.raises(ApiError, match="Stream orders under account 123456789012 not found"):
        apart.kinesis.streams.named("orders")


@pytest.mark.parametrize(
    ("limit", "most_bytes", "expected"),
    [
        (10_000, 10**9, 1_300), (1_300, 10**9, 1_300), (700, 10**9, 700), (1, 10**9, 1),
        (10_000, 1_000, 10), (10_000, 999, 9), (10_000, 1, 1),
    ],
)  # fmt: skip
def test_pieces_of_a_page_are_within_both_limits(limit: int, most_bytes: int, expected: int) -> None:
    engine = with_stream()
    put(engine, *(b"x" * 100 for _ in range(1_300)))
    stream = engine.kinesis.streams.usable("orders")
    place = engine.kinesis.reader.place(stream, "shardId-000000000000")
    pieces = list(engine.kinesis.reader.pieces(place, 0, limit, most_bytes))
    sizes = [len(piece.records) for piece in pieces]
    assert (sum(sizes), max(sizes) <= 500) == (expected, True)
    assert pieces[-1].at_tip == (expected == 1_300)
    sequences = [record.sequence for piece in pieces for record in piece.records]
    assert sequences == sorted(set(sequences))
    assert pieces[-1].next_after == sequences[-1]
