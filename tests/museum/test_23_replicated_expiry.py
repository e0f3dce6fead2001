"""The expiry of an item is handled once in every region (aws-lambda-stream #426).

In the wild: handlers in each region of a global table skipped what came from another region by looking at the
new image. A deletion has none. The expiry of an item, which reaches the other regions as a plain deletion,
took effect in all of them.

Here: `change.origin` says "ttl" where the item expired, and "replica" elsewhere: for a deletion it asks the
image of before.
"""

from typing import Any

from tailrace import App, Change
from tailrace.app.change import REPLICATED_FROM
from tailrace.testing import World

HOME, HERE = "eu-west-1", "us-east-1"


def origin(record: dict[str, Any]) -> str:
    """The model. The mistake: only a new image is asked where it comes from."""
    region = record["dynamodb"].get("NewImage", {}).get(REPLICATED_FROM, {}).get("S", HERE)
    return "user" if region == HERE else "replica"


def play() -> tuple[list[str], list[str]]:
    """An item of the other region arrives here and is deleted. Returns: what the model and what ours takes
    for made here.
    """
    app = App("museum")
    orders = app.table("orders", pk="id")
    model: list[str] = []
    ours: list[str] = []

    @app.on(orders)
    def handle(change: Change) -> None:
        images = {"NewImage": change.raw_new} if change.raw_new else {}
        if origin({"dynamodb": images}) == "user":
            model.append(change.event_name)
        if change.origin == "user":
            ours.append(change.event_name)

    with World(app, seed=1) as world:
        world.put(orders, {"id": "a", REPLICATED_FROM: HOME})
        world.delete(orders, {"id": "a"})
        world.settle()
        assert world.delivered(handle) == ["a", "a"]
    return model, ours


def test_the_model_takes_the_other_regions_deletion_for_its_own() -> None:
    assert play()[0] == ["REMOVE"]


def test_ours_knows_where_a_deletion_comes_from() -> None:
    assert play()[1] == []
