"""Tumbling windows of Lambda functions end to end: in a test world, and through Lambda's API
of a real server.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tailrace import App
from tailrace.errors import SettingsError
from tailrace.testing import World
from tests.acceptance.lambda_shop import Shop, refused
from tests.patience import until


class Counting:
    """A function that counts the changes of each window, and notes its events. `refuses`: how many final
    invokes fail first.
    """

    def __init__(self, refuses: int = 0) -> None:
        self.events: list[dict[str, Any]] = []
        self.refuses = refuses

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        self.events.append(event)
        if event["isFinalInvokeForWindow"] and self.refuses:
            self.refuses -= 1
            raise ValueError("not now")
        return {"state": {"count": event["state"].get("count", 0) + len(event["Records"])}}

    def told(self) -> list[tuple[int, dict[str, Any], bool]]:
        """Of each invocation: how many records, the state before, whether it was the final one."""
        return [
            (len(event["Records"]), event["state"], event["isFinalInvokeForWindow"]) for event in self.events
        ]


def windowed(counting: Counting, **settings: Any) -> tuple[App, World]:
    app = App("shop")
    orders = app.table("orders", pk="id")

    def count(event: Any, context: Any) -> Any:
        return counting(event, context)

    app.function(count, orders, id="count", TumblingWindowInSeconds=60, **settings)
    return app, World(app, seed=3)


def put(app: App, world: World, *names: str) -> None:
    for name in names:
        world.put(app.tables["orders"], {"id": name})
    world.settle()


def test_a_function_is_told_its_window_and_its_state_is_carried_on() -> None:
    counting = Counting()
    app, world = windowed(counting)
    with world:
        put(app, world, "a", "b")
        put(app, world, "c")
        world.advance("3m")
    assert sum(records for records, _, is_final in counting.told() if not is_final) == 3
    *_, last = counting.events
    assert (last["Records"], last["state"], last["isFinalInvokeForWindow"]) == ([], {"count": 3}, True)
    assert [event["isFinalInvokeForWindow"] for event in counting.events].count(True) == 1
    for event in counting.events:
        assert set(event) == {
            "Records",
            "window",
            "state",
            "shardId",
            "eventSourceARN",
            "isFinalInvokeForWindow",
            "isWindowTerminatedEarly",
        }
        assert event["window"]["start"].endswith(":00Z")
        assert event["window"] == counting.events[0]["window"]
        assert event["shardId"].startswith("shardId-")
        assert event["eventSourceARN"].startswith("arn:aws:dynamodb:")
        assert event["isWindowTerminatedEarly"] is False


@pytest.mark.parametrize("ends", ["kill", "restart"])
def test_a_state_survives_the_end_of_the_process(ends: str) -> None:
    counting = Counting()
    app, world = windowed(counting)
    with world:
        put(app, world, "a")
        if ends == "kill":
            world.kill()
        world.restart()
        put(app, world, "b")
        world.advance("3m")
    assert counting.told() == [(1, {}, False), (1, {"count": 1}, False), (0, {"count": 2}, True)]


class Kept:
    """A destination that keeps what it is told."""

    def __init__(self) -> None:
        self.documents: list[tuple[dict[str, Any], dict[str, Any]]] = []

    async def deliver(self, failure: Any) -> None:
        self.documents.append((json.loads(failure.message), json.loads(failure.object)))


def test_a_final_invoke_that_is_given_up_keeps_its_state_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    monkeypatch.setattr("tailrace.sinks.making.destination_of", lambda _arn: kept)
    counting = Counting(refuses=2)
    queue = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failures"}}
    app, world = windowed(counting, MaximumRetryAttempts=1, DestinationConfig=queue)
    with world:
        put(app, world, "a")
        world.advance("5m")
        (lost,) = app.dlq("count").windows()
        assert app.dlq("count").where(key="a").windows() == [], "a choice among changes is none of windows"
        assert len(app.dlq("count")) == 0
        put(app, world, "b")
    assert (lost["state"], lost["attempts"], lost["condition"]) == (
        '{"count":1}',
        2,
        "RetryAttemptsExhausted",
    )
    assert "not now" in lost["traceback"]
    assert counting.told()[-1] == (1, {}, False), "the next window begins anew"
    ((message, whole),) = kept.documents
    final = counting.events[1]
    assert message["DDBStreamBatchInfo"] == {
        "shardId": final["shardId"],
        "streamArn": final["eventSourceARN"],
    }
    assert message["timeWindowInfo"] == final["window"]
    assert message["requestContext"]["approximateInvokeCount"] == 2
    assert message["responseContext"]["functionError"] == "Unhandled"
    assert json.loads(whole["payload"]) == final


def test_a_change_put_back_has_a_window_of_its_own() -> None:
    seen: list[dict[str, Any]] = []
    is_broken = True

    def count(event: Any, context: Any) -> Any:
        if is_broken:
            raise ValueError("not yet")
        seen.append(event)
        return {"state": {"count": event["state"].get("count", 0) + len(event["Records"])}}

    app = App("shop")
    orders = app.table("orders", pk="id")
    app.function(count, orders, id="count", TumblingWindowInSeconds=60, MaximumRetryAttempts=0)
    with World(app, seed=3) as world:
        world.put(orders, {"id": "a"})
        world.settle()
        is_broken = False
        world.advance("3m")
        assert [event["state"] for event in seen] == [{}], "the window of which nothing succeeded"
        assert app.dlq("count").redrive()["done"] == 1
    assert [
        (len(event["Records"]), event["state"], event["isFinalInvokeForWindow"]) for event in seen[1:]
    ] == [
        (1, {}, False),
        (0, {"count": 1}, True),
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"TumblingWindowInSeconds": 901},
         "TumblingWindowInSeconds: 901 is not allowed; it is a whole number from 0 to 900"),
        ({"TumblingWindowInSeconds": -1}, "TumblingWindowInSeconds: -1 is not allowed"),
        ({"TumblingWindowInSeconds": 1, "ParallelizationFactor": 2},
         "a tumbling window needs ParallelizationFactor 1"),
        ({"TumblingWindowInSeconds": 1,
          "FilterCriteria": {"Filters": [{"Pattern": '{"eventName":["INSERT"]}'}]}},
         "a tumbling window takes every record"),
        ({"TumblingWindowInSeconds": 1, "order": "key"}, "windows belong to functions"),
    ],
)  # fmt: skip
def test_what_no_window_can_be_is_refused(settings: dict[str, Any], words: str) -> None:
    app = App("shop")
    with pytest.raises(SettingsError, match=words.replace("(", r"\(")):
        app.function(lambda event, context: None, app.table("orders", pk="id"), id="count", **settings)


def test_a_mapping_made_through_lambdas_api_has_windows_and_keeps_its_state_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    shop = Shop(tmp_path, ("windows",))
    try:
        made = shop.client.create_event_source_mapping(
            EventSourceArn=shop.stream(),
            FunctionName="windows",
            StartingPosition="TRIM_HORIZON",
            TumblingWindowInSeconds=3,
        )
        assert made["TumblingWindowInSeconds"] == 3
        until(lambda: shop.state(made["UUID"]), "Enabled")
        shop.put("one")
        until(lambda: [line for line in told(shop) if line[0] == "one"], [("one", [])])
        assert shop.node.stop() == 0
        shop.start()
        until(lambda: [seen for name, seen in told(shop) if name == "final"], [["one"]])
        until(lambda: shop.client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"], "OK")
        changed = shop.client.update_event_source_mapping(UUID=made["UUID"], TumblingWindowInSeconds=900)
        assert changed["TumblingWindowInSeconds"] == 900
        words = "a tumbling window needs ParallelizationFactor 1"
        code, said, _ = refused(
            shop.client.update_event_source_mapping, UUID=made["UUID"], ParallelizationFactor=2
        )
        assert (code, words in said) == ("InvalidParameterValueException", True)
    finally:
        shop.node.stop()


def told(shop: Shop) -> list[tuple[str, list[str]]]:
    """What the function `windows` wrote: the record or "final", and the state before."""
    lines = shop.output.read_text().splitlines() if shop.output.exists() else []
    return [(name, seen) for name, seen in map(json.loads, lines)]
