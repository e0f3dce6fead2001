"""What windows hold is forgotten by the day, and not while one of them can still be told."""

from datetime import UTC, datetime
from typing import Any

from tailrace import App, Item, Window
from tailrace.testing import World

ELEVEN = datetime(2026, 1, 1, 23, tzinfo=UTC)


class Told:
    """An app with windows, in a world that begins an hour before midnight, and the last word on each."""

    def __init__(self, **window: Any) -> None:
        app = App("shop")
        orders = app.table("orders", pk="id")

        class Order(Item, table=orders):
            id: str
            placed: datetime

        self.order = Order
        self.words: dict[str, str] = {}

        @app.window(Order, at=Order.placed, id="told", **window)
        def told(window: Window[Any]) -> None:
            self.words[f"{window.start:%H:%M}"] = " ".join(order.id for order in window)

        self.world = World(app, seed=1, start_ms=int(ELEVEN.timestamp()) * 1_000)

    def put(self, id: str) -> None:
        self.world.put(self.order(id=id, placed=self.world.moment))

    def rows(self) -> int:
        return sum(
            self.world.engine.state.count(f"window-{kind}/") for kind in ("item", "member", "day", "told")
        )


def test_a_correction_across_midnight_has_what_came_before_it() -> None:
    shop = Told(every="10m", length="30m", keep="25m")
    with shop.world as world:
        world.advance("55m")
        shop.put("a")
        world.advance("20m")
        shop.put("b")
        world.advance("46m")  # the hour before midnight is looked through meanwhile
        assert shop.words["23:50"] == "a b"
        world.delete(shop.order, id="b")
        world.advance("1m")
        assert shop.words["23:50"] == "a"
        world.advance("48h")
        assert shop.rows() == 0


def test_a_session_that_goes_on_for_longer_than_it_is_corrected_is_told_whole() -> None:
    shop = Told(gap="30m", keep="0s")
    with shop.world as world:
        for number in range(20):
            shop.put(f"v{number}")
            world.advance("20m")
        world.advance("1h")
        assert shop.words == {"23:00": " ".join(f"v{number}" for number in range(20))}
        world.advance("24h")
        assert shop.rows() <= 3 * 20 - 1  # of the first day nothing is left
        world.advance("24h")
        assert shop.rows() == 0
