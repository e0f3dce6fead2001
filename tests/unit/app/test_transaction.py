"""`change.transaction`: what is recorded, and its bounds."""

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
        ("Put", {"TableName": "orders", "Item": {"id": {"S": "a"}, "n": {"N": "1"}},
                 "ConditionExpression": "attribute_not_exists(id)"}),
        ("Update", {"TableName": "orders", "Key": {"id": {"S": "b"}}, "UpdateExpression": "SET #s = :s",
                    "ExpressionAttributeNames": {"#s": "status"}, "ExpressionAttributeValues": {":s": {"S": "paid"}}}),
        ("Delete", {"TableName": "orders", "Key": {"id": {"S": "c"}}}),
        ("ConditionCheck", {"TableName": "orders", "Key": {"id": {"S": "d"}}, "ConditionExpression": "n > :n",
                            "ExpressionAttributeValues": {":n": {"N": "3"}}}),
    ]  # fmt: skip


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
        lambda transaction, text: transaction.put(ORDERS, {"id": "a", "text": text}),
        lambda transaction, text: transaction.update(ORDERS, {"id": "a"}, "SET t = :t", values={":t": text}),
        lambda transaction, text: transaction.delete(
            ORDERS, {"id": "a"}, condition="t = :t", values={":t": text}
        ),
    ],
)
def test_four_megabytes_are_the_most(write: Any) -> None:
    transaction = Transaction()
    for _ in range(10):
        write(transaction, "x" * 380_000)
    with pytest.raises(SettingsError, match="at most 4,000,000 bytes"):
        write(transaction, "x" * 380_000)


def test_a_value_without_a_dynamodb_type_is_refused_where_it_is_written() -> None:
    with pytest.raises(SettingsError, match="float"):
        Transaction().put(ORDERS, {"id": "a", "n": 0.5})
