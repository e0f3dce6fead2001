"""Tables at one moment: with what is pending and in flight, without what comes, and when that is."""

from pathlib import Path

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.engine.standing import PAGE, StandingTables
from tailrace.errors import ApiError, InternalError
from tailrace.ports import Store
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.tables.mutate import Delete, Put
from tests.unit.engine.building import START_MS, FailingStore, opened, with_table


def ids(standing: StandingTables, table: int = 0) -> list[str]:
    return sorted(str(item["pk"]["S"]) for item in standing.items(standing.tables[table]))


def written(engine: Engine, *names: str) -> None:
    for name in names:
        engine.put(Put("orders", {"pk": {"S": name}}))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.db")


def with_orders(store: Store | None = None, clock: ManualClock | None = None) -> Engine:
    engine, _ = with_table(store=store, clock=clock)
    return engine


def test_a_moment_has_what_is_durable_in_flight_and_pending_and_nothing_later(store: Store) -> None:
    engine = with_orders(store)
    written(engine, "a", "b", "c", "d")
    engine.committer.flush()
    written(engine, "e")
    engine.delete(Delete("orders", {"pk": {"S": "a"}}))
    flight = engine.committer.begin_flush()
    assert flight is not None
    written(engine, "aa", "z")
    engine.delete(Delete("orders", {"pk": {"S": "c"}}))
    with StandingTables(engine, ["orders"]) as standing:
        engine.committer.write(flight)
        engine.committer.finish_flush()
        written(engine, "f")
        engine.delete(Delete("orders", {"pk": {"S": "b"}}))
        engine.committer.flush()
        assert ids(standing) == ["aa", "b", "d", "e", "z"]
    with StandingTables(engine, ["orders"]) as standing:
        assert ids(standing) == ["aa", "d", "e", "f", "z"]


def test_a_table_of_many_pages_is_read_whole(store: Store) -> None:
    engine = with_orders(store)
    names = [f"k{number:05d}" for number in range(2 * PAGE)]
    written(engine, *names)
    engine.committer.flush()
    written(engine, "k00000x")
    with StandingTables(engine, ["orders"]) as standing:
        assert ids(standing) == sorted([*names, "k00000x"])
        assert standing.tables[0].items == 2 * PAGE + 1


def test_what_is_in_it_was_created_before_it_and_what_is_not_at_it_or_after() -> None:
    clock = ManualClock(START_MS)
    engine = with_orders(clock=clock)
    moments = []
    for turn in range(4):
        written(engine, f"o{turn}")
        with StandingTables(engine, ["orders"]) as standing:
            moments.append(standing.at_ms)
            assert len(ids(standing)) == turn + 1
        if turn == 2:
            clock.advance(1_000)
    engine.committer.flush()
    created = sorted(
        record.created_ms
        for shard in engine.shards_of(engine.stream_of("orders").arn)
        for record in engine.log.read(shard, 0, 100).records
    )
    assert len(created) == 4
    for turn, at_ms in enumerate(moments):
        assert created[turn] < at_ms
        assert all(later >= at_ms for later in created[turn + 1 :])


def test_several_tables_are_of_one_moment_and_one_that_is_not_there_is_named() -> None:
    engine = with_orders()
    with StandingTables(engine, []) as standing:
        assert standing.tables == []
    with pytest.raises(ApiError, match="not found"):
        StandingTables(engine, ["orders", "nothing"])
    with StandingTables(engine, ["orders"]) as standing:
        (table,) = standing.tables
        assert table.arn.endswith(":table/orders")
        assert table.table_id == engine.describe_table("orders")["TableId"]


def test_a_store_that_holds_no_moment_is_told() -> None:
    with pytest.raises(InternalError, match="FailingStore holds no moment"):
        StandingTables(opened(FailingStore()), [])
