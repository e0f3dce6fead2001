"""What the source of a handler shows about writes to the table that it reads."""

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import App, Change, by_ttl, sinks
from tailrace.cli.own_writes import own_writes

app = App("shop")
orders, notes = app.table("orders", pk="id"), app.table("notes", pk="id")
NAME = "orders"
client: Any = None


class Resource:
    """boto3's object of a table."""

    table_name = "orders"

    def put_item(self, **item: Any) -> None: ...


table = Resource()


def recorded(change: Change) -> None:
    change.transaction.put(orders, {"id": "o1"})


def recorded_by_name(change: Change) -> None:
    change.transaction.update("orders", {"id": "o1"}, "SET a = :a", values={":a": 1})


def recorded_where_it_came_from(change: Change) -> None:
    change.transaction.delete(change.table, {"id": "o1"})


def through_a_client(change: Change) -> None:
    client.put_item(TableName=NAME, Item={})


def through_a_batch(change: Change) -> None:
    client.batch_write_item(RequestItems={orders.name: []})


def through_a_resource(change: Change) -> None:
    table.put_item(Item={})


def elsewhere(change: Change) -> None:
    change.transaction.put(notes, {"id": "orders"})
    client.put_item(TableName="notes", Item={"what": {"S": "orders"}})
    client.get_item(TableName="orders", Key={})
    change.transaction.check(orders, {"id": "o1"}, "a = b")


def said(handler: Callable[..., Any], **settings: Any) -> list[str]:
    """The warnings of a handler of the orders."""
    own = App("shop")
    own.tables["orders"] = orders
    own.on(orders, **settings)(handler)
    (mapping,) = own.mappings
    return list(own_writes(mapping))


@pytest.mark.parametrize(
    "handler",
    [
        recorded,
        recorded_by_name,
        recorded_where_it_came_from,
        through_a_client,
        through_a_batch,
        through_a_resource,
    ],
)
def test_a_write_to_the_handlers_own_table_is_seen(handler: Callable[..., Any]) -> None:
    (text,) = said(handler)
    line = handler.__code__.co_firstlineno + 1
    assert text.startswith(
        f"line {line} of it writes to orders, which it reads: what it writes calls it again. After 16"
    )


def test_reads_and_writes_elsewhere_are_no_reason_to_warn() -> None:
    assert said(elsewhere) == []
    assert said(len) == []  # a callable without source


def test_a_filter_is_told_as_what_it_is_a_maybe() -> None:
    (text,) = said(recorded, where=~by_ttl(), max_generations=5)
    assert "unless its filter keeps them out. After 5 of" in text


def test_a_sink_into_the_table_that_it_reads_is_seen() -> None:
    own = App("shop")
    own.tables["orders"] = orders
    own.sink(orders, sinks.DynamoDB("arn:aws:dynamodb:us-east-1:000000000000:table/orders"))
    own.sink(orders, sinks.DynamoDB("notes"), id="notes")
    found = {mapping.id: list(own_writes(mapping)) for mapping in own.mappings}
    assert [bool(texts) for texts in found.values()] == [True, False]
