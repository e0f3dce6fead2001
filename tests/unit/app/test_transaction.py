"""`change.transaction`: what is recorded, and its bounds."""

from decimal import Decimal
from typing import Any

import pytest

from tailrace.app.table import Table
from tailrace.app.transaction import ACTIONS, Transaction
from tailrace.errors import SettingsError

ORDERS = Table("orders", "id")


def test_writes_are_recorded_in_the_shape_of_transact_write_items() -> None:
    transaction = Transaction()
    transaction.put(ORDERS, {"id": "a", "n": 1}, condition="attribute_not_exists(id)")
    transaction.update("orders", {"id": "b"}, "SET #s = :s", names={"#s": "status"}, values={":s": "paid"})
    transaction.delete(ORDERS, {"id": "c"})
    transaction.check(ORDERS, {"id": "d"}, "n > :n", values={":n": 3})
    assert [(write.action, dict(write.parameters)) for write in transaction.writes] == [
        (
            "Put",
            {
                "TableName": "orders",
                "Item": {"id": {"S": "a"}, "n": {"N": "1"}},
                "ConditionExpression": "attribute_not_exists(id)",
            },
        ),
        (
            "Update",
            {
                "TableName": "orders",
                "Key": {"id": {"S": "b"}},
                "UpdateExpression": "SET #s = :s",
                "ExpressionAttributeNames": {"#s": "status"},
                "ExpressionAttributeValues": {":s": {"S": "paid"}},
            },
        ),
        ("Delete", {"TableName": "orders", "Key": {"id": {"S": "c"}}}),
        (
            "ConditionCheck",
            {
                "TableName": "orders",
                "Key": {"id": {"S": "d"}},
                "ConditionExpression": "n > :n",
                "ExpressionAttributeValues": {":n": {"N": "3"}},
            },
        ),
    ]


def test_one_action_is_left_for_the_mark() -> None:
    transaction = Transaction()
    for number in range(ACTIONS):
        transaction.delete(ORDERS, {"id": str(number)})
    with pytest.raises(SettingsError, match="at most 99 actions"):
        transaction.delete(ORDERS, {"id": "one more"})
    assert len(transaction.writes) == 99


@pytest.mark.parametrize(
    "write",
    [
        lambda transaction, key, text: transaction.put(ORDERS, {**key, "text": text}),
        lambda transaction, key, text: transaction.update(ORDERS, key, "SET t = :t", values={":t": text}),
        lambda transaction, key, text: transaction.delete(
            ORDERS, key, condition="t = :t", values={":t": text}
        ),
    ],
)
def test_four_megabytes_are_the_most(write: Any) -> None:
    transaction = Transaction()
    for number in range(10):
        write(transaction, {"id": str(number)}, "x" * 380_000)
    with pytest.raises(SettingsError, match="at most 4,000,000 bytes"):
        write(transaction, {"id": "one more"}, "x" * 380_000)


def test_a_value_without_a_dynamodb_type_is_refused_where_it_is_written() -> None:
    with pytest.raises(SettingsError, match="float"):
        Transaction().put(ORDERS, {"id": "a", "n": 0.5})


# ---- writes of one item ------------------------------------------------------------------------------------

KEY = {"id": "a"}


def only(transaction: Transaction) -> tuple[str, dict[str, Any]]:
    (write,) = transaction.writes
    return write.action, dict(write.parameters)


def test_two_additions_to_one_item_are_one_addition() -> None:
    transaction = Transaction()
    for sign, total in ((-1, 10), (1, 12)):
        transaction.update(
            "countries",
            {"country": "NL"},
            "ADD orders :one, turnover :total",
            values={":one": sign, ":total": sign * total},
        )
    assert only(transaction) == (
        "Update",
        {
            "TableName": "countries",
            "Key": {"country": {"S": "NL"}},
            "UpdateExpression": "ADD #n0 :v0, #n1 :v1",
            "ExpressionAttributeNames": {"#n0": "orders", "#n1": "turnover"},
            "ExpressionAttributeValues": {":v0": {"N": "0"}, ":v1": {"N": "2"}},
        },
    )


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("SET a = :1", "SET b = :2", "SET #n0 = :v0, #n1 = :v1"),
        ("SET a = :1", "SET a = :2", "SET #n0 = :v0"),
        ("SET m.x = :1", "SET m.y = :2", "SET #n0.#n1 = :v0, #n0.#n2 = :v1"),
        ("SET a = :1", "SET b = a + :2", "SET #n0 = :v0, #n1 = :v0 + :v1"),
        ("SET a = :1", "ADD a :2", "SET #n0 = :v0"),
        ("SET a = a + :1", "SET a = a - :2", "SET #n0 = #n0 + :v0"),
        ("SET a = if_not_exists(a, :1) + :2", "ADD a :2", "SET #n0 = if_not_exists(#n0, :v0) + :v1"),
        ("REMOVE a", "ADD a :1", "SET #n0 = :v0"),
        ("ADD s :s", "ADD s :t", "ADD #n0 :v0"),
        ("SET a = :1", "REMOVE a, b SET c = :2", "SET #n0 = :v0 REMOVE #n1, #n2"),
    ],
)
def test_two_updates_of_one_item_are_one_update(first: str, second: str, one: str) -> None:
    every = {":1": 1, ":2": 2, ":s": {"p"}, ":t": {"q"}}
    transaction = Transaction()
    for text in (first, second):
        transaction.update(
            ORDERS, KEY, text, values={name: value for name, value in every.items() if name in text}
        )
    action, parameters = only(transaction)
    assert (action, parameters["UpdateExpression"]) == ("Update", one)


