"""DestinationConfig of functions: what Lambda takes, what it refuses, one past the longest ARN."""

from typing import Any

import pytest

from tailrace import App
from tailrace.app.destination_config import LONGEST, destination_arn
from tailrace.errors import SettingsError

QUEUE = "arn:aws:sqs:us-east-1:000000000000:late"


def handler(event: Any, context: Any) -> None:
    """A function."""


def on_failure(arn: str) -> dict[str, Any]:
    return {"OnFailure": {"Destination": arn}}


@pytest.mark.parametrize(
    "arn",
    [QUEUE, "arn:aws:sns:us-east-1:000000000000:late", "arn:aws:s3:::late",
     QUEUE + "x" * (LONGEST - len(QUEUE))]
)  # fmt: skip
def test_queues_topics_and_buckets_are_taken(arn: str) -> None:
    app = App("shop")
    app.function(handler, app.table("orders", pk="id"), DestinationConfig=on_failure(arn))
    (mapping,) = app.mappings
    assert mapping.destination == arn


@pytest.mark.parametrize(
    "given", [None, {}, {"OnFailure": {}}, {"OnSuccess": {"Destination": QUEUE}, "OnFailure": {}}]
)
def test_nobody_is_told_without_an_arn(given: Any) -> None:
    assert destination_arn(given) is None


@pytest.mark.parametrize(
    "given",
    [
        on_failure(QUEUE + "x" * (LONGEST - len(QUEUE) + 1)), on_failure(QUEUE + ".fifo"), on_failure("late"),
        on_failure(""),
        on_failure("arn:aws:sns:us-east-1:000000000000:late.fifo"),
        on_failure("arn:aws:lambda:us-east-1:1:function:f"),
        {"OnFailure": {"Destination": 7}}, {"OnFailure": QUEUE},
        {"OnFailure": {"Destination": QUEUE, "More": 1}}, QUEUE,
        {"Failure": {}},
    ],
)  # fmt: skip
def test_what_lambda_refuses_is_refused_by_name(given: Any) -> None:
    app = App("shop")
    with pytest.raises(SettingsError, match="DestinationConfig: "):
        app.function(handler, app.table("orders", pk="id"), DestinationConfig=given)
