"""Housekeeping removes what has passed its time, a slice at a time."""

from tailrace.engine.engine import EngineSettings
from tailrace.ports import LogRow
from tailrace.tables.mutate import Put
from tests.unit.engine.building import (
    DAY_MS,
    HOUR_MS,
    FailingStore,
    arn_of,
    defined,
    item,
    keep_house,
    log_of,
    names_of,
    opened,
    put,
    with_table,
)

SMALL = EngineSettings(slice_rows=10)


def test_trimmed_records_leave_the_store_in_slices() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store, settings=SMALL)
    (shard,) = engine.shards_of(arn_of(engine))
    for number in range(35):
        engine.put(Put("orders", item(f"item {number}")))
    engine.committer.flush()
    clock.advance(HOUR_MS)
    put(engine, "young")
    clock.advance(DAY_MS - HOUR_MS + 1)
    assert keep_house(engine) >= 4
    assert len(store.read_log(engine.log.number_of(shard) or 0, 0, 100)) == 1
    assert names_of(log_of(engine)) == ["INSERT"]


def test_a_round_with_nothing_to_do_writes_nothing() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    put(engine, "a")
    before = len(store.commits)
    keep_house(engine)
    assert len(store.commits) == before


class ReadingStore(FailingStore):
    """Counts reads of the log."""

    reads = 0

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        self.reads += 1
        return super().read_log(shard, after, limit, reverse=reverse)


def test_a_round_reads_nothing_while_nothing_is_due_however_much_there_is() -> None:
    store = ReadingStore()
    engine, clock = with_table(store=store, settings=EngineSettings(rollover_ms=100 * DAY_MS))
    for name in ("more", "and more"):
        engine.create_table(defined(name))
    for number in range(50):
        engine.put(Put("orders", item(f"item {number}")))
    engine.committer.flush()
    keep_house(engine)
    store.reads = 0
    for _ in range(23):
        clock.advance(HOUR_MS)
        put(engine, f"at {clock.now().wall_ms}")
        assert keep_house(engine) == 0
    assert store.reads == 0
    clock.advance(HOUR_MS + 1)
    keep_house(engine)
    assert 0 < store.reads < 10
    assert len(log_of(engine)) == 23


def test_every_record_is_read_once_to_be_trimmed() -> None:
    store = ReadingStore()
    engine, clock = with_table(store=store, settings=EngineSettings(rollover_ms=100 * DAY_MS))
    for minute in range(120):
        put(engine, f"item {minute}")
        clock.advance(60_000)
    clock.advance(DAY_MS - 2 * HOUR_MS)
    store.reads = 0
    for _ in range(120):
        clock.advance(60_000)
        keep_house(engine)
    assert len(log_of(engine)) == 0
    assert store.reads <= 3 * 120


def test_what_was_trimmed_is_known_after_a_restart() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store, settings=EngineSettings(rollover_ms=100 * DAY_MS))
    for name in "ab":
        put(engine, name)
    first = log_of(engine)[0].sequence
    (shard,) = engine.shards_of(arn_of(engine))
    clock.advance(DAY_MS + 1)
    keep_house(engine)
    again = opened(store, clock)
    page = again.log.read(shard, first, 10)
    assert (page.records, page.trimmed) == ([], True)


def test_closed_shards_vanish_a_day_after_closing_and_leave_no_rows() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    put(engine, "a")
    arn = arn_of(engine)
    (parent,) = engine.shards_of(arn)
    number = engine.log.number_of(parent)
    assert number is not None
    clock.advance(4 * HOUR_MS)
    put(engine, "b")
    clock.advance(DAY_MS - 1)
    assert parent.shard_id in {shard.shard_id for shard in engine.shards_of(arn)}
    clock.advance(1)
    assert parent.shard_id not in {shard.shard_id for shard in engine.shards_of(arn)}
    keep_house(engine)
    assert store.read_log(number, 0, 10) == []
    names = {key.decode() for key, _ in store.query(0, b"", None, 100)}
    assert not any(name.startswith("trim/") and name.endswith(f"{parent.number:019d}") for name in names)
    child = engine.describe_stream(arn)["Shards"][0]
    assert child["ParentShardId"] == parent.shard_id


def test_no_shard_is_forgotten_before_one_that_it_continues_and_that_waits_for_an_archive() -> None:
    engine, clock = with_table()
    holds, arn = engine.log.holds, arn_of(engine)
    holds.hold("orders", 1 << 20)
    put(engine, "a")
    (first,) = engine.shards_of(arn)
    (record,) = log_of(engine)
    for _ in range(10):
        clock.advance(4 * HOUR_MS)
        keep_house(engine)
    kept = engine.shards_of(arn, keeps_held=True)
    assert len(kept) == 11  # all that there were, although only one of them has a record
    assert [shard.parents for shard in kept[1:]] == [(shard.shard_id,) for shard in kept[:-1]]
    assert len(engine.shards_of(arn)) == 7
    holds.archived(first.stream, first.shard_id, record.sequence)
    keep_house(engine)
    assert engine.shards_of(arn, keeps_held=True) == engine.shards_of(arn)
    assert [shard.before for shard in engine.shards_of(arn)] == [record.sequence, *[0] * 6]


def test_a_disabled_stream_leaves_nothing_behind_after_a_day_but_how_far_it_went() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    put(engine, "a")
    (shard,) = engine.shards_of(arn_of(engine))
    number = engine.log.number_of(shard)
    assert number is not None
    engine.delete_table("orders")
    clock.advance(DAY_MS)
    keep_house(engine)
    assert store.read_log(number, 0, 10) == []
    assert store.query(16, b"", None, 10) == []
    left = {key.decode() for key, _ in store.query(0, b"", None, 100)}
    assert left == {"counters", "namespaces", "sequence", "lost/orders"}
    engine.create_table(defined())
    engine.committer.flush()
    assert store.get(0, b"lost/orders") is None


def test_dropped_rows_are_removed_even_when_a_round_was_cut_off() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store, settings=SMALL, stream=None)
    for number in range(45):
        engine.put(Put("orders", item(f"item {number}")))
    engine.delete_table("orders")
    engine.committer.flush()
    house = engine.housekeeping()
    next(house)
    engine.committer.flush()
    assert len(store.query(16, b"", None, 100)) == 35
    again = opened(store, clock, SMALL)
    keep_house(again)
    assert store.query(16, b"", None, 100) == []


def test_rollover_happens_in_housekeeping_without_a_write() -> None:
    engine, clock = with_table()
    clock.advance(4 * HOUR_MS)
    keep_house(engine)
    assert len(engine.describe_stream(arn_of(engine))["Shards"]) == 2