def test_after_a_put_the_item_is_known_and_later_writes_are_made_on_it() -> None:
    transaction = Transaction()
    transaction.put(ORDERS, KEY | {"n": 1}, condition="attribute_not_exists(id)")
    transaction.update(
        ORDERS, KEY, "ADD n :n", condition="n = :was", names={}, values={":n": 2, ":was": Decimal("1.0")}
    )
    transaction.check("orders", KEY, "n = :n", values={":n": 3})
    assert only(transaction) == (
        "Put",
        {
            "TableName": "orders",
            "Item": {"id": {"S": "a"}, "n": {"N": "3"}},
            "ConditionExpression": "attribute_not_exists(id)",
        },
    )
    transaction.delete(ORDERS, KEY)
    assert only(transaction) == (
        "Delete",
        {"TableName": "orders", "Key": {"id": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(id)"},
    )


def test_conditions_of_one_item_must_all_hold() -> None:
    transaction = Transaction()
    transaction.check(
        ORDERS, KEY, "#s = :paid OR #s = :sent", names={"#s": "status"}, values={":paid": 1, ":sent": 2}
    )
    transaction.update(ORDERS, KEY, "SET a = :1", condition="n > :1", values={":1": 1})
    action, parameters = only(transaction)
    assert action == "Update"
    assert parameters["ConditionExpression"] == "(#n1 = :v1 OR #n1 = :v2) AND #n2 > :v0"
    assert parameters["ExpressionAttributeNames"] == {"#n0": "a", "#n1": "status", "#n2": "n"}


def test_puts_into_a_table_are_of_one_item_as_soon_as_its_key_is_known() -> None:
    transaction = Transaction()
    transaction.put("stock", {"sku": "x", "n": 1})
    transaction.put("stock", {"sku": "x", "n": 2})
    assert len(transaction.writes) == 2
    transaction.update("stock", {"sku": "y"}, "ADD n :n", values={":n": 1})
    assert [write.parameters.get("Item") for write in transaction.writes] == [
        {"sku": {"S": "x"}, "n": {"N": "2"}},
        None,
    ]


def test_the_tables_of_the_app_are_known_by_name() -> None:
    transaction = Transaction({"stock": Table("stock", "sku")})
    transaction.put("stock", {"sku": "x", "n": 1})
    transaction.put("stock", {"sku": "x", "n": 2})
    assert only(transaction)[1]["Item"]["n"] == {"N": "2"}


def test_items_that_differ_stand_side_by_side() -> None:
    transaction = Transaction()
    lines = Table("lines", "id", sk="n", sk_type="N")
    for number in (1, Decimal("1.0"), 2):
        transaction.update(lines, {"id": "a", "n": number}, "ADD pieces :one", values={":one": 1})
    transaction.delete(ORDERS, {"id": "a"})
    assert [write.parameters["TableName"] for write in transaction.writes] == ["lines", "lines", "orders"]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("ADD a :1", "SET a = :1", "at a the second depends on what the first finds there"),
        ("SET l[0] = :1", "SET l[1] = :1", r"both write into l\[0\]"),
        ("SET a.b = :1", "SET a = :1", "both write into a.b"),
        ("SET a = b + :1", "SET c = a", "the second reads a, which the first computes"),
        ("REMOVE a", "SET b = a", "the second reads a, which the first has removed"),
        ("SET a = :1", "REMOVE a", "an item without either would stay"),
        ("REMOVE a.b", "SET c = :1", "alone it may do to an item that is not there"),
        ("DELETE t :t", "REMOVE a.b", "alone it may do to an item that is not there"),
        ("SET a = :s", "ADD a :1", "the second would fail at a: the types differ"),
    ],
)
def test_what_cannot_be_one_write_is_refused_at_the_second_call(first: str, second: str, reason: str) -> None:
    every = {":1": 1, ":s": "text", ":t": {"text"}}
    transaction = Transaction()
    with pytest.raises(SettingsError, match=reason) as refused:
        for text in (first, second):
            transaction.update(
                ORDERS, KEY, text, values={name: value for name, value in every.items() if name in text}
            )
    assert "{'id': 'a'} of orders" in str(refused.value)
    assert f'update "{first}", then update "{second}"' in str(refused.value)
    assert "docs/guarantees.md" in str(refused.value)
    assert len(transaction.writes) == 1


def test_a_write_that_may_fail_is_not_hidden_by_a_later_one() -> None:
    transaction = Transaction()
    transaction.update(ORDERS, KEY, "ADD a :1", values={":1": 1})
    with pytest.raises(SettingsError, match="the first may fail"):
        transaction.put(ORDERS, KEY)
    with pytest.raises(SettingsError, match="the condition of the second is about id"):
        transaction.delete(ORDERS, KEY, condition="attribute_exists(id)")
