"""A build is filled when the mapping's start is durable: what is not read from then on is a gap, and told."""

import logging
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Item
from tailrace.errors import StoreError
from tailrace.runtime.starting import enter
from tailrace.testing import World
from tailrace.worker import worker as working

app = App("shop")
orders = app.table("orders", pk="id")


class Order(Item, table=orders):
    id: str
    country: str = "NL"
    total: Decimal = Decimal(0)


@app.projection(by=Order.country)
def sales(total: Decimal, order: Order, sign: int) -> Decimal:
    return total + sign * order.total


def test_what_is_trimmed_before_a_mapping_could_begin_is_in_its_build(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The items' page is of the time when nothing could be begun, and the changes after it are trimmed: the
    next worker begins at what is left, as a handler that is new.
    """
    is_kept_from_it = True

    def entering(*arguments: Any) -> Any:
        if is_kept_from_it:
            raise StoreError("the state takes no checkpoint")
        return enter(*arguments)

    monkeypatch.setattr(working, "enter", entering)
    with World(app, seed=1) as world:
        world.put(Order(id="a", total=Decimal(1)))
        with caplog.at_level(logging.INFO):
            world.advance("10m")
        assert caplog.text.count("is filled once its mapping has begun in every shard of table orders") == 1
        world.kill()
        world.put(Order(id="b", total=Decimal(10)))
        world.advance("26h")
        is_kept_from_it = False
        world.restart()
        world.put(Order(id="c", total=Decimal(100)))
        world.settle()
        world.advance("10m")
        assert dict(world.projected(sales)) == {"NL": Decimal(111)}
