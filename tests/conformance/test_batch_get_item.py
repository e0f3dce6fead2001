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


def whole(api: Conformance, requests: dict[str, Any]) -> list[list[str]]:
    """Ask until nothing is left unprocessed. Returns: the partition keys of each answer."""
    pages: list[list[str]] = []
    while requests:
        answer = api.dynamodb.batch_get_item(RequestItems=requests)
        responses = answer["Responses"].values()
        pages.append([item["pk"]["S"] for items in responses for item in items])
        assert pages[-1], "an answer without an item would be asked for for ever"
        requests = answer["UnprocessedKeys"]
    return pages


def test_what_passes_a_megabyte_of_a_partition_is_left_unprocessed(things: Conformance) -> None:
    sizes = [409_500] * 3 + [20_000] * 17
    names = [f"p{number:02}" for number in range(20)]
    for name, size in zip(names, sizes, strict=True):
        things.put(name, big={"S": "x" * (size - 10)})
    wanted = {"things": {"Keys": [key(name) for name in names], "ConsistentRead": True}}
    answer = things.dynamodb.batch_get_item(RequestItems=wanted, ReturnConsumedCapacity="TOTAL")
    assert [item["pk"]["S"] for item in answer["Responses"]["things"]] == names[:2]
    assert answer["UnprocessedKeys"] == {
        "things": {"Keys": [key(name) for name in names[2:]], "ConsistentRead": True}
    }
    assert answer["ConsumedCapacity"][0]["CapacityUnits"] == 2 * 100  # what is left is not charged
    assert whole(things, wanted) == [names[:2], names[2:]]


def test_each_partition_has_a_megabyte_of_its_own(things: Conformance) -> None:
    things.table("others")
    for name in ("a", "b", "c"):
        for table in ("things", "others"):
            things.put(name, table=table, big={"S": "x" * 390_000})
    wanted = {table: {"Keys": [key(name) for name in ("a", "b", "c")]} for table in ("things", "others")}
    assert whole(things, wanted) == [["a", "b", "a", "b"], ["c", "c"]]
    things.engine.split_shards("things")
    answers = whole(things, wanted)
    assert len(answers) == 2
    assert sorted(answers[0]) in (["a", "a", "b", "b", "c"], ["a", "a", "b", "b"])


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
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            {"things": {}},
            "1 validation error detected: Value null at 'requestItems.things.member.keys' failed to "
            "satisfy constraint: Member must not be null",
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
