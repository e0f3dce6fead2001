"""A projection in a test world: what it says is the fold over the table's items."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from tailrace import App, Item, sinks
from tailrace.app.table import Table
from tailrace.errors import SettingsError, StateConflict
from tailrace.projections.core.rows import RowChange
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.testing import World


class Orders:
    """An app of one table of orders, and its projection."""

    def __init__(self, *, version: int = 1, factor: int = 1, **settings: object) -> None:
        self.app = App("shop")
        self.table = self.app.table("orders", pk="id")
        self.kept: Table = self.app.table("kept", pk="pk", sk="sk", stream=None)

        class Order(Item, table=self.table):
            id: str
            country: str = "NL"
            total: Decimal = Decimal(0)

        self.Order = Order
        self.fails: set[str] = set()

        def sales(total: Decimal, order: Order, sign: int) -> Decimal:
            if order.id in self.fails:
                raise ValueError(f"{order.id} is broken")
            return total + sign * order.total * factor

        self.sales: Callable[..., Decimal] = sales
        if settings.get("into") == "table":
            settings["into"] = self.kept
        self.app.projection(by=Order.country, id="sales", version=version, **settings)(sales)  # type: ignore[arg-type]


def folded(world: World, orders: Orders) -> dict[str, Decimal]:
    """What the projection must say, from the table's items."""
    expected: dict[str, Decimal] = {}
    for order in world.scan(orders.Order):
        expected[order.country] = expected.get(order.country, Decimal(0)) + order.total
    return expected


@pytest.fixture
def orders() -> Orders:
    return Orders()


def test_a_projection_follows_inserts_updates_moves_and_removals(world: World, orders: Orders) -> None:
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.put(orders.Order(id="o2", total=Decimal(5)))
    world.put(orders.Order(id="o3", country="BE", total=Decimal(7)))
    world.settle()
    sold = world.projected(orders.sales)
    assert dict(sold.items()) == {"NL": Decimal(15), "BE": Decimal(7)}
    world.update(orders.Order, id="o1", total=Decimal(4))
    world.update(orders.Order, id="o2", country="BE")
    world.settle()
    assert (sold["NL"], sold["BE"], sold.count("BE"), len(sold)) == (Decimal(4), Decimal(12), 2, 2)
    world.delete(orders.Order, id="o1")
    world.settle()
    assert dict(sold) == {"BE": Decimal(12)}
    assert "NL" not in sold
    with pytest.raises(KeyError):
        sold["NL"]


def test_it_begins_with_the_items_that_the_stream_no_longer_holds(world: World, orders: Orders) -> None:
    plain = App("shop")
    table = plain.table("orders", pk="id")
    world.use(plain)
    for number in range(250):
        world.put(table, {"id": f"o{number}", "country": "NL", "total": number})
    world.advance("30h")
    world.put(table, {"id": "o0", "country": "BE", "total": 1_000})
    world.use(orders.app)
    world.settle()
    assert dict(world.projected("sales").items()) == {"NL": Decimal(sum(range(250))), "BE": Decimal(1_000)}


def test_every_change_counts_once_under_duplicates_crashes_and_throttling(
    world: World, orders: Orders
) -> None:
    world.use(orders.app)
    with world.faults(duplicates=0.5, crash="anywhere", reshard="1h", throttle=0.2, seed=3):
        for number in range(60):
            name = f"o{number % 7}"
            if number % 5 == 4:
                world.delete(orders.Order, id=name)
            else:
                world.put(orders.Order(id=name, country="NL" if number % 3 else "BE", total=Decimal(number)))
            if number % 10 == 9:
                world.advance("20m")
        world.settle()
    assert world.struck
    assert dict(world.projected("sales").items()) == folded(world, orders)


def test_an_item_that_the_function_fails_on_waits_and_the_others_flow(world: World, orders: Orders) -> None:
    orders.fails.add("o1")
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(1)))
    world.put(orders.Order(id="o2", total=Decimal(2)))
    world.update(orders.Order, id="o1", total=Decimal(3))
    world.settle()
    sold = world.projected("sales")
    assert dict(sold.items()) == {"NL": Decimal(2)}
    (letter,) = world.dead_letters(orders.sales)
    assert letter.error == "ValueError: o1 is broken"
    orders.fails.clear()
    world.dlq(orders.sales).redrive()
    world.settle()
    assert dict(sold.items()) == {"NL": Decimal(5)}


def test_another_version_is_built_beside_and_served_when_it_has_caught_up(
    world: World, orders: Orders
) -> None:
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.settle()
    assert world.projected("sales").build == "1"
    world.kill()
    second = Orders(version=2, factor=100)
    world.use(second.app)
    world.put(second.Order(id="o2", total=Decimal(1)))
    world.settle()
    sold = second.app.projected("sales")
    assert (sold.build, dict(sold.items())) == ("2", {"NL": Decimal(1_100)})
    assert world.engine.state.query("checkpoint/shop/sales%40v1") == []
    left = {row.key.split("/")[2] for row in world.engine.state.query("projection-")}
    assert left == {"sales@v2", "sales"}


