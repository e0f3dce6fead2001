"""The inventory in a test world. `pytest examples/inventory`."""

import pytest
from inventory import Sale, Stock, app, pager, running_low, take

from tailrace.testing import World

pytestmark = pytest.mark.world(app)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """No alert has been told yet."""
    pager.alerts.clear()


def left(world: World, sku: str = "tea") -> int:
    """How many pieces there are."""
    item = world.get(Stock, sku=sku)
    assert item is not None
    return item.pieces


def sell(world: World, number: int, count: int) -> None:
    """A sale of tea."""
    world.put(Sale(id=f"s{number}", sku="tea", count=count))


def test_an_alert_is_told_when_the_stock_falls_below_its_minimum_and_not_again(world: World) -> None:
    world.put(Stock(sku="tea", pieces=10, minimum=4))
    for number, count in enumerate((5, 2, 1)):
        sell(world, number, count)
        world.settle()
    assert left(world) == 2
    assert [(alert["order"], alert["left"]) for alert in pager.alerts] == [("tea", 3)]
    world.update(Stock, sku="tea", pieces=20)
    sell(world, 9, 17)
    world.settle()
    assert [alert["left"] for alert in pager.alerts] == [3, 3]
    assert world.delivered(running_low) == ["tea", "tea"]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_taken_twice_whatever_goes_wrong(world: World, seed: int) -> None:
    world.put(Stock(sku="tea", pieces=100, minimum=50))
    with world.faults(duplicates=0.4, crash="anywhere", reshard="1h", throttle=0.2, seed=seed):
        for number in range(10):
            sell(world, number, 4)
        world.settle()
    assert left(world) == 60
    assert sorted(world.delivered(take)) == [f"s{number}" for number in range(10)]


def test_a_sale_of_what_is_not_there_waits_until_it_is(world: World) -> None:
    world.put(Stock(sku="tea", pieces=3))
    sell(world, 1, 5)
    sell(world, 2, 2)
    world.settle()
    assert left(world) == 1
    (letter,) = world.dead_letters(take)
    assert letter.change.key == "s1"
    assert "ConditionalCheckFailed" in letter.error
    world.update(Stock, sku="tea", pieces=8)
    world.dlq(take).redrive()
    world.settle()
    assert (left(world), world.dead_letters(take)) == (3, [])


def test_no_order_of_two_sales_sells_what_is_not_there(world: World) -> None:
    world.put(Stock(sku="tea", pieces=3))
    world.settle()

    def two_sales() -> None:
        sell(world, 1, 3)
        sell(world, 2, 1)

    def check() -> None:
        assert left(world) >= 0
        assert left(world) == 3 - sum(3 if key == "s1" else 1 for key in world.delivered(take))

    world.explore(two_sales, check=check, schedules=200)
    world.allow_failures(take)  # in every order one of the two waits, since the shelf is empty
