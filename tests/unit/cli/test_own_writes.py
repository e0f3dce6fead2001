"""What the source of a handler shows about writes to the table that it reads."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from tailrace import App, Change, Client, Depends, Item, by_ttl, sinks
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
    writes = {mapping.id: list(own_writes(mapping)) for mapping in own.mappings}
    assert [bool(texts) for texts in writes.values()] == [True, False]


def test_a_sink_of_another_database_whose_table_has_that_name_is_no_loop() -> None:
    own = App("shop")
    own.tables["orders"] = orders
    own.sink(orders, sinks.DuckDB("orders.duckdb", "orders"))
    assert [list(own_writes(mapping)) for mapping in own.mappings] == [[]]


def removes(change: Change) -> None:
    change.transaction.delete(orders, {"id": "o1"})
    client.delete_item(TableName="orders", Key={"id": {"S": "o1"}})


def test_a_write_whose_event_the_handler_is_not_called_for_is_no_loop() -> None:
    def warnings(changes: Any, handler: Callable[..., Any]) -> int:
        own = App("shop")
        own.tables["orders"] = orders
        own.on(changes)(handler)
        return sum(len(list(own_writes(mapping))) for mapping in own.mappings)

    assert warnings(orders.removed, recorded) == 0
    assert warnings(orders.removed, through_a_client) == 0
    assert warnings(orders.inserted, recorded) == 1
    assert warnings(orders.modified, recorded_by_name) == 1
    assert warnings(orders.inserted, removes) == 0
    assert warnings(orders.removed, removes) == 1
    assert warnings(orders.removed, through_a_batch) == 1


def test_a_write_of_an_item_of_another_class_is_no_loop() -> None:
    own = App("shop")
    mixed = own.table("mixed", pk="pk")

    class Order(Item, table=mixed, pk="ORDER#{id}"):
        id: str

    class Note(Item, table=mixed, pk="NOTE#{id}"):
        id: str

    def note(change: Change[Order]) -> None:
        change.transaction.put(mixed, {"pk": "NOTE#1"})

    def order(change: Change[Order]) -> None:
        change.transaction.put(mixed, {"pk": "ORDER#1"})

    def either(change: Change[Order]) -> None:
        change.transaction.put(mixed, {"pk": f"{change.key}#1"})

    for handler in (note, order, either):
        own.on(Order)(handler)
    named = {
        mapping.target.__name__: list(own_writes(mapping))
        for mapping in own.mappings
        if mapping.entity is not None
    }
    assert {name: bool(texts) for name, texts in named.items()} == {
        "note": False,
        "order": True,
        "either": True,
    }


def test_typed_writes_and_those_of_a_handlers_client_are_seen_and_told_apart_by_their_class() -> None:
    own = App("typed")
    mixed = own.table("typed", pk="pk")

    class Order(Item, table=mixed, pk="ORDER#{id}"):
        id: str

    class Note(Item, table=mixed, pk="NOTE#{id}"):
        id: str

    def note(change: Change[Order], db: Annotated[Client, Depends(own.client)]) -> None:
        change.transaction.put(Note(id=change.new.id))
        db.update(Note, id=change.new.id)
        db.get(Order, id=change.new.id)

    def order(change: Change[Order]) -> None:
        change.transaction.put(Order(id=change.new.id))

    def by_client(change: Change[Order], db: Annotated[Client, Depends(own.client)]) -> None:
        db.update(Order, id=change.new.id)

    def plain(change: Change[Order], db: Annotated[Client, Depends(own.client)]) -> None:
        db.delete(mixed, {"pk": "ORDER#1"})

    for handler in (note, order, by_client, plain):
        own.on(Order)(handler)
    seen = {
        mapping.target.__name__: bool(list(own_writes(mapping)))
        for mapping in own.mappings
        if mapping.entity is not None
    }
    assert seen == {"note": False, "order": True, "by_client": True, "plain": True}
