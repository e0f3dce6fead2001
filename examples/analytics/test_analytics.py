"""The three places in a test world, under faults, and after a day without them.
`pytest examples/analytics`; with PostgreSQL: `make services`, and its URL as ANALYTICS_POSTGRES.
"""

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from analytics import (
    DATABASE,
    SCHEMA,
    TABLES,
    Customer,
    Line,
    Order,
    Payment,
    app,
    duckdb_tables,
    lake_tables,
    shop,
)
from star import PLACES, QUESTIONS

from tailrace.testing import World

pytestmark = pytest.mark.world(app, sinks="real")
BEGIN = World().moment
AWAY = os.environ.get("ANALYTICS_AWAY", "1h")
"""How long a warehouse is away. 26h is longer than the stream keeps changes: they are put aside in time."""
COUNTRIES = ("NL", "BE", "DE")


@pytest.fixture(autouse=True)
def _empty_places(tmp_path: Path) -> Iterator[None]:
    """A file, a folder and a schema of its own for each test."""
    for name in TABLES:
        duckdb_tables[name].path = tmp_path / "shop.duckdb"
        lake_tables[name].place = tmp_path / "lake"
    execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}")
    yield
    for table in duckdb_tables.values():
        table.close()


def execute(*statements: str) -> None:
    """What somebody else does in the database, where there is one."""
    if DATABASE:
        with psycopg.connect(DATABASE, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def trade(world: World, seed: int, orders: int = 12) -> None:
    """Some days of the shop: what is ordered, changed, paid, cancelled, taken back."""
    draw = random.Random(seed)
    for number in range(5):
        world.put(Customer(id=f"c{number}", name=f"Customer {number}", country=draw.choice(COUNTRIES)))
    for number in range(orders):
        order = Order(
            id=f"o{number}", customer=f"c{draw.randrange(5)}", placed_at=BEGIN + timedelta(hours=7 * number)
        )
        world.put(order)
        amount = Decimal(0)
        for line in range(draw.randint(1, 4)):
            quantity, price = Decimal(draw.randint(1, 9)), Decimal(draw.randint(100, 9_999)) / 100
            world.put(
                Line(
                    order_id=order.id,
                    number=line,
                    article=4_700 + draw.randrange(4),
                    quantity=quantity,
                    price=price,
                )
            )
            amount += quantity * price
        match draw.randrange(5):
            case 0:
                world.update(Order, id=order.id, status="cancelled")
            case 1:
                world.delete(Line, order_id=order.id, number=0)
            case 2:
                world.update(Customer, id=order.customer, country=draw.choice(COUNTRIES))
            case _:
                world.put(
                    Payment(order_id=order.id, id="p1", amount=amount, paid_at=order.placed_at + timedelta(1))
                )


def expected(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """The answers, computed from the items."""
    items: dict[str, list[dict[str, Any]]] = {"PROFILE": [], "META": [], "LINE": [], "PAYMENT": []}
    for item in world.scan(shop):
        items[str(item["sk"]).partition("#")[0]].append(item)
    customers = {item["id"]: item for item in items["PROFILE"]}
    orders = {item["id"]: item for item in items["META"]}
    revenue: dict[str, Decimal] = {}
    pieces: dict[str, Decimal] = {}
    due: dict[str, Decimal] = {}
    for line in items["LINE"]:
        if (order := orders[line["order_id"]])["status"] != "cancelled":
            customer, amount = customers[order["customer"]], line["quantity"] * line["price"]
            for sums, name, value in (
                (revenue, customer["country"], amount),
                (pieces, str(line["article"]), line["quantity"]),
                (due, customer["name"], amount),
            ):
                sums[name] = sums.get(name, Decimal(0)) + value
    for payment in items["PAYMENT"]:
        name = customers[orders[payment["order_id"]]["customer"]]["name"]
        due[name] = due.get(name, Decimal(0)) - payment["amount"]
    owing = {name: value for name, value in due.items() if value}
    return {
        question: sorted(sums.items())
        for question, sums in zip(QUESTIONS, (revenue, pieces, owing), strict=True)
    }


def check(world: World) -> None:
    """Every place answers every question as the items do, and has every row as its item is."""
    answers = expected(world)
    assert len(answers["pieces by article"]) >= 4
    for place, ask in PLACES.items():
        assert {title: ask(question) for title, question in QUESTIONS.items()} == answers, place
        for name in TABLES:
            report = world.verified(f"{place}.{name}")
            assert report["equal"], report


def test_the_star_answers_the_same_in_all_places_and_what_the_items_say(world: World) -> None:
    trade(world, seed=1)
    world.settle()
    check(world)


@pytest.mark.parametrize("seed", [1])
def test_faults_change_no_answer(world: World, seed: int) -> None:
    with world.faults(duplicates=0.3, crash="anywhere", reshard="1h", throttle=0.2, seed=seed):
        trade(world, seed)
        world.settle()
    check(world)


def test_an_article_that_becomes_a_text_in_mid_stream_keeps_its_place_in_the_star(world: World) -> None:
    trade(world, seed=2)
    world.settle()
    late = Line(order_id="o1", number=7, article="B-17", quantity=Decimal("2.5"), price=Decimal("0.125"))
    world.put(late)
    world.put(Line(order_id="o1", number=8, article=4_700, quantity=Decimal(1), price=Decimal(2)))
    world.settle()
    check(world)
    for place, ask in PLACES.items():
        assert ("B-17", Decimal("2.5")) in ask(QUESTIONS["pieces by article"]), place
        # The column stays one of numbers. What has no place in it is whole in `_extra`, and counted.
        rows = ask(
            "SELECT article, (_extra -> 'article') ->> 'S' FROM lines WHERE number >= 7 ORDER BY number"
        )
        assert rows == [(None, "B-17"), (4_700, None)], place
    assert duckdb_tables["lines"].conflicts == {"article": 1}


def test_an_outage_of_the_warehouses_loses_nothing(world: World, tmp_path: Path) -> None:
    trade(world, seed=3)
    world.settle()
    # DuckDB's disk is gone.
    for table in duckdb_tables.values():
        table.close()
        table.path = tmp_path / "away" / "shop.duckdb"
    for number in range(4):
        world.put(Line(order_id=f"o{number}", number=9, article=4_709, quantity=Decimal(3), price=Decimal(1)))
        world.delete(Line, order_id=f"o{number}", number=0)
    world.advance(AWAY)
    # Now the lake's, too, and somebody has moved the schema of the database.
    execute(f"ALTER SCHEMA {SCHEMA} RENAME TO moved")
    (tmp_path / "lake").rename(tmp_path / "unmounted")
    (tmp_path / "lake").write_text("no directory")
    world.put(Line(order_id="o0", number=10, article=4_709, quantity=Decimal(3), price=Decimal(1)))
    world.advance("30m")
    assert world.lag() >= int(AWAY.removesuffix("h")) * 3_600_000
    assert world.gaps() == []
    (tmp_path / "lake").unlink()
    (tmp_path / "unmounted").rename(tmp_path / "lake")
    for table in duckdb_tables.values():
        table.path = tmp_path / "shop.duckdb"
    execute(f"ALTER SCHEMA moved RENAME TO {SCHEMA}")
    world.settle()
    check(world)


def test_items_older_than_the_stream_are_there_by_a_snapshot(tmp_path: Path) -> None:
    with World(sinks="real") as world:
        world.client("dynamodb").create_table(
            TableName="shop",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        trade(world, seed=5)
        world.advance("48h")  # the stream has forgotten all of it
        world.use(app)
        world.put(Customer(id="c0", name="Customer 0", country="LU"))
        world.settle()
        check(world)
        assert ("LU",) in PLACES["duckdb"]("SELECT country FROM customers")
