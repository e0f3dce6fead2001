"""Receipts in a test world. `pytest examples/receipts`."""

from decimal import Decimal

import pytest
from receipts import Order, Refused, app, decide, deliver, mailer, outbox

from tailrace.testing import World

pytestmark = pytest.mark.world(app)


class Post:
    """A mail server that a test can break."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self.calls = 0
        self.is_down = False
        self.unknown: set[str] = set()

    async def send(self, address: str, text: str, *, key: str) -> None:
        """Send a mail, once for each key."""
        self.calls += 1
        if self.is_down:
            raise ConnectionError("connection refused")
        if address in self.unknown:
            raise Refused(address)
        self.sent.setdefault(key, f"{address} {text}")


@pytest.fixture
def post(world: World) -> Post:
    """The mail server of the world."""
    made = Post()
    world.override(mailer, lambda: made)
    return made


def pay(world: World, number: int) -> None:
    """An order comes and is paid."""
    world.put(Order(id=f"o{number}", address=f"a{number}@example.org", total=Decimal(number)))
    world.update(Order, id=f"o{number}", status="paid")


def test_a_receipt_is_mailed_when_an_order_is_paid(world: World, post: Post) -> None:
    pay(world, 1)
    world.update(Order, id="o1", total=Decimal(2))
    world.settle()
    assert list(post.sent.values()) == ["a1@example.org o1: 1 paid, thank you"]


@pytest.mark.parametrize("seed", range(3))
def test_each_order_has_one_receipt_whatever_goes_wrong(world: World, post: Post, seed: int) -> None:
    with world.faults(
        duplicates=0.3, crash="anywhere", reshard="1h", throttle=0.2, outage="5m", slow="5s", seed=seed
    ):
        for number in range(4):
            pay(world, number)
        world.settle()
    assert len(world.scan(outbox)) == 4
    assert sorted(world.delivered(decide)) == ["o0", "o1", "o2", "o3"]
    assert len(post.sent) == 4
    assert post.calls >= 4, "a mail may be sent twice, with the same key"


def test_a_mail_server_that_is_down_costs_time_and_no_receipt(world: World, post: Post) -> None:
    post.is_down = True
    for number in range(3):
        pay(world, number)
    world.advance("3h")
    assert (post.sent, world.dead_letters(deliver)) == ({}, [])
    post.is_down = False
    world.settle()
    assert len(post.sent) == 3


def test_an_address_that_is_refused_waits_alone_and_is_put_back(world: World, post: Post) -> None:
    post.unknown = {"a1@example.org"}
    for number in range(3):
        pay(world, number)
    world.settle()
    (letter,) = world.dead_letters(deliver)
    assert letter.error == "Refused: a1@example.org"
    assert len(post.sent) == 2
    post.unknown.clear()
    world.dlq(deliver).where(error="Refused*").redrive()
    world.settle()
    assert len(post.sent) == 3
