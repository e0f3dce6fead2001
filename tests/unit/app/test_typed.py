"""Typed writes: instances and fields on `change.transaction` as in `world.put`, beside
tables with plain values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Change, Item
from tailrace.app.transaction import Transaction
from tailrace.errors import ItemError, SettingsError
from tailrace.testing import World

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")
totals = app.table("totals", pk="country", stream=None)


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    status: str = "new"
    total: Decimal = Decimal(0)
    note: str | None = None


class Line(Item, table=shop, pk="ORDER#{order}", sk="LINE#{number:04}"):
    order: str
    number: int


@dataclass
class Total:
    country: str
    turnover: Decimal = Decimal(0)


app.entity(Total, totals)
Record = Callable[[Transaction], None]


def recorded(*records: Record) -> list[dict[str, Any]]:
    """What these make of a transaction."""
    transaction = Transaction(app.tables)
    for record in records:
        record(transaction)
    return [{"action": write.action, **write.parameters} for write in transaction.writes]


def test_an_instance_is_put_with_its_key_and_its_types() -> None:
    assert recorded(lambda transaction: transaction.put(Order(id="o1", total=Decimal(3)))) == [
        {
            "action": "Put",
            "TableName": "shop",
            "Item": {
                "id": {"S": "o1"},
                "status": {"S": "new"},
                "total": {"N": "3"},
                "pk": {"S": "ORDER#o1"},
                "sk": {"S": "META"},
            },
        }
    ]


def test_fields_name_the_key_and_what_is_set_and_none_is_removed() -> None:
    assert recorded(lambda transaction: transaction.update(Order, id="o1", status="paid", note=None)) == [
        {
            "action": "Update",
            "TableName": "shop",
            "Key": {"pk": {"S": "ORDER#o1"}, "sk": {"S": "META"}},
            "UpdateExpression": "SET #set0 = :set0 REMOVE #set1",
            "ExpressionAttributeNames": {"#set0": "status", "#set1": "note"},
            "ExpressionAttributeValues": {":set0": {"S": "paid"}},
        }
    ]


def test_typed_writes_take_conditions_and_expressions_beside_the_fields_of_the_key() -> None:
    (put, update, delete, check) = recorded(
        lambda transaction: transaction.put(Order(id="o1"), condition="attribute_not_exists(pk)"),
        lambda transaction: transaction.update(
            Total, {"country": "NL"}, "ADD turnover :more", values={":more": 3}
        ),
        lambda transaction: transaction.delete(Line, order="o1", number=7, condition="attribute_exists(pk)"),
        lambda transaction: transaction.check(
            Order, id="o2", condition="#s = :s", names={"#s": "status"}, values={":s": "paid"}
        ),
    )
    assert put["ConditionExpression"] == "attribute_not_exists(pk)"
    assert (update["Key"], update["UpdateExpression"]) == ({"country": {"S": "NL"}}, "ADD turnover :more")
    assert (delete["action"], delete["Key"]["sk"]) == ("Delete", {"S": "LINE#0007"})
    assert (check["action"], check["ExpressionAttributeValues"]) == ("ConditionCheck", {":s": {"S": "paid"}})


def test_a_condition_stands_beside_the_fields_that_are_set() -> None:
    (update,) = recorded(
        lambda transaction: transaction.update(
            Order, id="o1", status="paid", condition="#s = :s", names={"#s": "status"}, values={":s": "new"}
        )
    )
    assert update["ExpressionAttributeNames"] == {"#s": "status", "#set0": "status"}
    assert update["ExpressionAttributeValues"] == {":s": {"S": "new"}, ":set0": {"S": "paid"}}


def test_a_typed_and_a_plain_write_of_one_item_are_made_one() -> None:
    (write,) = recorded(
        lambda transaction: transaction.put(Order(id="o1", total=Decimal(1))),
        lambda transaction: transaction.put(Order(id="o1", total=Decimal(2))),
    )
    assert write["Item"]["total"] == {"N": "2"}


WRONG: list[tuple[str, Record, type[Exception], str]] = [
    ("a class", lambda transaction: transaction.put(Order), SettingsError, "put an instance"),
    ("an instance and an item", lambda transaction: transaction.put(Order(id="o1"), {"id": "o1"}),
     SettingsError, "put an instance"),
    ("no field of it", lambda transaction: transaction.update(Order, id="o1", statsu="paid"), ItemError,
     "status"),
    ("no key", lambda transaction: transaction.update(Order, status="paid"), ItemError, "id= is missing"),
    ("no key to delete", lambda transaction: transaction.delete(Order), ItemError, "id= is missing"),
    ("nothing to set", lambda transaction: transaction.update(Order, id="o1"), SettingsError,
     "give an expression"),
    ("both", lambda transaction: transaction.update(Order, {"id": "o1"}, "SET a = :a", status="paid"),
     SettingsError, "one of them"),
    ("fields of a table", lambda transaction: transaction.delete(shop, id="o1"), SettingsError,
     "a table's key is a mapping"),
    ("an instance to update", lambda transaction: transaction.update(Order(id="o1"), status="paid"),
     SettingsError, "name its class"),
    ("a class of no table", lambda transaction: transaction.delete(dict, id="o1"), SettingsError,
     "dict is in no table"),
    ("a value of another type", lambda transaction: transaction.update(Order, id="o1", total="much"),
     ItemError, "total"),
    ("no condition", lambda transaction: transaction.check(Order, id="o1"), SettingsError, "condition="),
]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "kind", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_is_no_typed_write_is_refused_where_it_is_written(
    record: Record, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        recorded(record)


def test_a_handlers_typed_writes_are_committed_with_its_mark() -> None:
    own = App("typed")
    orders = own.table("orders", pk="id")
    own_totals = own.table("totals", pk="country", stream=None)

    class Sale(Item, table=orders):
        id: str
        country: str
        total: Decimal

    class Sum(Item, table=own_totals):
        country: str
        turnover: Decimal = Decimal(0)
        last: str = ""

    @own.on(Sale.inserted)
    def count(change: Change[Sale]) -> None:
        sale = change.new
        change.transaction.update(
            Sum, {"country": sale.country}, "ADD turnover :more", values={":more": sale.total}
        )
        change.transaction.update(Sum, country=sale.country, last=sale.id)

    with World(own, seed=1) as world:
        with world.faults(duplicates=0.5, crash="anywhere"):
            for number in range(6):
                world.put(Sale(id=f"o{number}", country="NL", total=Decimal(number)))
            world.settle()
        total = world.get(Sum, country="NL")
        assert total is not None
        assert total.turnover == 15
        assert total.last.startswith("o")
