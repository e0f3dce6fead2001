"""UpdateItem through boto3. Source of the texts: semantics §6.4, §6.8."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.client import Conformance, key

UPDATE = "1 validation error detected: Invalid UpdateExpression: "


def update(
    things: Conformance, expression: str | None, values: dict[str, Any] | None = None, **more: Any
) -> Any:
    call: dict[str, Any] = {"TableName": "things", "Key": key("p"), **more}
    if expression is not None:
        call["UpdateExpression"] = expression
    if values is not None:
        call["ExpressionAttributeValues"] = values
    return things.dynamodb.update_item(**call)


@pytest.mark.parametrize(
    ("expression", "values", "after"),
    [
        ("SET n = n + :v", {":v": {"N": "2"}}, {"n": {"N": "3"}}),
        ("SET n = :v - n", {":v": {"N": "2"}}, {"n": {"N": "1"}}),
        ("SET n = if_not_exists(n, :v)", {":v": {"N": "9"}}, {"n": {"N": "1"}}),
        ("SET x = if_not_exists(x, :v)", {":v": {"N": "9"}}, {"n": {"N": "1"}, "x": {"N": "9"}}),
        (
            "SET l = list_append(:v, :v)",
            {":v": {"L": [{"S": "a"}]}},
            {"n": {"N": "1"}, "l": {"L": [{"S": "a"}] * 2}},
        ),
        ("REMOVE n", None, {}),
        ("ADD n :v", {":v": {"N": "4"}}, {"n": {"N": "5"}}),
        ("ADD s :v", {":v": {"SS": ["b", "a"]}}, {"n": {"N": "1"}, "s": {"SS": ["a", "b"]}}),
        ("set a = :v remove n", {":v": {"S": "x"}}, {"a": {"S": "x"}}),
    ],
)
def test_an_update_changes_the_item(
    things: Conformance, expression: str, values: dict[str, Any] | None, after: dict[str, Any]
) -> None:
    things.put("p", n={"N": "1"})
    update(things, expression, values)
    assert things.get("p") == {**key("p"), **after}


def test_an_absent_item_is_created(things: Conformance) -> None:
    update(things, "SET n = :v", {":v": {"N": "1"}})
    assert things.get("p") == {**key("p"), "n": {"N": "1"}}


def test_a_key_alone_creates_an_item_and_remove_alone_does_not(things: Conformance) -> None:
    update(things, "REMOVE n")
    assert things.get("p") is None
    update(things, None)
    assert things.get("p") == key("p")


@pytest.mark.parametrize(
    ("wanted", "attributes"),
    [
        ("NONE", None),
        ("ALL_OLD", {**key("p"), "n": {"N": "1"}, "m": {"S": "x"}}),
        ("ALL_NEW", {**key("p"), "n": {"N": "2"}, "m": {"S": "x"}}),
        ("UPDATED_OLD", {"n": {"N": "1"}}),
        ("UPDATED_NEW", {"n": {"N": "2"}}),
    ],
)
def test_return_values(things: Conformance, wanted: str, attributes: dict[str, Any] | None) -> None:
    things.put("p", n={"N": "1"}, m={"S": "x"})
    answer = update(things, "SET n = :v", {":v": {"N": "2"}}, ReturnValues=wanted)
    assert answer.get("Attributes") == attributes


@pytest.mark.parametrize("wanted", ["ALL_OLD", "UPDATED_OLD"])
def test_a_created_item_has_no_old_attributes(things: Conformance, wanted: str) -> None:
    assert "Attributes" not in update(things, "SET n = :v", {":v": {"N": "2"}}, ReturnValues=wanted)


def test_removed_attributes_are_not_updated_new(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    assert "Attributes" not in update(things, "REMOVE n", ReturnValues="UPDATED_NEW")


def test_a_failed_condition_shows_the_item_when_asked_for(things: Conformance) -> None:
    item = things.put("p", n={"N": "1"})
    with pytest.raises(ClientError) as failure:
        update(
            things,
            "SET n = :v",
            {":v": {"N": "2"}},
            ConditionExpression="n = :v",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failure.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert failure.value.response["Item"] == item


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"UpdateExpression": ""}, f"{UPDATE}The expression can not be empty;"),
        ({"UpdateExpression": "SET a = :x"},
         f"{UPDATE}An expression attribute value used in expression is not defined; attribute value: :x"),
        ({"UpdateExpression": "SET #a = b"}, f"{UPDATE}An expression attribute name used in the document "
         f"path is not defined; attribute name: #a"),
        ({"UpdateExpression": "SET a = b SET c = d"},
         f'{UPDATE}The "SET" section can only be used once in an update expression;'),
        ({"UpdateExpression": "SET name = b"},
         f"{UPDATE}Attribute name is a reserved keyword; reserved keyword: name"),
        (
            {"UpdateExpression": "SET a = b, a.c = d"},
            f"{UPDATE}Two document paths overlap with each other; must remove or rewrite one of "
            f"these paths; path one: [a], path two: [a, c]",
        ),
        (
            {"UpdateExpression": "SET pk = a"},
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute "
            "is part of the key",
        ),
        (
            {"UpdateExpression": "SET a = b"},
            "The provided expression refers to an attribute that does not exist in the item",
        ),
        (
            {"UpdateExpression": "SET a.b = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
            "The document path provided in the update expression is invalid for update",
        ),
        (
            {"UpdateExpression": "SET t = t + :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
            "An operand in the update expression has an incorrect data type",
        ),
        (
            {"UpdateExpression": "ADD a :v", "ExpressionAttributeValues": {":v": {"S": "1"}}},
            f"{UPDATE}Incorrect operand type for operator or function; operator: ADD, operand type: STRING",
        ),
        (
            {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": {"S": "x" * 410_000}}},
            "Item size to update has exceeded the maximum allowed size",
        ),
        (
            {"ExpressionAttributeValues": {":v": {"S": "x"}}},
            "1 validation error detected: ExpressionAttributeValues can only be specified "
            "when using expressions",
        ),
        ({"Key": {"pk": {"S": "p"}}}, "The provided key element does not match the schema"),
    ],
)  # fmt: skip
def test_it_is_refused_in_awss_words(things: Conformance, parameters: dict[str, Any], message: str) -> None:
    item = things.put("p", t={"S": "text"})
    assert things.invalid("UpdateItem", **{"TableName": "things", "Key": key("p"), **parameters}) == message
    assert things.get("p") == item
