"""A handler that gives up fails the test that did not look: by the fixture, and at the end
of a `with` block.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tailrace import App, Change, Discard, Retry, sinks
from tailrace.testing import NotLookedAt, World

pytest_plugins = ["pytester"]


class Shop:
    """A handler that cannot do it."""

    def __init__(self, on_failure: Any = None) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.broken = True

        @self.app.on(
            self.orders,
            id="receipt",
            retry=Retry(1),
            **({} if on_failure is None else {"on_failure": on_failure}),
        )
        def receipt(change: Change) -> None:
            if self.broken and not change.key.startswith("good"):
                raise KeyError("mail")

        self.receipt = receipt

    def play(self, act: Callable[[World], object] = lambda world: None, **settings: Any) -> None:
        with World(self.app, seed=1, **settings) as world:
            world.put(self.orders, {"id": "o1"})
            world.put(self.orders, {"id": "o1", "again": 1})
            world.settle()
            act(world)


@pytest.mark.parametrize(
    "on_failure", [None, Discard(to=sinks.Sqs("https://sqs.us-east-1.amazonaws.com/1/failed"))]
)
def test_a_world_that_ends_with_dead_letters_that_nobody_looked_at_fails(on_failure: Any) -> None:
    with pytest.raises(NotLookedAt) as caught:
        Shop(on_failure).play()
    said = str(caught.value)
    assert "receipt ← orders/o1: KeyError: 'mail' (2 attempts)" in said
    assert "world.dead_letters(handler)" in said
    assert "allow_failures" in said
    assert "replays this" not in said


LOOKS: dict[str, Callable[[Shop, World], object]] = {
    "dead_letters": lambda shop, world: world.dead_letters(shop.receipt),
    "dlq": lambda shop, world: world.dlq("receipt"),
    "app.dlq": lambda shop, world: len(shop.app.dlq(shop.receipt)),
    "failures": lambda shop, world: world.failures(shop.receipt),
    "allow_failures": lambda shop, world: world.allow_failures(),
    "allow_failures of it": lambda shop, world: world.allow_failures(shop.receipt),
}


@pytest.mark.parametrize("look", LOOKS)
def test_who_looked_at_them_knows(look: str) -> None:
    shop = Shop()
    shop.play(lambda world: LOOKS[look](shop, world))


def test_a_world_may_allow_all_failures_from_its_beginning() -> None:
    Shop().play(allow_failures=True)


def test_what_was_put_back_and_handled_is_no_failure() -> None:
    shop = Shop()

    def mend(world: World) -> None:
        shop.broken = False
        shop.app.dlq("receipt").redrive()

    shop.play(mend)


def test_what_is_given_up_after_the_test_looked_is_news() -> None:
    shop = Shop()

    def another(world: World) -> None:
        world.dead_letters(shop.receipt)
        world.put(shop.orders, {"id": "o2"})
        world.settle()

    with pytest.raises(NotLookedAt, match=re.escape("orders/o2")) as caught:
        shop.play(another)
    assert "orders/o1" not in str(caught.value)


def test_a_killed_world_still_knows_them() -> None:
    with pytest.raises(NotLookedAt):
        Shop().play(lambda world: world.kill())


def test_a_test_that_fails_itself_says_only_that() -> None:
    def fail(world: World) -> None:
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        Shop().play(fail)


def test_many_are_counted_and_some_are_named() -> None:
    shop = Shop()

    def more(world: World) -> None:
        for number in range(15):
            for kind in ("poison", "good", "good too"):
                world.put(shop.orders, {"id": f"{kind} {number}"})
            world.settle()

    with pytest.raises(NotLookedAt, match="gave up on 16 changes") as caught:
        shop.play(more)
    assert "and 6 more" in str(caught.value)


MODULE = """
import pytest
from tailrace import App, Change, Retry
app = App("shop")
orders = app.table("orders", pk="id")
@app.on(orders, retry=Retry(1))
def receipt(change: Change) -> None:
    raise KeyError("mail")
def play(world):
    world.put(orders, {"id": "o1"})
    world.settle()
"""


def test_the_fixture_fails_the_test_itself_and_names_handler_key_and_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        MODULE
        + """
def test_green(world):
    world.use(app)
    play(world)
def test_looks(world):
    world.use(app)
    play(world)
    assert len(world.dead_letters(receipt)) == 1
@pytest.mark.world(app, allow_failures=True)
def test_allows(world):
    play(world)
"""
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*receipt ← orders/o1: KeyError: 'mail' (2 attempts)*", "*--tailrace-seed*"])
