"""Time to live in the engine: entries beside items, slices, restarts, failed commits."""

import pytest

from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import StoreError
from tailrace.tables.mutate import Put
from tests.unit.engine.building import (
    START_MS,
    FailingStore,
    item,
    keep_house,
    log_of,
    opened,
    put,
    with_table,
)

NOW = START_MS // 1_000
SMALL = EngineSettings(slice_rows=10)


def put_until(engine: Engine, name: str, seconds: int) -> None:
    engine.put(Put("orders", {**item(name), "ttl": {"N": str(seconds)}}))


def on(engine: Engine, enabled: bool = True) -> None:
    engine.time_to_live.update("orders", "ttl", enabled=enabled)
    engine.committer.flush()


def count(engine: Engine) -> int:
    return int(engine.describe_table("orders")["ItemCount"])


class CountingStore(FailingStore):
    """Counts range reads."""

    queries = 0

    def query(  # type: ignore[no-untyped-def]
        self, table, first, last, limit, *, reverse=False
    ):
        self.queries += 1
        return super().query(table, first, last, limit, reverse=reverse)


def test_a_table_with_items_is_gone_through_in_slices_and_expires_in_slices() -> None:
    engine, clock = with_table(settings=SMALL)
    for number in range(35):
        put_until(engine, f"item {number}", NOW + number % 2)
    on(engine)
    clock.advance(1_000)
    assert keep_house(engine) >= 6
    assert count(engine) == 17
    assert sum(record.by_ttl for record in log_of(engine)) == 18


def test_filling_goes_on_after_a_restart() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store, settings=SMALL)
    for number in range(35):
        put_until(engine, f"item {number}", NOW)
    on(engine)
    slices = engine.time_to_live.slices()
    next(slices)
    engine.committer.flush()
    again = opened(store, clock, SMALL)
    clock.advance(1)
    keep_house(again)
    assert count(again) == 0


def test_what_is_due_is_known_after_a_restart() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    on(engine)
    put_until(engine, "a", NOW + 60)
    engine.committer.flush()
    keep_house(engine)
    again = opened(store, clock)
    clock.advance(60_000)
    keep_house(again)
    assert count(again) == 1
    clock.advance(1)
    keep_house(again)
    assert count(again) == 0


def test_nothing_is_read_while_nothing_is_due() -> None:
    store = CountingStore()
    engine, clock = with_table(store=store)
    on(engine)
    for number in range(50):
        put_until(engine, f"item {number}", NOW + 3_600)
    keep_house(engine)
    store.queries = 0
    clock.advance(1_800_000)
    for _ in range(5):
        for _ in engine.time_to_live.slices():
            raise AssertionError("there is nothing to do")
    assert store.queries == 0


def test_a_failed_commit_leaves_items_entries_and_what_is_due() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    on(engine)
    put_until(engine, "a", NOW)
    engine.committer.flush()
    keep_house(engine)
    clock.advance(1)
    store.is_broken = True
    for _ in engine.time_to_live.slices():
        with pytest.raises(StoreError, match="disk is full"):
            engine.committer.flush()
    store.is_broken = False
    assert count(engine) == 1
    keep_house(engine)
    assert count(engine) == 0


def test_switching_off_and_deleting_the_table_leave_no_entries() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store, stream=None)
    on(engine)
    put_until(engine, "a", NOW + 60)
    keep_house(engine)
    on(engine, enabled=False)
    keep_house(engine)
    assert [store.query(number, b"", None, 10) for number in (17, 18, 19)] == [[], [], []]
    clock.advance(120_000)
    keep_house(engine)
    assert count(engine) == 1
    on(engine)
    put_until(engine, "b", NOW + 9_999_999)
    keep_house(engine)
    assert any(store.query(number, b"", None, 10) for number in (17, 18, 19))
    engine.delete_table("orders")
    keep_house(engine)
    assert [store.query(number, b"", None, 10) for number in (16, 17, 18, 19)] == [[], [], [], []]


def test_a_table_without_time_to_live_writes_no_entries() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store, stream=None)
    put(engine, "a")
    assert {row.table for row in store.commits[-1].rows} == {0, 16}
