"""GetItem through boto3. Source of the texts: semantics §6.4, §6.5."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key


def test_an_absent_item_answers_without_item(things: Conformance) -> None:
    answer = things.dynamodb.get_item(TableName="things", Key=key("nobody"))
    assert "Item" not in answer


@pytest.mark.parametrize("consistent", [True, False])
def test_every_read_is_consistent(things: Conformance, consistent: bool) -> None:
    item = things.put("p", n={"N": "1"})
    answer = things.dynamodb.get_item(TableName="things", Key=key("p"), ConsistentRead=consistent)
    assert answer["Item"] == item


def test_a_projection_shows_parts(things: Conformance) -> None:
    things.put(
        "p", m={"M": {"a": {"S": "1"}, "b": {"S": "2"}}}, l={"L": [{"S": "x"}, {"S": "y"}]}, n={"N": "1"}
    )
    answer = things.dynamodb.get_item(
        TableName="things",
        Key=key("p"),
        ProjectionExpression="#m.a, l[1], nothing",
        ExpressionAttributeNames={"#m": "m"},
    )
    assert answer["Item"] == {"m": {"M": {"a": {"S": "1"}}}, "l": {"L": [{"S": "y"}]}}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Key": {"pk": {"S": "a"}}}, "The provided key element does not match the schema"),
        ({"Key": {**key("p"), "x": {"S": "a"}}}, "The provided key element does not match the schema"),
        ({"Key": {"pk": {"N": "1"}, "sk": {"S": "a"}}}, "The provided key element does not match the schema"),
        (
            {"Key": {"pk": {}, "sk": {"S": "a"}}},
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            {"Key": {"pk": {"S": ""}, "sk": {"S": "a"}}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        ({"ProjectionExpression": ""}, "Invalid ProjectionExpression: The expression can not be empty;"),
        (
            {"ProjectionExpression": "a, a.b"},
            "Invalid ProjectionExpression: Two document paths overlap with each other; must remove "
            "or rewrite one of these paths; path one: [a], path two: [a, b]",
        ),
        (
            {"ProjectionExpression": "name"},
            "Invalid ProjectionExpression: Attribute name is a reserved keyword; reserved keyword: name",
        ),
        (
            {"ProjectionExpression": "#x"},
            "Invalid ProjectionExpression: An expression attribute name used in the document path is "
            "not defined; attribute name: #x",
        ),
        (
            {"ExpressionAttributeNames": {"#x": "x"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"ProjectionExpression": "a", "ExpressionAttributeNames": {"#x": "x"}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}",
        ),
        (
            {"AttributesToGet": ["a"], "ProjectionExpression": "a"},
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            {"Key": None},
            "1 validation error detected: Value null at 'key' failed to satisfy constraint: Member "
            "must not be null",
        ),
    ],
)
def test_it_is_refused_in_awss_words(things: Conformance, parameters: dict[str, Any], message: str) -> None:
    status, answer = things.raw("GetItem", {"TableName": "things", "Key": key("p"), **parameters})
    assert (status, answer["__type"]) == (400, "com.amazon.coral.validate#ValidationException")
    assert answer["message"] == message


def test_an_unknown_table_is_not_found(things: Conformance) -> None:
    refused = things.refusal("GetItem", TableName="nothing", Key=key("p"))
    assert refused == ("ResourceNotFoundException", "Requested resource not found")


def test_a_projection_that_shows_nothing_answers_an_empty_item(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    request = {"TableName": "things", "Key": key("p"), "ProjectionExpression": "absent"}
    assert things.raw("GetItem", request) == (200, {"Item": {}})
    batch = {"RequestItems": {"things": {"Keys": [key("p")], "ProjectionExpression": "absent"}}}
    assert things.raw("BatchGetItem", batch) == (200, {"Responses": {"things": [{}]}, "UnprocessedKeys": {}})
