"""A projection whose stream was trimmed before it was read is built anew from the table: at the next look,
once, and only then.

Rules of this file: days pass on the virtual clock; the expected answer is what the table has.
"""

import logging
from decimal import Decimal

import pytest

from tailrace import App, Item
from tailrace.leases.checkpoint import MAX_LEDGER_RANGES
from tailrace.testing import World

app = App("shop")
orders = app.table("orders", pk="id")


class Order(Item, table=orders):
    id: str
    country: str = "NL"
    total: Decimal = Decimal(0)


@app.projection(by=Order.country)
def sales(total: Decimal, order: Order, sign: int) -> Decimal:
    return total + sign * order.total


def unread_for(world: World, span: str) -> None:
    """Two orders that were projected; one of them changed and one deleted while no worker
    read for some time.
    """
    world.put(Order(id="o1", total=Decimal(10)))
    world.put(Order(id="o2", total=Decimal(5)))
    world.settle()
    world.kill()
    world.update(Order, id="o1", country="BE", total=Decimal(7))
    world.delete(Order, id="o2")
    world.advance(span)
    world.restart()
    world.settle()


def test_what_the_stream_has_lost_is_taken_from_the_table_within_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with World(app, seed=1) as world, caplog.at_level(logging.WARNING):
        unread_for(world, "30h")
        assert [gap.handler for gap in world.gaps()].count("sales@v1") == 1
        world.advance("2m")
        world.settle()
        assert dict(world.projected(sales)) == {"BE": Decimal(7)}
        assert world.projected(sales).build == "1.1"
        assert "projection sales: changes were trimmed before they were applied" in caplog.text


def test_a_gap_is_answered_by_one_build() -> None:
    with World(app, seed=1) as world:
        unread_for(world, "30h")
        world.advance("10m")
        world.settle()
        assert world.projected(sales).build == "1.1"


def test_what_the_stream_still_holds_is_read_and_nothing_is_built_anew() -> None:
    with World(app, seed=1) as world:
        unread_for(world, "6h")
        world.advance("10m")
        world.settle()
        assert (dict(world.projected(sales)), world.projected(sales).build) == ({"BE": Decimal(7)}, "1")


mixed = app.table("mixed", pk="pk")


class Sale(Item, table=mixed, pk="SALE#{id}"):
    id: str
    country: str = "NL"


class Note(Item, table=mixed, pk="NOTE#{id}"):
    id: str


@app.projection(by=Sale.country)
def sold(count: int, sale: Sale, sign: int) -> int:
    return count + sign


def test_a_gap_is_answered_when_more_than_its_ledger_names_has_happened_since() -> None:
    """A ledger names a hundred ranges, and changes of other models come between those of sales."""
    with World(app, seed=1) as world:
        world.put(Sale(id="first"))
        world.settle()
        world.kill()
        world.put(Sale(id="lost"))
        world.advance("2h")
        for number in range(MAX_LEDGER_RANGES + 20):
            world.put(Sale(id=f"later{number}"))
            world.put(Note(id=f"note{number}"))
        world.advance("23h")
        world.restart()
        world.settle()
        assert [gap.handler for gap in world.gaps()].count("sold@v1") == 1
        world.advance("2m")
        world.settle()
        assert dict(world.projected(sold)) == {"NL": MAX_LEDGER_RANGES + 22}
