"""Sinks that are opened and closed, under whole workers.

Rules of this file: what is done to a sink is noted in order.
"""

from tailrace import App, Change
from tailrace.errors import Unavailable
from tailrace.testing import World
from tests.unit.sinks.noted import Noted


def test_a_sink_is_opened_with_the_clock_of_the_world_before_its_first_write_and_closed_with_it() -> None:
    app, noted = App("shop"), Noted()
    orders, archive = app.table("orders", pk="id"), app.table("archive", pk="id")
    app.sink(orders, noted)
    app.sink(archive, noted)
    with World(app) as world:
        world.settle()
        assert noted.done == []
        for number in range(3):
            world.put(orders, {"id": f"o{number}"})
            world.settle()
        world.put(archive, {"id": "a"})
        world.settle()
        assert noted.done == ["open", "write", "write", "write", "write"]
        assert noted.clocks == [world.clock]
    assert set(noted.done[5:]) == {"close"}


def test_no_handler_is_called_while_its_sink_cannot_be_opened() -> None:
    app, noted = App("shop"), Noted(Unavailable("away"), OSError("still away"))
    orders = app.table("orders", pk="id")
    called: list[str] = []

    @app.on(orders)
    def confirm(change: Change) -> str:
        called.append(str(change.key))
        return "confirmed"

    app.sink(confirm, noted)
    with World(app) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        assert called == ["o1"]
        assert noted.done == ["open", "open", "open", "write"]


def test_a_worker_that_is_started_anew_opens_a_sink_anew() -> None:
    app, noted = App("shop"), Noted()
    orders = app.table("orders", pk="id")
    app.sink(orders, noted)
    with World(app) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        world.restart()
        world.put(orders, {"id": "o2"})
        world.settle()
        assert [call for call in noted.done if call != "close"] == ["open", "write", "open", "write"]