def test_a_version_that_fails_on_an_item_is_not_served_by_itself(world: World, orders: Orders) -> None:
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.settle()
    world.kill()
    second = Orders(version=2, factor=100)
    second.fails.add("o1")
    world.use(second.app)
    world.settle()
    assert [letter.change.key for letter in world.dead_letters("sales@v2")] == ["o1"]
    sold = second.app.projected("sales")
    assert (sold.build, dict(sold.items())) == ("1", {"NL": Decimal(10)})
    world.kill()
    world.use(Orders(version=2, factor=100).app)
    world.settle()
    assert dict(world.projected("sales").items()) == {"NL": Decimal(1_000)}


def test_what_is_no_projection_is_refused(world: World, orders: Orders) -> None:
    world.use(orders.app)
    with pytest.raises(SettingsError, match="'nothing' is no projection of this world"):
        world.projected("nothing")


def test_tombstones_go_when_nothing_can_bring_the_item_back(world: World, orders: Orders) -> None:
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.delete(orders.Order, id="o1")
    world.settle()
    assert len(world.engine.state.query("projection-item/")) == 1
    world.advance("47h")
    assert len(world.engine.state.query("projection-item/")) == 1
    world.advance("26h")
    assert world.engine.state.query("projection-item/") == []
    assert world.engine.state.query("projection-group/") == []


def test_a_parked_item_keeps_a_version_from_being_served_until_it_is_put_back(
    world: World, orders: Orders
) -> None:
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.settle()
    world.kill()
    second = Orders(version=2, factor=100)
    second.fails.add("o1")
    world.use(second.app)
    world.update(second.Order, id="o1", total=Decimal(20))
    world.settle()
    second.fails.clear()
    sold = second.app.projected("sales")
    assert sold.build == "1"
    world.dlq("sales@v2").redrive()
    world.kill()
    world.use(second.app)
    world.settle()
    assert (sold.build, sold["NL"]) == ("2", Decimal(2_000))


def built_anew(world: World, orders: Orders, *fails: str) -> Orders:
    """Version 2 beside a version 1 that is served, failing on some items."""
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.put(orders.Order(id="o2", total=Decimal(5)))
    world.settle()
    world.kill()
    second = Orders(version=2, factor=100)
    second.fails.update(fails)
    world.use(second.app)
    world.settle()
    return second


def test_a_fill_that_failed_on_an_item_is_tried_again_without_a_restart(
    world: World, orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    second = built_anew(world, orders, "o1")
    assert world.projected("sales").build == "1"
    world.advance("10m")
    assert world.projected("sales").build == "1"
    second.fails.clear()
    world.advance("1h")
    assert (world.projected("sales").build, dict(world.projected("sales").items())) == (
        "2",
        {"NL": Decimal(1_500)},
    )
    warned = [record.getMessage() for record in caplog.records if "could not fill in" in record.getMessage()]
    assert (
        len(
            [
                record
                for record in caplog.records
                if record.levelname == "WARNING" and "fill in" in record.getMessage()
            ]
        )
        == 1
    )
    assert "build 2 could not fill in 1 items" in warned[0]
    assert warned[0].endswith("o1 is broken; they are tried again in 5 s, and when they change")
    assert [letter.change.key for letter in world.dead_letters("sales@v2")] == ["o1"]


def test_a_fill_that_failed_is_tried_again_when_the_item_was_redriven(world: World, orders: Orders) -> None:
    second = built_anew(world, orders, "o1")
    world.update(second.Order, id="o1", total=Decimal(20))
    world.settle()
    world.advance("30h")  # the waits have grown to an hour by now
    second.fails.clear()
    assert world.projected("sales").build == "1"
    world.dlq("sales@v2").redrive()
    world.settle()
    assert (world.projected("sales").build, dict(world.projected("sales").items())) == (
        "2",
        {"NL": Decimal(2_500)},
    )


def test_the_build_that_is_served_is_filled_again_too(world: World, orders: Orders) -> None:
    plain = App("shop")
    plain.table("orders", pk="id")
    world.use(plain)
    world.put("orders", {"id": "o1", "country": "NL", "total": 10})
    world.kill()
    orders.fails.add("o1")
    world.use(orders.app)
    world.settle()
    assert dict(world.projected("sales").items()) == {}
    assert [letter.change.key for letter in world.dead_letters("sales@v1")] == ["o1"]
    orders.fails.clear()
    world.advance("10s")
    assert dict(world.projected("sales").items()) == {"NL": Decimal(10)}


def test_a_batch_whose_groups_others_write_waits_in_silence_and_uses_no_attempt(
    world: World, orders: Orders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost = [0]
    commit = StateProjectionStore.commit

    async def contended(self: StateProjectionStore, changes: Sequence[RowChange]) -> None:
        lost[0] += 1
        if lost[0] <= 2_000:
            raise StateConflict("meanwhile", index=0)
        await commit(self, changes)

    world.use(orders.app)
    world.settle()
    monkeypatch.setattr(StateProjectionStore, "commit", contended)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.put(orders.Order(id="o2", total=Decimal(5)))
    world.settle()
    assert lost[0] > 2_000
    assert dict(world.projected("sales").items()) == {"NL": Decimal(15)}
    assert world.dead_letters("sales@v1") == []
    assert not any("Traceback" in record.getMessage() or record.exc_info for record in caplog.records)
    assert not any("attempt" in record.getMessage() for record in caplog.records)


# ---- where the rows are kept -------------------------------------------------------------------------------


def test_rows_in_a_table_of_the_app_can_be_read_by_any_client(world: World) -> None:
    orders = Orders(into="table")
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal(10)))
    world.put(orders.Order(id="o2", country="BE", total=Decimal(7)))
    world.settle()
    served = world.get(orders.kept, {"pk": "sales", "sk": "served"})
    assert served is not None
    assert served["served"] == "sales@v1"
    answer = world.client("dynamodb").query(
        TableName="kept",
        KeyConditionExpression="pk = :build",
        ExpressionAttributeValues={":build": {"S": "sales@v1"}},
    )
    groups = {item["key"]["S"]: (item["state"], item["count"]) for item in answer["Items"]}
    assert groups == {"BE": ({"N": "7"}, {"N": "1"}), "NL": ({"N": "10"}, {"N": "1"})}
    assert world.projected("sales")["BE"] == 7
    world.kill()
    second = Orders(version=2, factor=100, into="table")
    world.use(second.app)
    world.settle()
    assert dict(world.projected("sales").items()) == {"NL": Decimal(1_000), "BE": Decimal(700)}
    assert {str(item["pk"]).partition("#")[0] for item in world.scan(second.kept)} == {"sales", "sales@v2"}


