"""The view of a projection in DuckDB: columns by the fields of `by` and of the state, in SQL's own types."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailrace import App, Item, sinks
from tailrace.app.table import Table
from tailrace.sinks.duckdb_projection import _member, _value
from tailrace.testing import World

app = App("shop")
orders: Table = app.table("orders", pk="id")


class Order(Item, table=orders):
    id: str
    country: str | None = None
    day: date | None = None
    is_paid: bool = False
    total: Decimal = Decimal(0)


@dataclass
class Sales:
    orders: int = 0
    total: Decimal = Decimal(0)
    by_name: dict[str, int] | None = None


def total(state: Decimal, order: Order, sign: int) -> Decimal:
    return state + sign * order.total


def several(state: Sales, order: Order, sign: int) -> Sales:
    return Sales(state.orders + sign, state.total + sign * order.total, {"it's": state.orders + sign})


def names(state: set[str], order: Order, sign: int) -> set[str]:
    return state | {order.id} if sign > 0 else state - {order.id}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[sinks.DuckDB]:
    made = sinks.DuckDB(tmp_path / "shop.duckdb", 'it\'s a "view"')
    yield made
    made.close()


def shown(
    place: sinks.DuckDB, function: Any, by: Any, seed: int = 1
) -> tuple[list[str], list[tuple[Any, ...]]]:
    own = App("shop")
    own.tables.update(app.tables)
    own.projection(by=by, id="sales", into=place)(function)
    with World(own, seed=seed) as world:
        world.put(Order(id="o1", country="NL", day=date(2026, 11, 23), is_paid=True, total=Decimal("1.50")))
        world.put(Order(id="o2", total=Decimal(2)))
        world.settle()
    return place.query('SELECT * FROM "it\'s a ""view""" ORDER BY 1')


@pytest.mark.parametrize(
    ("function", "by", "columns", "rows"),
    [
        (total, None, ["state", "items"], [(Decimal("3.5"), 2)]),
        (total, Order.country, ["country", "state", "items"],
         [("NL", Decimal("1.5"), 1), (None, Decimal(2), 1)]),
        (total, Order.is_paid, ["is_paid", "state", "items"],
         [(False, Decimal(2), 1), (True, Decimal("1.5"), 1)]),
        (
            several, (Order.day, Order.is_paid), ["day", "is_paid", "orders", "total", "by_name", "items"],
            [("2026-11-23", True, 1, Decimal("1.5"), '{"M":{"it\'s":{"N":"1"}}}', 1),
             (None, False, 1, Decimal(2), '{"M":{"it\'s":{"N":"1"}}}', 1)],
        ),
        (total, lambda order: order.total * 2, ["key", "state", "items"],
         [("3", Decimal("1.5"), 1), ("4", Decimal(2), 1)]),
        (names, None, ["state", "items"], [('{"SS":["o1","o2"]}', 2)]),
    ],
)  # fmt: skip
def test_the_view_has_columns_of_sql_s_own_types(
    place: sinks.DuckDB, function: Any, by: Any, columns: list[str], rows: list[tuple[Any, ...]]
) -> None:
    assert shown(place, function, by) == (columns, rows)


@pytest.mark.parametrize("name", ["plain", 'a "b" c', "it's", "back\\slash"])
def test_a_member_whose_name_has_quotes_is_a_column_all_the_same(place: sinks.DuckDB, name: str) -> None:
    state = orjson.dumps({"M": {name: {"S": "v"}}}).decode().replace("'", "''")
    value = _value(f"'{state}'", f"M.{_member(name)}", frozenset({"S"}))
    assert place.query(f"SELECT {value}")[1] == [("v",)]
