"""AWS's metrics at the events that they count. Source: semantics §2.12; the invocations of each case are
those of §2.5.
"""

from typing import Any

import pytest

from tailrace import App, Change, Discard, Retry, Throttled
from tailrace.errors import SinkError
from tailrace.runtime.attempts import Tally
from tailrace.telemetry import AWS_METRICS, METRICS
from tailrace.testing import World

ZERO = dict.fromkeys((metric.name for metric in AWS_METRICS), 0)


def counted(world: World) -> dict[str, int]:
    """What `status --json` says of the only handler, without what depends on time."""
    (status,) = world._ask("status", {})
    (handler,) = status["handlers"]
    metrics: dict[str, int] = handler["aws_metrics"]
    assert metrics.pop("ConcurrentExecutions") == 0
    del metrics["Duration"], metrics["IteratorAge"]
    return {name: count for name, count in metrics.items() if count}


def poisoned(reports: bool = False, poison: str = "2", **settings: Any) -> tuple[App, Any]:
    """A function that fails for one item of four, by raising or by reporting it."""
    app = App("shop")
    orders = app.table("orders", pk="id")

    def lambda_handler(event: Any, context: Any) -> Any:
        for record in event["Records"]:
            if record["dynamodb"]["Keys"]["id"]["S"] == poison:
                if not reports:
                    raise ValueError("no")
                return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
        return None

    if reports:
        settings["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
    app.function(lambda_handler, orders, id="note", MaximumBatchingWindowInSeconds=5, **settings)
    return app, orders


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # [1,2,3,4] [1,2] [1] [2] [2] [3,4]
        ({"BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 1},
         {"Invocations": 6, "Errors": 4, "InvokedEventCount": 11, "FailedInvokeEventCount": 8,
          "DroppedEventCount": 1}),
        # [1,2,3,4] ×3
        ({"MaximumRetryAttempts": 2},
         {"Invocations": 3, "Errors": 3, "InvokedEventCount": 12, "FailedInvokeEventCount": 12,
          "DroppedEventCount": 4}),
        # [1,2,3,4] [2,3,4] [2,3,4]: answers that report failures are no errors
        ({"reports": True, "MaximumRetryAttempts": 1},
         {"Invocations": 3, "InvokedEventCount": 10, "FailedInvokeEventCount": 9, "DroppedEventCount": 3}),
        # [1,2,3,4] [2,3,4] [2] [2] [3,4]
        ({"reports": True, "BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 1},
         {"Invocations": 5, "InvokedEventCount": 11, "FailedInvokeEventCount": 8, "DroppedEventCount": 1}),
        # [1,2,3,4]
        ({"poison": "none"}, {"Invocations": 1, "InvokedEventCount": 4}),
        # [1,3,4]: a filter keeps one away
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"dynamodb": {"Keys": {"id": '
            '{"S": [{"anything-but": "2"}]}}}}'}]}},
         {"Invocations": 1, "InvokedEventCount": 3, "FilteredOutEventCount": 1}),
    ],
)  # fmt: skip
def test_a_batch_of_four_counts_what_awss_metrics_would(
    settings: dict[str, Any], expected: dict[str, int]
) -> None:
    app, orders = poisoned(**settings)
    with World(app, seed=1) as world:
        for number in "1234":
            world.put(orders, {"id": number})
        world.settle()
        assert counted(world) == {"PolledEventCount": 4, **expected}
        assert len(world.dead_letters("note")) == expected.get("DroppedEventCount", 0)  # AWS's are gone


class Refusing:
    """A destination that refuses at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def deliver(self, failure: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SinkError("access denied")


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        (0, {"OnFailureDestinationDeliveredEventCount": 1}),
        (
            2,
            {
                "OnFailureDestinationDeliveredEventCount": 1,
                "DestinationDeliveryFailures": 2,
                "DroppedEventCount": 1,
            },
        ),
    ],
)
def test_a_destination_counts_what_it_was_told_and_what_aws_would_have_lost(
    refusals: int, expected: dict[str, int]
) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(1), on_failure=Discard(to=Refusing(refusals)), id="note")
    def note(change: Change) -> None:
        raise ValueError("no")

    with World(app, seed=1) as world:
        world.put(orders, {"id": "1"})
        world.settle()
        world.advance("1m")
        calls = {"Invocations": 2, "Errors": 2, "InvokedEventCount": 2, "FailedInvokeEventCount": 2}
        assert counted(world) == {"PolledEventCount": 1, **calls, **expected}
        assert len(world.dead_letters("note")) == 1  # kept whatever the destination says


def test_a_throttled_call_is_no_invocation_and_a_parked_change_is_not_dropped() -> None:
    app, answers = App("shop"), [Throttled("later"), ValueError("no")]
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0), id="note")
    def note(change: Change) -> None:
        raise answers.pop(0)

    with World(app, seed=1, allow_failures=True) as world:
        world.put(orders, {"id": "1"})
        world.settle()
        calls = {
            "Throttles": 1,
            "Invocations": 1,
            "Errors": 1,
            "InvokedEventCount": 2,
            "FailedInvokeEventCount": 2,
        }
        assert counted(world) == {"PolledEventCount": 1, **calls}


def test_the_iterator_age_is_that_of_the_last_record_of_the_batch() -> None:
    app, orders = poisoned(poison="none")
    with World(app, seed=1) as world:
        world.put(orders, {"id": "1"})
        world.advance("2s")
        world.put(orders, {"id": "2"})
        world.settle()
        age_ms = world._running[0].worker.tallies.of("note").iterator_age_ms
        assert 3_000 <= age_ms <= 3_100  # the window of five seconds began with the first


def test_every_metric_of_awss_that_applies_is_a_metric_of_ours_and_a_number_of_the_tally() -> None:
    assert {metric.metric for metric in AWS_METRICS} <= {metric.name for metric in METRICS}
    assert {metric.member for metric in AWS_METRICS} <= set(Tally.__struct_fields__)
    assert set(ZERO) == {
        "Invocations",
        "Errors",
        "Throttles",
        "Duration",
        "ConcurrentExecutions",
        "IteratorAge",
        "DestinationDeliveryFailures",
        "PolledEventCount",
        "FilteredOutEventCount",
        "InvokedEventCount",
        "FailedInvokeEventCount",
        "DroppedEventCount",
        "OnFailureDestinationDeliveredEventCount",
    }
