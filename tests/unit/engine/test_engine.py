"""Items: one write is one change and one record, and nothing else leaves a trace."""

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, StoreError
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.stores.memory import MemoryStore
from tailrace.streams.record import image
from tailrace.tables.mutate import Delete, Put, Update
from tailrace.values.types import Item
from tests.unit.engine.building import (
    HOUR_MS,
    START_MS,
    FailingStore,
    arn_of,
    condition,
    defined,
    item,
    log_of,
    names_of,
    opened,
    put,
    with_table,
)

KEY: Item = {"pk": {"S": "a"}}


def test_a_write_is_read_at_once_and_its_record_only_when_durable() -> None:
    engine, _ = with_table()
    engine.put(Put("orders", item("a", 1)))
    assert engine.get("orders", KEY) == item("a", 1)
    assert log_of(engine) == []
    engine.committer.flush()
    assert names_of(log_of(engine)) == ["INSERT"]


def test_item_and_record_are_one_commit() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    put(engine, "a")
    last = store.commits[-1]
    assert [row.table for row in last.rows if row.table >= 16] == [16]
    assert len(last.log) == 1


def test_records_carry_both_images_whatever_the_view_type() -> None:
    engine, _ = with_table(stream="KEYS_ONLY")
    put(engine, "a", 1)
    put(engine, "a", 2)
    engine.delete(Delete("orders", KEY))
    engine.committer.flush()
    seen = [(record.event_name, image(record.old), image(record.new)) for record in log_of(engine)]
    assert seen == [
        ("INSERT", None, item("a", 1)),
        ("MODIFY", item("a", 1), item("a", 2)),
        ("REMOVE", item("a", 2), None),
    ]


def test_a_record_names_its_keys_time_and_size() -> None:
    engine, clock = with_table()
    clock.advance(1_234)
    put(engine, "a", 1)
    (record,) = log_of(engine)
    assert (image(record.keys), record.created_ms) == (KEY, START_MS + 1_234)
    # keys: pk a; new image: pk a n 1
    assert record.size_bytes == 3 + (3 + 1 + 2)
    assert record.partition == engine.schema("orders").partition(KEY)


@pytest.mark.parametrize(
    "nothing",
    [
        Put("orders", item("a", 1)),
        Delete("orders", {"pk": {"S": "absent"}}),
        Update("orders", KEY, parse_update("REMOVE gone", Placeholders(None, None))),
        Update("orders", KEY),
    ],
)
def test_a_write_that_changes_nothing_leaves_no_row_and_no_record(nothing: Put | Update | Delete) -> None:
    engine, _ = with_table()
    put(engine, "a", 1)
    write = {Put: engine.put, Update: engine.update, Delete: engine.delete}[type(nothing)]
    mutation = write(nothing)  # type: ignore[operator]
    assert not mutation.changed
    assert not engine.committer.is_dirty
    assert names_of(log_of(engine)) == ["INSERT"]


def test_a_refused_write_leaves_no_trace() -> None:
    engine, _ = with_table()
    put(engine, "a", 1)
    with pytest.raises(ApiError):
        engine.put(Put("orders", item("a", 2), condition("attribute_not_exists(pk)")))
    assert not engine.committer.is_dirty
    assert engine.get("orders", KEY) == item("a", 1)


def test_a_table_without_a_stream_writes_no_record() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store, stream=None)
    put(engine, "a")
    assert engine.get("orders", KEY) is not None
    assert store.commits[-1].log == []


@pytest.mark.parametrize("name", ["get", "get_bytes"])
def test_reading_gives_the_item_or_nothing(name: str) -> None:
    engine, _ = with_table()
    put(engine, "a", 1)
    stored = getattr(engine, name)("orders", KEY)
    assert (image(stored) if isinstance(stored, bytes) else stored) == item("a", 1)
    assert getattr(engine, name)("orders", {"pk": {"S": "absent"}}) is None


def test_an_unknown_table_is_not_found_in_awss_words() -> None:
    engine = opened()
    for call in (
        lambda: engine.put(Put("missing", item("a"))),
        lambda: engine.get("missing", KEY),
        lambda: engine.schema("missing"),
    ):
        with pytest.raises(ApiError) as refused:
            call()
        assert (refused.value.code, refused.value.message) == (
            "ResourceNotFoundException",
            "Requested resource not found",
        )


def test_a_failed_commit_takes_back_items_records_tables_and_sizes() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    put(engine, "a", 1)
    store.is_broken = True
    engine.put(Put("orders", item("a", 2)))
    engine.put(Put("orders", item("b", 2)))
    engine.create_table(defined("second"))
    with pytest.raises(StoreError):
        engine.committer.flush()
    store.is_broken = False
    assert engine.get("orders", KEY) == item("a", 1)
    assert engine.list_tables() == {"TableNames": ["orders"]}
    assert engine.describe_table("orders")["ItemCount"] == 1
    put(engine, "b", 3)
    assert names_of(log_of(engine)) == ["INSERT", "INSERT"]


def test_numbers_grow_over_a_failed_commit() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    put(engine, "a", 1)
    store.is_broken = True
    with pytest.raises(StoreError):
        put(engine, "a", 2)
    store.is_broken = False
    put(engine, "a", 3)
    first, second = [record.sequence for record in log_of(engine)]
    assert second > first + 1


def test_a_reopened_engine_knows_everything_and_goes_on_above() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    put(engine, "a", 1)
    arn, before = arn_of(engine), log_of(engine)
    engine.close()
    again = opened(store, clock)
    assert again.get("orders", KEY) == item("a", 1)
    assert again.describe_table("orders") == engine.describe_table("orders")
    assert arn_of(again) == arn
    put(again, "a", 2)
    records = log_of(again)
    assert records[:1] == before
    assert records[1].sequence > records[0].sequence


def test_creation_times_never_go_back_even_over_a_restart_with_a_wrong_clock() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    clock.advance(50_000)
    put(engine, "a", 1)
    clock.set(START_MS - HOUR_MS)
    put(engine, "a", 2)
    again = opened(store, clock)
    put(again, "a", 3)
    assert [record.created_ms for record in log_of(again)] == [START_MS + 50_000] * 3


def test_the_crash_points_of_a_write_are_passed_in_order() -> None:
    points: list[str] = []
    engine = Engine(MemoryStore(), ManualClock(START_MS), reached=points.append)
    engine.create_table(defined())
    engine.committer.flush()
    points.clear()
    engine.put(Put("orders", item("a")))
    engine.committer.flush()
    assert [point for point in points if point in ("write.mutated", "commit.done")] == [
        "write.mutated",
        "commit.done",
    ]


def test_the_count_and_size_of_a_table_are_exact() -> None:
    engine, _ = with_table()
    for name in ("a", "b", "c"):
        put(engine, name, 1)
    put(engine, "b", 2)
    engine.delete(Delete("orders", KEY))
    description = engine.describe_table("orders")
    assert (description["ItemCount"], description["TableSizeBytes"]) == (2, 2 * 6)
