"""DeleteItem through boto3. Source of the texts: semantics §6.5, §6.8."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key


def test_an_item_goes_and_is_returned_when_asked_for(things: Conformance) -> None:
    item = things.put("p", n={"N": "1"})
    answer = things.dynamodb.delete_item(TableName="things", Key=key("p"), ReturnValues="ALL_OLD")
    assert answer["Attributes"] == item
    assert things.get("p") is None


def test_deleting_an_absent_item_succeeds(things: Conformance) -> None:
    answer = things.dynamodb.delete_item(TableName="things", Key=key("p"), ReturnValues="ALL_OLD")
    assert "Attributes" not in answer


def test_a_condition_is_judged_on_the_stored_item(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    call: dict[str, Any] = {
        "TableName": "things",
        "Key": key("p"),
        "ConditionExpression": "n = :n",
    }
    assert things.refusal("DeleteItem", ExpressionAttributeValues={":n": {"N": "2"}}, **call) == (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
    things.dynamodb.delete_item(ExpressionAttributeValues={":n": {"N": "1.0"}}, **call)
    assert things.get("p") is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"ReturnValues": "ALL_NEW"},
            "1 validation error detected: ReturnValues can only be ALL_OLD or NONE",
        ),
        ({"Key": {"pk": {"S": "a"}}}, "The provided key element does not match the schema"),
        (
            {"ConditionExpression": "foo(a)"},
            "1 validation error detected: Invalid ConditionExpression: Invalid function name; function: foo",
        ),
        (
            {"ConditionExpression": "a = :x"},
            "1 validation error detected: Invalid ConditionExpression: An expression attribute value "
            "used in expression is not defined; attribute value: :x",
        ),
        (
            {"ConditionExpression": "((a = b))"},
            "1 validation error detected: Invalid ConditionExpression: The expression "
            "has redundant parentheses;",
        ),
    ],
)
def test_it_is_refused_in_awss_words(things: Conformance, parameters: dict[str, Any], message: str) -> None:
    assert things.invalid("DeleteItem", **{"TableName": "things", "Key": key("p"), **parameters}) == message