def test_rows_in_duckdb_are_a_view_of_the_build_that_is_served(world: World, tmp_path: Path) -> None:
    place = sinks.DuckDB(tmp_path / "shop.duckdb", "sales")
    orders = Orders(into=place)
    world.use(orders.app)
    world.put(orders.Order(id="o1", total=Decimal("10.25")))
    world.put(orders.Order(id="o2", country="BE", total=Decimal(7)))
    world.settle()
    columns, rows = place.query("SELECT * FROM sales ORDER BY country")
    assert columns == ["country", "state", "items"]
    assert rows == [("BE", Decimal(7), 1), ("NL", Decimal("10.25"), 1)]
    world.kill()
    second = Orders(version=2, factor=100, into=place)
    world.use(second.app)
    world.delete(second.Order, id="o2")
    world.settle()
    assert place.query("SELECT * FROM sales")[1] == [("NL", Decimal(1_025), 1)]
    assert place.query("SELECT DISTINCT build FROM sales_items")[1] == [("sales@v2",)]
    answers = world._ask("sql", {"sql": "SELECT state FROM sales"})
    assert {tuple(answer["columns"]) for answer in answers} == {("state",)}
    assert [Decimal(cell) for answer in answers for row in answer["rows"] for cell in row] == [Decimal(1_025)]
    place.close()


@pytest.mark.parametrize("kind", ["table", "duckdb"])
def test_every_change_counts_once_wherever_the_rows_are(world: World, tmp_path: Path, kind: str) -> None:
    place = sinks.DuckDB(tmp_path / "shop.duckdb", "sales")
    orders = Orders(into=place if kind == "duckdb" else "table", concurrency=4, batch_size=3)
    world.use(orders.app)
    with world.faults(duplicates=0.4, crash="anywhere", throttle=0.1, seed=11):
        for number in range(40):
            country = "NL" if number % 3 else "BE"
            world.put(orders.Order(id=f"o{number % 9}", country=country, total=Decimal(number)))
        world.settle()
    assert world.struck
    assert dict(world.projected("sales").items()) == folded(world, orders)
    place.close()


def test_what_the_stream_lost_while_nobody_read_it_is_read_from_the_table(
    world: World, orders: Orders
) -> None:
    world.use(orders.app)
    for name in ("o1", "o2", "o3"):
        world.put(orders.Order(id=name, total=Decimal(10)))
    world.settle()
    world.kill()
    world.delete(orders.table, {"id": "o1"})
    world.put(orders.table, {"id": "o2", "country": "BE", "total": 20})
    world.advance("30h")
    world.restart()
    world.settle()
    assert world.gaps()
    world.advance("2m")
    world.settle()
    sold = world.projected("sales")
    assert (sold.build, dict(sold.items())) == ("1.1", {"NL": Decimal(10), "BE": Decimal(20)})
    world.advance("2h")
    assert sold.build == "1.1"
