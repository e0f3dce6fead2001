"""BatchWriteItem through boto3. Source of the texts: semantics §6.3, §6.5."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key


def puts(*names: str) -> list[dict[str, Any]]:
    return [{"PutRequest": {"Item": key(name)}} for name in names]


def test_puts_and_deletes_of_several_tables(things: Conformance) -> None:
    things.table("others")
    things.put("gone")
    answer = things.dynamodb.batch_write_item(
        RequestItems={
            "things": [*puts("a", "b"), {"DeleteRequest": {"Key": key("gone")}}],
            "others": puts("c"),
        }
    )
    assert answer["UnprocessedItems"] == {}
    assert [things.get(name) is not None for name in ("a", "b", "gone")] == [True, True, False]
    assert things.get("c", table="others") == key("c")


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"things": puts("a", "a")}, "Provided list of item keys contains duplicates"),
        (
            {"things": [{"PutRequest": {"Item": key("a")}, "DeleteRequest": {"Key": key("a")}}]},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of "
            "the supported datatypes",
        ),
        (
            {"things": [{}]},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of "
            "the supported datatypes",
        ),
        (
            {"things": puts(*map(str, range(13))), "others": puts(*map(str, range(13)))},
            "Too many items requested for the BatchWriteItem call",
        ),
        (
            {"things": [*puts("a"), {"PutRequest": {"Item": {"pk": {"S": "b"}}}}]},
            "The provided key element does not match the schema",
        ),
        (
            {"things": [*puts("a"), {"PutRequest": {"Item": {**key("b"), "x": {"S": "x" * 410_000}}}}]},
            "Item size has exceeded the maximum allowed size",
        ),
        (
            {},
            "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            {"things": []},
            "1 validation error detected: Value '{things=[]}' at 'requestItems' failed to satisfy "
            "constraint: Map value must satisfy constraint: [Member must have length less than or "
            "equal to 25, Member must have length greater than or equal to 1]",
        ),
    ],
)
def test_it_is_refused_in_awss_words(things: Conformance, requests: dict[str, Any], message: str) -> None:
    things.table("others")
    assert things.invalid("BatchWriteItem", RequestItems=requests) == message
    assert things.dynamodb.scan(TableName="things")["Count"] == 0


def test_more_than_25_writes_violate_a_constraint(things: Conformance) -> None:
    message = things.invalid("BatchWriteItem", RequestItems={"things": puts(*map(str, range(26)))})
    assert message == (
        "1 validation error detected: Value at 'RequestItems.things.member' failed to satisfy "
        "constraint: Member must have length less than or equal to 25"
    )


def test_an_unknown_table_is_not_found_and_nothing_is_written(things: Conformance) -> None:
    assert things.refusal("BatchWriteItem", RequestItems={"things": puts("a"), "nothing": puts("b")}) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    assert things.get("a") is None
