"""BatchGetItem through boto3. Source of the texts: semantics §6.3, §6.5."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key


def test_items_of_several_tables(things: Conformance) -> None:
    things.table("others")
    things.put("a", n={"N": "1"})
    things.put("c", table="others")
    answer = things.dynamodb.batch_get_item(
        RequestItems={
            "things": {
                "Keys": [key("a"), key("absent")],
                "ProjectionExpression": "n",
                "ConsistentRead": True,
            },
            "others": {"Keys": [key("c")]},
        }
    )
    assert answer["Responses"] == {"things": [{"n": {"N": "1"}}], "others": [key("c")]}
    assert answer["UnprocessedKeys"] == {}


def test_what_passes_16_megabytes_is_left_unprocessed(things: Conformance) -> None:
    names = [f"p{number}" for number in range(50)]
    for name in names:
        things.put(name, big={"S": "x" * 390_000})
    answer = things.dynamodb.batch_get_item(RequestItems={"things": {"Keys": [key(name) for name in names]}})
    found = answer["Responses"]["things"]
    left = answer["UnprocessedKeys"]["things"]["Keys"]
    assert len(found) < 50
    assert [item["pk"]["S"] for item in found] + [one["pk"]["S"] for one in left] == names


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"things": {"Keys": [key("a"), key("a")]}}, "Provided list of item keys contains duplicates"),
        (
            {
                "things": {"Keys": [key(str(n)) for n in range(60)]},
                "others": {"Keys": [key(str(n)) for n in range(60)]},
            },
            "Too many items requested for the BatchGetItem call",
        ),
        ({"things": {"Keys": [{"pk": {"S": "a"}}]}}, "The provided key element does not match the schema"),
        (
            {"things": {"Keys": [key("a")], "ExpressionAttributeNames": {"#a": "a"}}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"things": {"Keys": [key("a")], "AttributesToGet": ["a"], "ProjectionExpression": "a"}},
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
            "{AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            {"things": {}},
            "1 validation error detected: Value null at 'requestItems.things.member.keys' failed to satisfy constraint: "
            "Member must not be null",
        ),
    ],
)
def test_it_is_refused_in_awss_words(things: Conformance, requests: dict[str, Any], message: str) -> None:
    things.table("others")
    assert things.invalid("BatchGetItem", RequestItems=requests) == message


def test_an_unknown_table_is_not_found(things: Conformance) -> None:
    assert things.refusal("BatchGetItem", RequestItems={"nothing": {"Keys": [key("a")]}}) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
