"""Poison is no outage: failing items step aside, and where everything fails alike a mapping pauses instead of
wearing out what waits.
"""

import pytest

from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.on_failure import Park
from tailrace.app.retry import Retry
from tailrace.app.table import Table
from tailrace.testing.world import World


class Shop:
    """An app whose handler fails for the items in `poison`, or for all of them while it `is_broken`."""

    def __init__(self, on_failure: Park | None = None, attempts: int = 5) -> None:
        self.app = App("shop")
        self.orders: Table = self.app.table("orders", pk="id")
        self.poison: set[str] = set()
        self.is_broken = False
        self.handled: list[str] = []
        self.tried: list[str] = []

        @self.app.on(self.orders, id="note", on_failure=on_failure or Park.key, retry=Retry(attempts))
        def note(change: Change) -> None:
            name = str(change.keys["id"])
            self.tried.append(name)
            if self.is_broken or name in self.poison:
                raise KeyError(name)
            self.handled.append(name)


def put(world: World, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}{number}" for number in range(count)]
    for name in names:
        world.put("orders", {"id": name})
    return names


def paused(world: World) -> str | None:
    (handler,) = world._ask("status", {})[0]["handlers"]
    return str(handler["pause_reason"]) if handler["paused"] else None


def test_twenty_five_poison_items_hold_up_none_of_three_hundred_good_ones() -> None:
    """Fault 1.10: ten poison items were taken for an outage; everybody waited, and nothing was parked."""
    shop = Shop()
    with World(shop.app) as world:
        shop.poison = set(put(world, "bad", 25))
        good = put(world, "good", 300)
        world.advance("1s")
        assert sorted(shop.handled) == sorted(good)
        world.settle()
        assert {letter["key"] for letter in world.dlq("note")} == shop.poison
        assert paused(world) is None


def test_a_handler_that_raises_for_fifty_items_parks_them_and_is_no_outage() -> None:
    """Fault 2.6."""
    shop = Shop(attempts=1)
    shop.is_broken = True
    with World(shop.app) as world:
        put(world, "o", 50)
        world.settle()
        assert len(world.dlq("note")) == 50


@pytest.fixture
def broken() -> Shop:
    shop = Shop(Park(max_keys=100), attempts=0)
    shop.is_broken = True
    return shop


def test_where_all_fail_alike_and_no_more_can_be_parked_a_mapping_pauses_and_samples(broken: Shop) -> None:
    with World(broken.app) as world:
        put(world, "o", 500)
        world.advance("1s")
        tried = len(broken.tried)
        assert 100 < tried <= 300, "what was at the handler when the hundredth failed, and no more"
        assert "KeyError" in (paused(world) or "")
        world.advance("10m")
        assert len(broken.tried) == tried + 10, "one key a minute"
        assert len(set(broken.tried)) == tried + 10, "that was never tried"
        broken.is_broken = False
        world.advance("61s")
        assert paused(world) is None
        assert len(broken.handled) == 400
        assert len(world.dlq("note")) == 100


def test_another_version_of_the_code_goes_on_and_puts_back_what_failed(
    broken: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_CODE_VERSION", "one")
    with World(broken.app) as world:
        names = put(world, "o", 500)
        world.advance("1s")
        broken.is_broken = False
        monkeypatch.setenv("TAILRACE_CODE_VERSION", "two")
        world.restart()
        world.settle()
        assert paused(world) is None
        assert sorted(broken.handled) == sorted(names)
        assert not world.dlq("note")


def test_the_same_version_stays_paused_after_a_restart(broken: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_CODE_VERSION", "one")
    with World(broken.app, allow_failures=True) as world:
        put(world, "o", 500)
        world.advance("1s")
        tried = len(broken.tried)
        world.restart()
        world.advance("30s")
        assert len(broken.tried) == tried + 1, "one sample at the start"
        assert paused(world) is not None


def test_resume_lets_a_mapping_go_on_that_has_paused_by_itself(broken: Shop) -> None:
    with World(broken.app, allow_failures=True) as world:
        put(world, "o", 500)
        world.advance("1s")
        broken.is_broken = False
        world._ask("resume", {"handler": "note"})
        world.settle()
        assert len(broken.handled) == 400
        assert paused(world) is None
