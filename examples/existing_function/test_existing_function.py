"""The function in a test world: the mapping as it would be on Lambda. `pytest examples/existing_function`."""

from decimal import Decimal

from existing_function import app, orders
from orders_function import PRICED

from tailrace.testing import World


def test_orders_are_priced_and_an_unknown_currency_is_given_up_after_its_retries(world: World) -> None:
    PRICED.clear()
    world.use(app)
    for order, currency, total in (("o1", "USD", "10"), ("o2", "XXX", "5"), ("o3", "GBP", "10")):
        world.put(orders, {"id": order, "currency": currency, "total": Decimal(total)})
    world.settle()
    assert PRICED == {"o1": 9.2, "o3": 11.7}
    assert len(world.dead_letters("lambda_handler")) == 1
