"""The shop in a test world: no sockets, no sleeping. `pytest examples/shop`."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from shop import SOLD, Latest, Line, Mailer, Order, app, audit, cheaper, mailer, receipt, sales, shop, spike

from tailrace.testing import World


def test_a_receipt_is_mailed_once_when_a_large_order_is_paid(world: World) -> None:
    post = Mailer()
    world.use(app)
    world.override(mailer, lambda: post)
    world.put(Order(id="o1", total=Decimal(150)))
    world.put(Order(id="o2", total=Decimal(50)))
    world.update(Order, id="o1", status="paid")
    world.update(Order, id="o2", status="paid")
    world.update(Order, id="o1", country="BE")
    world.settle()
    assert world.delivered(receipt) == ["o1"]
    assert list(post.sent.values()) == ["o1: thank you for 150"]


def test_a_deletion_is_noted_and_a_price_cut_counted(world: World) -> None:
    world.use(app)
    world.put(Order(id="o1", total=Decimal(20)))
    for total in (30, 25, 10):
        world.update(Order, id="o1", total=Decimal(total))
    world.delete(Order, id="o1")
    world.settle()
    assert world.delivered(cheaper) == ["o1", "o1"]
    cuts = world.get(shop, {"pk": "ORDER#o1", "sk": "CUTS"})
    assert cuts is not None
    assert cuts["cuts"] == 2
    (event,) = world.sent(audit)  # nothing leaves a world: what the sink would have sent is kept
    assert (event.to, event.request["DetailType"]) == ("ops", "OrderDeleted")
    assert (event.body["order"], event.body["was"]["total"]) == ("o1", 10)


def test_the_newest_orders_of_each_country_are_kept_beside_them(world: World) -> None:
    world.use(app)
    with world.faults(duplicates=0.5, crash="anywhere"):
        for day, country in enumerate(("NL", "BE", "NL", "NL", "NL"), start=1):
            world.put(Order(id=f"o{day}", country=country, placed_at=datetime(2026, 1, day, tzinfo=UTC)))
        world.settle()
    assert world.get(Latest, of="NL") == Latest(of="NL", orders=["o5", "o4", "o3"])
    assert world.get(Latest, of="BE") == Latest(of="BE", orders=["o2"])


def test_an_order_that_expires_is_no_deletion_of_a_person(world: World) -> None:
    world.use(app)
    world.put(
        Order(id="o9", expires_at=datetime.fromtimestamp(world.clock.now().wall_ms / 1_000 + 3_600, UTC))
    )
    world.settle()
    world.advance("2h")
    assert world.get(Order, id="o9") is None
    assert world.delivered(audit) == []


def test_sales_follow_the_orders_of_each_country(world: World) -> None:
    world.use(app)
    world.put(Order(id="o1", total=Decimal(10)))
    world.put(Order(id="o2", total=Decimal(5)))
    world.update(Order, id="o2", country="BE")
    world.update(Order, id="o1", total=Decimal(12))
    world.settle()
    assert dict(world.projected(sales)) == {"NL": Decimal(12), "BE": Decimal(5)}
    assert dict(app.projected(sales)) == dict(world.projected(sales))


def test_a_minute_with_many_orders_is_told_and_told_again_when_one_comes_late(world: World) -> None:
    world.use(app)
    minute = world.moment
    for number in range(12):
        world.put(Order(id=f"o{number}", country="NL" if number else "BE", placed_at=minute))
    world.advance("5m")
    assert world.sent(spike) == []
    world.advance("2m")
    world.put(Order(id="late", placed_at=minute))
    world.settle()
    assert [event.request["DetailType"] for event in world.sent(spike)] == ["OrderSpike", "OrderSpike"]
    assert [event.body["orders"] for event in world.sent(spike)] == [11, 12]


def test_lines_are_tallied(world: World) -> None:
    world.use(app)
    for number, sku in enumerate(("pen", "ink", "pen"), start=1):
        world.put(Line(order="o1", number=number, sku=sku, count=number))
    world.settle()
    assert SOLD == {"pen": 4, "ink": 2}
    assert (world.lag(), world.gaps()) == (0, [])


@pytest.mark.world(app)
def test_mailed_exactly_once(world: World) -> None:
    with world.faults(duplicates=0.3, crash="after-effect", reshard="4h", throttle=0.2, seed=7):
        world.put(Order(id="o1", total=Decimal(150)))
        world.update(Order, id="o1", status="paid")
        world.settle()  # runs until nothing is left to do: no sleeps, no flakes
    assert world.delivered(receipt) == ["o1"]  # the keys for which the effect was applied
    world.advance("25h")  # TTL sweeps, shard rotation and the 24-hour trim, in milliseconds
    assert world.lag() == 0
    assert world.gaps() == []


@pytest.mark.world(app)
def test_no_interleaving_breaks_it(world: World) -> None:
    world.explore(lambda: world.update(Order, id="o1", status="paid"), schedules=100)
