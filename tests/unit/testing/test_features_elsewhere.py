"""Projections, windows and time to live of a table that is in another region than its app."""

from datetime import datetime, timedelta
from decimal import Decimal

from tailrace import App, Change, Item, Window
from tailrace.testing import World

app = App("shop")
here = app.table("orders", pk="id")
there = app.table("orders", pk="id", region="eu-west-1", ttl="expires")


class Order(Item, table=there):
    id: str
    country: str = "NL"
    placed: datetime
    total: Decimal = Decimal(0)


@app.projection(by=Order.country)
def sales(total: Decimal, order: Order, sign: int) -> Decimal:
    return total + sign * order.total


windows: list[tuple[str, list[str]]] = []
expired: list[tuple[str, str]] = []


@app.window(Order, every="1m", by=Order.country, at=Order.placed)
def minutes(window: Window[Order]) -> None:
    windows.append((str(window.key), sorted(order.id for order in window)))


@app.on(there)
def expiries(change: Change) -> None:
    if change.by_ttl:
        expired.append((change.table, str(change.key)))


def test_a_projection_folds_the_table_of_its_region_alone() -> None:
    with World(app, seed=1) as world:
        world.put(Order(id="o1", placed=world.moment, total=Decimal(7)))
        world.put(here, {"id": "o1", "country": "NL", "total": 100})
        world.settle()
        assert dict(world.projected(sales)) == {"NL": 7}
        world.delete(Order, id="o1")
        world.settle()
        assert dict(world.projected(sales)) == {}


def test_a_projection_of_another_region_is_built_anew_from_its_table_after_a_gap() -> None:
    with World(app, seed=1) as world:
        world.put(Order(id="o1", placed=world.moment, total=Decimal(7)))
        world.settle()
        world.kill()
        world.update(Order, id="o1", total=Decimal(9))
        world.put(here, {"id": "o2", "country": "NL", "total": 100})
        world.advance("30h")
        world.restart()
        world.advance("2m")
        world.settle()
        assert dict(world.projected(sales)) == {"NL": 9}


def test_a_window_is_told_of_the_items_of_its_region_alone() -> None:
    windows.clear()
    with World(app, seed=1) as world:
        placed = world.moment
        world.put(Order(id="o1", placed=placed))
        world.put(here, {"id": "o2", "country": "NL", "placed": placed.isoformat(), "total": 1})
        world.advance("2m")
        world.put(Order(id="o3", placed=placed + timedelta(seconds=59)))
        world.advance("1m")
        assert windows == [("NL", ["o1"]), ("NL", ["o1", "o3"])]


def test_time_to_live_of_a_table_of_another_region_deletes_its_items_alone() -> None:
    expired.clear()
    with World(app, seed=1) as world:
        at = int(world.moment.timestamp()) + 60
        world.put(there, {"id": "old", "placed": world.moment.isoformat(), "expires": at})
        world.put(here, {"id": "old", "expires": at})
        world.advance("49h")
        assert expired == [(there.name, "old")]
        assert [item["id"] for item in world.scan(here)] == ["old"]
        assert list(world.scan(there)) == []
