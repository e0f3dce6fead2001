"""Shards that split, on demand and by load; order holds for every item."""

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine import catalog
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import ApiError, SettingsError
from tailrace.streams.shards import HASHES, Shard
from tailrace.tables.limits import SHARDS_PER_STREAM
from tailrace.tables.mutate import Put
from tests.unit.engine.building import (
    HOUR_MS,
    START_MS,
    FailingStore,
    arn_of,
    defined,
    item,
    keep_house,
    log_of,
    opened,
    put,
    with_table,
)


def all_shards(engine: Engine) -> list[Shard]:
    return engine.shards_of(arn_of(engine))


def order_of(engine: Engine) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for record in log_of(engine):
        text = (record.new or b"").decode()
        name, number = text.split('"pk":{"S":"')[1].split('"')[0], text.split('"N":"')[1].split('"')[0]
        numbers.setdefault(name, []).append(int(number))
    return numbers


def test_a_split_halves_the_hashes_and_closes_the_parent() -> None:
    engine, _ = with_table()
    put(engine, "a")
    children = engine.split_shards("orders")
    engine.committer.flush()
    (parent,) = [shard for shard in all_shards(engine) if shard.is_closed]
    assert [child.parents for child in children] == [(parent.shard_id,)] * 2
    assert [child.hash_range for child in children] == [
        (0, HASHES // 2 - 1),
        (HASHES // 2, HASHES - 1),
    ]
    assert parent.last is not None
    assert all(child.first > parent.last for child in children)
    described = engine.describe_stream(
        arn_of(engine), filter={"Type": "CHILD_SHARDS", "ShardId": parent.shard_id}
    )
    assert [shard["ShardId"] for shard in described["Shards"]] == [child.shard_id for child in children]


def test_order_holds_for_every_item_over_splits_and_a_restart() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    for number in range(40):
        for name in "abcdefgh":
            put(engine, name, number)
        if number in (10, 20):
            engine.split_shards("orders")
        if number == 30:
            engine = opened(store, clock)
    assert order_of(engine) == {name: list(range(40)) for name in "abcdefgh"}
    assert len(all_shards(engine)) == 1 + 2 + 4


def test_one_shard_can_be_chosen() -> None:
    engine, _ = with_table(settings=EngineSettings(shards=2))
    chosen = all_shards(engine)[1]
    opened_now = engine.split_shards("orders", chosen.shard_id)
    assert [shard.parents for shard in opened_now] == [(), (chosen.shard_id,), (chosen.shard_id,)]
    with pytest.raises(SettingsError, match="no open shard"):
        engine.split_shards("orders", chosen.shard_id)


def test_there_is_a_most_of_open_shards() -> None:
    engine, _ = with_table(settings=EngineSettings(shards=SHARDS_PER_STREAM // 2))
    assert len(engine.split_shards("orders")) == SHARDS_PER_STREAM
    with pytest.raises(SettingsError, match="more than"):
        engine.split_shards("orders")


def test_a_table_without_a_stream_has_nothing_to_split() -> None:
    engine, _ = with_table(stream=None)
    with pytest.raises(ApiError):
        engine.split_shards("orders")


@pytest.mark.parametrize(("records", "shards"), [(100, 1), (101, 2)])
def test_a_shard_splits_when_a_second_brings_more_than_it_may_take(records: int, shards: int) -> None:
    engine, _ = with_table(settings=EngineSettings(split_records=100))
    for number in range(records):
        engine.put(Put("orders", item(f"item {number}")))
    engine.committer.flush()
    assert len([shard for shard in all_shards(engine) if not shard.is_closed]) == shards
    assert len(log_of(engine)) == records


def test_a_slow_stream_stays_one_shard() -> None:
    engine, clock = with_table(settings=EngineSettings(split_records=10))
    for number in range(100):
        put(engine, f"item {number}")
        clock.advance(100)
    assert len(all_shards(engine)) == 1


def test_a_split_that_was_not_durable_never_was() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    store.is_broken = True
    engine.split_shards("orders")
    with pytest.raises(Exception, match="disk is full"):
        engine.committer.flush()
    store.is_broken = False
    assert len(all_shards(engine)) == 1
    put(engine, "a")
    assert len(log_of(engine)) == 1


def test_what_went_with_deleted_tables_is_known_by_name_and_of_very_many_names_the_oldest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "LOST", 2)
    clock, store = ManualClock(START_MS), FailingStore()
    engine = opened(store, clock)
    for name in ("first", "second", "third"):
        engine.create_table(defined(name))
        engine.put(Put(name, {"pk": {"S": "o1"}}))
        engine.delete_table(name)
        engine.committer.flush()
        clock.advance(1_000)
    for _ in range(30):
        clock.advance(HOUR_MS)
        keep_house(engine)
    again = opened(store, clock)
    for name, is_known in (("first", False), ("second", True), ("third", True)):
        again.create_table(defined(name))
        (shard,) = again.shards_of(again.stream_of(name).arn)
        assert (0 < (shard.before or 0) < shard.first) is is_known, name
