"""The three speeds in a test world: seconds pass in milliseconds. `pytest examples/fan_out`."""

from decimal import Decimal

from fan_out import REVENUE, Order, app, partner, reserve, revenue, stock

from tailrace.testing import World

ORDERS = 40


def test_the_slow_handlers_hold_nobody(world: World) -> None:
    REVENUE.clear()
    world.use(app)
    for number in range(ORDERS):
        world.put(Order(id=f"o{number}", sku="tea", count=2, total=Decimal(5)))
    world.advance("1s")
    assert len(world.delivered(revenue)) == ORDERS
    assert 5 <= len(world.delivered(reserve)) <= 10
    assert world.delivered(partner) == []
    world.advance("9s")
    assert len(world.delivered(reserve)) == ORDERS
    assert 4 <= len(world.delivered(partner)) < ORDERS
    world.settle()
    assert len(world.delivered(partner)) == ORDERS
    assert dict(REVENUE) == {"tea": Decimal(5 * ORDERS)}
    item = world.get(stock, {"sku": "tea"})
    assert item is not None
    assert item["pieces"] == -2 * ORDERS


def test_what_one_handler_cannot_do_is_no_matter_of_the_others(world: World) -> None:
    REVENUE.clear()
    world.use(app)
    world.put(Order(id="bad", sku="forbidden"))
    world.put(Order(id="good", sku="tea"))
    world.settle()
    assert sorted(world.delivered(reserve)) == ["bad", "good"]
    assert world.delivered(partner) == ["good"]
    (letter,) = world.dead_letters(partner)
    assert "the partner refuses order bad" in str(letter)
