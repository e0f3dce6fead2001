"""The least that IAM has to allow: each action that is called, on what the app names, and no star beside."""

import re
from typing import Any

import pytest

from tailrace import sinks
from tailrace.app.app import App
from tailrace.app.on_failure import Discard
from tailrace.entry.permissions import permissions_of
from tailrace.ports import Written

HERE = "arn:aws:dynamodb:us-east-1:123456789012"


def allowed(
    app: App, role: str = "function", state: str | None = None
) -> dict[str, tuple[list[str], list[str]]]:
    """What a role is allowed, by purpose: actions and resources."""
    value = permissions_of(app, state, "123456789012").value()[role]
    assert value["Version"] == "2012-10-17"
    return {
        statement["Sid"]: (statement["Action"], statement["Resource"]) for statement in value["Statement"]
    }


def shop(sink: Any = None) -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.on(orders, id="audit")(lambda change: change)
    if sink is not None:
        app.sink("audit", sink)
    return app


@pytest.mark.parametrize("role", ["worker", "function"])
def test_streams_are_read_of_the_tables_that_have_handlers(role: str) -> None:
    app = shop()
    app.table("users", pk="id")
    there = app.table("orders", pk="id", region="eu-west-1", account="210987654321")
    app.on(there, id="there")(lambda change: None)
    streams = [
        "arn:aws:dynamodb:eu-west-1:210987654321:table/orders/stream/*",
        f"{HERE}:table/orders/stream/*",
    ]
    granted = allowed(app, role)
    assert granted["ReadStreams"] == (
        ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
        streams,
    )
    assert granted["ListStreams"] == (["dynamodb:ListStreams"], streams)


def test_only_a_worker_describes_tables_and_only_a_function_asks_for_mappings() -> None:
    worker, function = allowed(shop(), "worker"), allowed(shop(), "function")
    assert worker.keys() - function.keys() == {"DescribeTables"}
    assert function.keys() - worker.keys() == {"AskMappings", "WriteLogs"}


def test_state_is_kept_in_its_table_and_never_scanned() -> None:
    actions, resources = allowed(shop(), state="dynamodb:state")["KeepState"]
    assert resources == [f"{HERE}:table/state"]
    assert "dynamodb:ConditionCheckItem" in actions
    assert "dynamodb:Scan" not in actions
    assert "KeepState" not in allowed(shop())
    assert "KeepState" not in allowed(shop(), state="postgres://somewhere")


def test_marks_elsewhere_are_kept_there() -> None:
    app = shop()
    app.transactions(object(), "marks")
    assert allowed(app)["KeepMarks"][1] == [f"{HERE}:table/marks"]
    assert "KeepMarks" not in allowed(app, state="dynamodb:marks")


SQS, SNS = "arn:aws:sqs:us-east-1:123456789012:placed", "arn:aws:sns:us-east-1:123456789012:placed"
ELSEWHERE = "https://sqs.eu-west-1.amazonaws.com/210987654321/placed"
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/shop"


@pytest.mark.parametrize(
    ("sink", "sid", "action", "resource"),
    [
        (
            sinks.Sqs(ELSEWHERE),
            "SendToQueues",
            "sqs:SendMessage",
            "arn:aws:sqs:eu-west-1:210987654321:placed",
        ),
        (sinks.Sqs(SQS), "SendToQueues", "sqs:SendMessage", SQS),
        (sinks.Sns(SNS), "PublishToTopics", "sns:Publish", SNS),
        (sinks.EventBridge("shop"), "PutEvents", "events:PutEvents", BUS),
        (sinks.DynamoDB("copies"), "CopyItems", "dynamodb:PutItem", f"{HERE}:table/copies"),
    ],
)
def test_a_sink_is_allowed_what_it_calls(sink: Any, sid: str, action: str, resource: str) -> None:
    for role in ("worker", "function"):
        actions, resources = allowed(shop(sink), role)[sid]
        assert action in actions
        assert resources == [resource]


@pytest.mark.parametrize("sink", [sinks.Webhook("https://example.com"), sinks.Function(print)])
def test_a_sink_that_calls_nothing_of_aws_is_allowed_nothing(sink: Any) -> None:
    assert allowed(shop(sink)) == allowed(shop())
    assert not any("is not known" in note for note in permissions_of(shop(sink)).notes)


@pytest.mark.parametrize(
    ("destination", "sid", "resource"),
    [
        (
            "arn:aws:sqs:us-east-1:123456789012:failed",
            "SendToQueues",
            "arn:aws:sqs:us-east-1:123456789012:failed",
        ),
        (
            "arn:aws:sns:us-east-1:123456789012:failed",
            "PublishToTopics",
            "arn:aws:sns:us-east-1:123456789012:failed",
        ),
        ("arn:aws:s3:::failed", "PutObjects", "arn:aws:s3:::failed/*"),
        (sinks.S3("failed"), "PutObjects", "arn:aws:s3:::failed/*"),
    ],
)
def test_destinations_of_failures_are_allowed(destination: Any, sid: str, resource: str) -> None:
    app = App("shop")
    app.on(app.table("orders", pk="id"), id="audit", on_failure=Discard(to=destination))(lambda change: None)
    assert allowed(app)[sid][1] == [resource]


def test_several_sinks_of_one_kind_are_one_statement_with_each_resource_once() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    for name in ("one", "two", "one"):
        app.sink(orders, sinks.DynamoDB(name), id=f"{name}-{len(app.mappings)}")
    assert allowed(app)["CopyItems"][1] == [f"{HERE}:table/one", f"{HERE}:table/two"]


def test_what_is_not_in_it_is_said() -> None:
    class Mine:
        async def write(self, batch: Any) -> Any:
            return Written()

    notes = permissions_of(shop(Mine())).notes
    assert any("audit call themselves" in note for note in notes)
    assert any("Mine of audit calls is not known" in note for note in notes)
    assert any("no state table was named" in note for note in notes)
    assert any("'sqlite:state' is no table" in note for note in permissions_of(shop(), "sqlite:state").notes)


def test_nothing_but_what_cannot_be_narrowed_is_allowed_on_everything() -> None:
    value = permissions_of(shop(sinks.EventBridge("shop")), "dynamodb:state", "123456789012").value()
    stars = {
        statement["Sid"]
        for role in ("worker", "function")
        for statement in value[role]["Statement"]
        if "*" in statement["Resource"]
    }
    assert stars == {"AskMappings"}
    for role in ("worker", "function"):
        for statement in value[role]["Statement"]:
            assert all(re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action) for action in statement["Action"])
