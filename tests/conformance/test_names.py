"""Attribute names: one border, whatever a request says them in. Source: aws-texts of
2026, §4; semantics §6.3.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key

EMPTY = "Empty attribute name"
E = "1 validation error detected: "
A = {"S": "a"}
NAMED = {"ExpressionAttributeNames": {"#n": ""}}
VALUED = {"ExpressionAttributeValues": {":v": A}}
SAID = {"ComparisonOperator": "EQ", "AttributeValueList": [A]}
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("PutItem", {"Item": {**key("p"), "": A}}),
    ("PutItem", {"Item": {**key("p"), "m": {"M": {"": A}}}}),
    ("PutItem", {"Item": {**key("p"), "l": {"L": [{"M": {"": A}}]}}}),
    ("PutItem", {"Item": key("p"), "Expected": {"": {"Exists": False}}}),
    ("PutItem", {"Item": key("p"), "ConditionExpression": "attribute_not_exists(#n)", **NAMED}),
    ("PutItem", {"Item": key("p"), "ConditionExpression": "attribute_not_exists(a.#n)", **NAMED}),
    ("UpdateItem", {"Key": key("p"), "UpdateExpression": "SET #n = :v", **NAMED, **VALUED}),
    ("UpdateItem", {"Key": key("p"), "UpdateExpression": "REMOVE a.#n", **NAMED}),
    ("UpdateItem", {"Key": key("p"), "AttributeUpdates": {"": {"Value": A}}}),
    ("UpdateItem", {"Key": key("p"), "AttributeUpdates": {"": {"Action": "DELETE"}}}),
    ("UpdateItem", {"Key": key("p"), "Expected": {"": {"Value": A}}}),
    ("DeleteItem", {"Key": key("p"), "ConditionExpression": "#n = :v", **NAMED, **VALUED}),
    ("DeleteItem", {"Key": {**key("p"), "": A}}),
]  # fmt: skip
READS: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {"Key": key("p"), "ProjectionExpression": "#n", **NAMED}),
    ("GetItem", {"Key": key("p"), "AttributesToGet": [""]}),
    ("Query", {"KeyConditionExpression": "#n = :v", **NAMED, **VALUED}),
    ("Query", {"KeyConditions": {"": SAID}}),
    ("Query", {"KeyConditions": {"pk": SAID}, "QueryFilter": {"": SAID}}),
    ("Query", {"KeyConditions": {"pk": SAID}, "AttributesToGet": [""]}),
    ("Scan", {"ScanFilter": {"": SAID}}),
    ("Scan", {"FilterExpression": "attribute_exists(#n)", **NAMED}),
    ("Scan", {"ProjectionExpression": "a.#n", **NAMED}),
]


@pytest.mark.parametrize(("operation", "members"), WRITES + READS)
def test_an_empty_attribute_name_is_refused_wherever_it_stands(
    things: Conformance, operation: str, members: dict[str, Any]
) -> None:
    status, answer = things.raw(operation, {"TableName": "things", **members})
    told = E + EMPTY if (operation, members) in WRITES else EMPTY
    assert (status, answer["message"]) == (400, told)
    assert answer["__type"].endswith("#ValidationException")
    assert things.dynamodb.scan(TableName="things")["Items"] == []


def test_an_empty_attribute_name_inside_of_an_expression_value_is_refused(things: Conformance) -> None:
    values = {":v": {"M": {"": A}}}
    update = {"TableName": "things", "Key": key("p"), "UpdateExpression": "SET a = :v"}
    message = things.invalid("UpdateItem", **update, ExpressionAttributeValues=values)
    assert message == E + EMPTY
    check = {
        "TableName": "things",
        "Key": key("p"),
        "ConditionExpression": "a = :v",
        "ExpressionAttributeValues": values,
    }
    message = things.invalid("TransactWriteItems", TransactItems=[{"ConditionCheck": check}])
    assert message == f"ExpressionAttributeValues contains invalid value: {EMPTY} for key :v"


def test_an_empty_attribute_name_is_refused_in_batches_and_transactions(things: Conformance) -> None:
    update = {"TableName": "things", "Key": key("p"), "UpdateExpression": "SET #n = :v", **NAMED, **VALUED}
    get = {"TableName": "things", "Key": key("p"), "ProjectionExpression": "#n", **NAMED}
    for operation, payload in (
        ("TransactWriteItems", {"TransactItems": [{"Update": update}]}),
        ("TransactWriteItems",
         {"TransactItems": [{"Put": {"TableName": "things", "Item": {**key("p"), "": A}}}]}),
        ("TransactGetItems", {"TransactItems": [{"Get": get}]}),
        ("BatchGetItem", {"RequestItems": {"things": {"Keys": [key("p")], "AttributesToGet": [""]}}}),
        ("BatchWriteItem", {"RequestItems": {"things": [{"PutRequest": {"Item": {**key("p"), "": A}}}]}}),
    ):  # fmt: skip
        status, answer = things.raw(operation, payload)
        assert (status, answer["message"]) == (400, EMPTY)
