"""A handler that writes to its own table, and settles, is taken for a loop (yulin #1346).

In the wild: an emulator refused the first write of a handler to the table that had called it. Handlers that
fill in an attribute, see their own change and leave it alone are common and come to rest by themselves.

Here: such writes are delivered like any other; that a handler writes to its own table is said and counted,
and only what does not come to rest is stopped.
"""

from collections.abc import Callable

from tailrace import App, Change
from tailrace.testing import World

Put = Callable[[dict[str, int | str]], None]


class Refusing:
    """The model: a table that calls a handler for every put. The mistake: a put from inside of
    it is a loop.
    """

    def __init__(self, handler: Callable[[dict[str, int | str], Put], None]) -> None:
        self.handler, self.is_calling = handler, False
        self.items: dict[str, dict[str, int | str]] = {}
        self.refused: list[dict[str, int | str]] = []

    def put(self, item: dict[str, int | str]) -> None:
        if self.is_calling:
            self.refused.append(item)
            return
        self.items[str(item["id"])] = item
        self.is_calling = True
        self.handler(item, self.put)
        self.is_calling = False


def fill_in(item: dict[str, int | str], put: Put) -> None:
    """Add what is missing; nothing to do when it is there."""
    if "total" not in item:
        put({**item, "total": int(item["n"]) * 2})


def test_the_model_refuses_the_write() -> None:
    table = Refusing(fill_in)
    table.put({"id": "a", "n": 21})
    assert table.refused
    assert "total" not in table.items["a"]


def test_ours_delivers_it_and_comes_to_rest() -> None:
    app = App("museum")
    orders = app.table("orders", pk="id")

    with World(seed=1) as world:
        client = world.client("dynamodb")

        def put(item: dict[str, int | str]) -> None:
            item = {
                name: {"S" if isinstance(value, str) else "N": str(value)} for name, value in item.items()
            }
            client.put_item(TableName="orders", Item=item)

        @app.on(orders)
        def fill(change: Change) -> None:
            fill_in(change.new, put)

        world.use(app)
        world.put(orders, {"id": "a", "n": 21})
        world.settle()
        assert world.get(orders, {"id": "a"})["total"] == 42
        assert world.delivered(fill) == ["a", "a"]
