"""Scan through boto3. Source of the texts: semantics §6.6."""

from typing import Any

import pytest

from tests.conformance.client import Conformance


@pytest.fixture
def many(things: Conformance) -> Conformance:
    """Thirty items in ten partitions."""
    for number in range(30):
        things.put(f"p{number % 10}", f"s{number}", n={"N": str(number)})
    return things


def numbers(answer: Any) -> list[int]:
    return [int(item["n"]["N"]) for item in answer["Items"]]


def test_a_scan_finds_every_item_once(many: Conformance) -> None:
    answer = many.dynamodb.scan(TableName="things")
    assert sorted(numbers(answer)) == list(range(30))
    assert (answer["Count"], answer["ScannedCount"], "LastEvaluatedKey" in answer) == (30, 30, False)


def test_pages_join_to_the_whole(many: Conformance) -> None:
    read: list[int] = []
    for page in many.dynamodb.get_paginator("scan").paginate(
        TableName="things", PaginationConfig={"PageSize": 7}
    ):
        read += numbers(page)
    assert read == numbers(many.dynamodb.scan(TableName="things"))


def test_the_filter_may_be_on_keys(many: Conformance) -> None:
    answer = many.dynamodb.scan(
        TableName="things", FilterExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p3"}}
    )
    assert sorted(numbers(answer)) == [3, 13, 23]
    assert (answer["Count"], answer["ScannedCount"]) == (3, 30)


def test_a_count_has_no_items(many: Conformance) -> None:
    assert many.raw("Scan", {"TableName": "things", "Select": "COUNT"})[1] == {
        "Count": 30,
        "ScannedCount": 30,
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"IndexName": "byName"}, "The table does not have the specified index: byName"),
        ({"Segment": 0}, "The TotalSegments parameter is required but was not present in the request when "
         "Segment parameter is present"),
        ({"TotalSegments": 4}, "The Segment parameter is required but was not present in the request when "
         "parameter TotalSegments is present"),
        (
            {"TotalSegments": 4, "Segment": 4},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 4 is not less than TotalSegments: 4",
        ),
        ({"ExclusiveStartKey": {"pk": {"S": "a"}}},
         "The provided starting key is invalid: The provided key element does not match the schema"),
        ({"FilterExpression": "a ="}, 'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "="'),
        ({"Select": "ALL_PROJECTED_ATTRIBUTES"},
         "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"),
    ],
)  # fmt: skip
def test_it_is_refused_in_awss_words(many: Conformance, parameters: dict[str, Any], message: str) -> None:
    assert many.invalid("Scan", TableName="things", **parameters) == message


def test_one_segment_is_the_whole_table(many: Conformance) -> None:
    assert len(numbers(many.dynamodb.scan(TableName="things", TotalSegments=1, Segment=0))) == 30
