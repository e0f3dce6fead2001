"""Where a new function begins: with the oldest record of its table's stream, or behind everything that is there."""

from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.testing import World

SEEN: list[str] = []


def note(event: dict[str, Any], context: Any) -> None:
    SEEN.extend(record["dynamodb"]["Keys"]["id"]["S"] for record in event["Records"])


@pytest.mark.parametrize(
    ("position", "expected"),
    [("TRIM_HORIZON", ["old", "older", "new", "newer"]), ("LATEST", ["new", "newer"])],
)
def test_a_new_function_begins_at_its_starting_position_and_goes_on_from_there(
    position: str, expected: list[str]
) -> None:
    SEEN.clear()
    first, late = App("first"), App("late")
    orders = first.table("orders", pk="id")
    late.function(note, late.table("orders", pk="id"), id="note", StartingPosition=position)
    with World(first) as world:
        world.put(orders, {"id": "old"})
        world.split(orders)
        world.put(orders, {"id": "older"})
        world.settle()
        world.use(late)
        world.put(orders, {"id": "new"})
        world.settle()
        world.restart()  # known by now: it goes on at its checkpoint
        world.put(orders, {"id": "newer"})
        world.settle()
        assert world.lag() == 0
        assert world.gaps() == []
    assert sorted(SEEN) == sorted(expected)
    assert SEEN[-1] == "newer"
