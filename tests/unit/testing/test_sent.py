"""What sinks, handlers, windows and destinations would have sent out of a world is kept as it would go.

Rules of this file: nothing is compared but what `world.sent` tells.
"""

import json
from decimal import Decimal
from typing import Any

import boto3
import pytest

from tailrace import App, Change, Discard, Retry, Window, sinks
from tailrace.testing import World

QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"
TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"


@pytest.fixture(autouse=True)
def _is_tidy(the_process_is_as_it_was: None) -> None:
    """Before any other fixture, so that it looks when all of them have cleaned up."""


def sent_by(sink: Any, **put: Any) -> list[Any]:
    """What the sink of a table would have sent for one item that is put and removed."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.sink(orders, sink, id="out")
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1", **put})
        world.settle()
        world.delete(orders, {"id": "o1"})
        world.settle()
        assert world.lag() == 0
        return world.sent(sink)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("sink", "to", "called", "entry"),
    [
        (sinks.Sqs(QUEUE), QUEUE, ("sqs", "send_message_batch"), "MessageAttributes"),
        (sinks.Sqs("arn:aws:sqs:us-east-1:1:orders.fifo"), "https://sqs.tailrace.invalid/1/orders.fifo",
         ("sqs", "send_message_batch"), "MessageGroupId"),
        (sinks.Sns(TOPIC), TOPIC, ("sns", "publish_batch"), "MessageAttributes"),
        (sinks.EventBridge("ops", "Orders"), "ops", ("events", "put_events"), "DetailType"),
        (sinks.Webhook("https://shop.example/hook", secret="s"), "https://shop.example/hook",
         ("webhook", "post"), "headers"),
    ],
)  # fmt: skip
def test_a_sink_keeps_what_it_would_have_sent(sink: Any, to: str, called: Any, entry: str) -> None:
    put, removed = sent_by(sink, total=Decimal("10.50"))
    assert (put.to, (put.service, put.operation)) == (to, called)
    assert put.body["new"] == {"id": "o1", "total": Decimal("10.5")}
    assert (removed.body["event_name"], removed.body["old"]) == ("REMOVE", put.body["new"])
    assert entry in put.request


def test_rows_of_a_database_are_kept_and_no_server_is_asked() -> None:
    put, removed = sent_by(sinks.PostgreSQL("postgresql://me:secret@db.example/shop", "orders"), total=7)
    assert (put.to, put.service, put.operation) == ("orders", "postgresql", "put")
    assert put.body == {"id": "o1", "total": 7}
    assert (removed.operation, removed.body, removed.request["keys"]) == ("delete", None, {"id": "o1"})
    assert "secret" not in str(put.request)


def test_a_webhook_that_is_kept_is_signed_as_it_would_be() -> None:
    put, _ = sent_by(sinks.Webhook("https://shop.example/hook", secret="s"))
    assert put.request["headers"]["webhook-id"] == put.body["event_id"]
    assert put.request["headers"]["webhook-signature"].startswith("v1,")
    assert json.loads(put.request["body"])["event_id"] == put.body["event_id"]


@pytest.mark.usefixtures("credentials")
def test_a_table_elsewhere_is_not_written() -> None:
    put, removed = sent_by(sinks.DynamoDB("copies"), raw=b"\x01", tags={"a"})
    assert (put.to, put.operation) == ("copies", "put_item")
    assert {name: put.body[name] for name in ("id", "raw", "tags")} == {
        "id": "o1",
        "raw": b"\x01",
        "tags": {"a"},
    }
    assert "ConditionExpression" in put.request
    assert (removed.operation, removed.body["id"], removed.body["tailrace_deleted"]) == (
        "put_item",
        "o1",
        True,
    )
    assert not set(removed.body) & {"raw", "tags"}


@pytest.mark.usefixtures("credentials")
def test_what_a_handler_returns_is_kept_by_its_name_and_twice_when_it_is_sent_twice() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def audit(change: Change) -> dict[str, Any]:
        return {"order": change.key}

    app.sink(audit, sinks.Sqs(QUEUE))
    with World(app, seed=1) as world:
        with world.faults(crash="after-effect"):
            world.put(orders, {"id": "o1"})
            world.settle()
        bodies = [message.body for message in world.sent(audit)]
        assert bodies == [{"order": "o1"}] * len(bodies)
        assert len(bodies) >= 1


@pytest.mark.usefixtures("credentials")
def test_what_a_window_returns_is_kept() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.window(orders, by="id", at="at", every="1m")
    def minutes(window: Window[Any]) -> dict[str, Any]:
        return {"key": window.key, "count": len(window.items)}

    app.sink(minutes, sinks.Sqs(QUEUE))
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1", "at": world.moment.isoformat()})
        world.advance("3m")
        assert [message.body for message in world.sent(minutes)] == [{"key": "o1", "count": 1}]


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "arn", ["arn:aws:sqs:us-east-1:1:failed", "arn:aws:sns:us-east-1:1:failed", "arn:aws:s3:::failed"]
)
def test_an_on_failure_destination_is_told_nothing_and_what_it_would_be_told_is_kept(arn: str) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    def lambda_handler(event: Any, context: Any) -> None:
        raise ValueError("no")

    app.function(
        lambda_handler,
        orders,
        id="note",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        world.advance("1m")
        (told,) = world.sent("note")
        assert told.to.endswith("failed")
        assert told.body["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert len(world.dead_letters("note")) == 1


def test_a_destination_of_ones_own_is_called() -> None:
    told: list[Any] = []

    class Mine:
        async def deliver(self, failure: Any) -> None:
            told.append(failure.object_name)

    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(1), on_failure=Discard(to=Mine()))
    def note(change: Change) -> None:
        raise ValueError("no")

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        world.advance("1m")
        assert len(world.dead_letters(note)) == 1
    assert len(told) == 1


def test_what_a_message_must_not_be_is_refused_as_by_the_real_sink() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(1))
    def note(change: Change) -> Any:
        return {"bad": object()}

    app.sink(note, sinks.Sqs(QUEUE))
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        assert world.sent(note) == []
        (letter,) = world.dead_letters(note)
        assert "no JSON" in letter.error


@pytest.mark.usefixtures("credentials")
def test_transactions_elsewhere_are_those_of_the_worlds_engine() -> None:
    app = App("shop")
    orders, counts = app.table("orders", pk="id"), app.table("counts", pk="id")
    app.transactions(boto3.client("dynamodb"), "marks")

    @app.on(orders)
    def count(change: Change) -> None:
        change.transaction.update(counts, {"id": "all"}, "ADD n :one", values={":one": 1})

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        assert world.get(counts, {"id": "all"}) == {"id": "all", "n": 1}
