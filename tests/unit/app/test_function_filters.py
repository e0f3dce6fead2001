"""Filter criteria of functions in a world: what they stop is settled and never handled."""

from typing import Any

import pytest

from tailrace import App
from tailrace.errors import SettingsError
from tailrace.testing import World

PAID = {
    "Filters": [
        {"Pattern": '{"eventName": ["MODIFY"], "dynamodb": {"NewImage": {"status": {"S": ["paid"]}}}}'}
    ]
}


def test_a_function_is_invoked_with_what_its_filters_let_through_and_nothing_is_left_behind() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    seen: list[tuple[str, str]] = []

    def handler(event: dict[str, Any], context: object) -> None:
        for record in event["Records"]:
            image = record["dynamodb"]["NewImage"]
            seen.append((image["id"]["S"], image["status"]["S"]))

    app.function(handler, orders, id="paid", FilterCriteria=PAID)
    with World(app, seed=1) as world:
        for name in ("o1", "o2"):
            world.put(orders, {"id": name, "status": "new"})
        world.update(orders, {"id": "o1"}, status="paid")
        world.update(orders, {"id": "o1"}, status="sent")
        world.settle()
        assert seen == [("o1", "paid")]
        assert world.lag() == 0
        assert app.explain("paid").patterns == (
            {"eventName": ["MODIFY"], "dynamodb.NewImage.status.S": ["paid"]},
        )
        world.restart()
        world.settle()
        assert seen == [("o1", "paid")]


def test_a_wrong_pattern_is_refused_when_the_app_is_loaded() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    with pytest.raises(
        SettingsError,
        match=r"FilterCriteria.Filters\[0\]: Invalid filter pattern definition. Filter is not an object",
    ):
        app.function(
            lambda event, context: None, orders, id="f", FilterCriteria={"Filters": [{"Pattern": "[]"}]}
        )
