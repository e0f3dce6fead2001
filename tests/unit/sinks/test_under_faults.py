"""A sink that is versioned by sequence number shows the table, whatever goes wrong on the way."""

from pathlib import Path

import pytest

from tailrace import App, Item, sinks
from tailrace.testing import World

duckdb = pytest.importorskip("duckdb")


@pytest.mark.parametrize("seed", range(2))
def test_a_table_of_duckdb_is_the_table_after_crashes_repetitions_and_splits(
    tmp_path: Path, seed: int
) -> None:
    app = App("shop")
    shop = app.table("shop", pk="id")

    class Order(Item, table=shop):
        id: str
        n: int = 0

    path = str(tmp_path / "orders.duckdb")
    app.sink(Order, sinks.DuckDB(path, table="orders"))
    with World(app, seed=seed, shards=2) as world:
        with world.faults(
            duplicates=0.3, crash="anywhere", throttle=0.2, reshard="1h", slow="1m", outage="10m"
        ):
            for turn in range(4):
                for number in range(6):
                    world.put(Order(id=f"o{number}", n=turn))
                world.delete(Order, id=f"o{turn}")
            world.settle()
        kept = {item["id"]: int(item["n"]) for item in world.scan(shop)}
    with duckdb.connect(path) as file:
        assert dict(file.execute("select id, n from orders").fetchall()) == kept
