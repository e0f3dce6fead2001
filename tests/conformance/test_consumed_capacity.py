"""ReturnConsumedCapacity through boto3: the figures of semantics §6.7, and their form on the wire."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key
from tests.conformance.indexed import songs

KILOBYTE = "x" * 1_024


def units(answer: dict[str, Any]) -> float:
    told = answer["ConsumedCapacity"]
    assert told["TableName"] == "things"
    return float(told["CapacityUnits"])


def test_nothing_is_told_unless_asked_for(things: Conformance) -> None:
    for wanted in ({}, {"ReturnConsumedCapacity": "NONE"}):
        assert "ConsumedCapacity" not in things.dynamodb.put_item(TableName="things", Item=key("p"), **wanted)
        assert "ConsumedCapacity" not in things.dynamodb.get_item(TableName="things", Key=key("p"), **wanted)
        assert "ConsumedCapacity" not in things.dynamodb.scan(TableName="things", **wanted)


def test_indexes_tell_the_table_apart(things: Conformance) -> None:
    answer = things.dynamodb.put_item(TableName="things", Item=key("p"), ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == {
        "TableName": "things",
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 1.0},
    }


def test_a_write_costs_the_larger_of_both_items(things: Conformance) -> None:
    call: dict[str, Any] = {"TableName": "things", "ReturnConsumedCapacity": "TOTAL"}
    assert units(things.dynamodb.put_item(Item={**key("p"), "a": {"S": KILOBYTE * 2}}, **call)) == 3
    assert units(things.dynamodb.put_item(Item=key("p"), **call)) == 3
    update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": KILOBYTE}}}
    assert units(things.dynamodb.update_item(Key=key("p"), **update, **call)) == 2
    assert units(things.dynamodb.delete_item(Key=key("p"), **call)) == 2
    assert units(things.dynamodb.delete_item(Key=key("p"), **call)) == 1


@pytest.mark.parametrize(("consistent", "missing", "present"), [(False, 0.5, 1.0), (True, 1.0, 2.0)])
def test_a_read_costs_four_kilobytes_a_unit(
    things: Conformance, consistent: bool, missing: float, present: float
) -> None:
    call: dict[str, Any] = {
        "TableName": "things",
        "ReturnConsumedCapacity": "TOTAL",
        "ConsistentRead": consistent,
    }
    assert units(things.dynamodb.get_item(Key=key("p"), **call)) == missing
    things.put("p", a={"S": KILOBYTE * 4})
    assert units(things.dynamodb.get_item(Key=key("p"), **call)) == present
    assert units(things.dynamodb.get_item(Key=key("p"), ProjectionExpression="pk", **call)) == present


@pytest.mark.parametrize("more", [{}, {"Select": "COUNT"}, {"ProjectionExpression": "pk"}])
def test_a_page_is_rounded_once_and_before_the_filter(things: Conformance, more: dict[str, str]) -> None:
    for number in range(9):
        things.put("p", f"s{number}", a={"S": KILOBYTE})
    call: dict[str, Any] = {"TableName": "things", "ReturnConsumedCapacity": "TOTAL", **more}
    condition = {"KeyConditionExpression": "pk = :p", "FilterExpression": "a = :p"}
    query = things.dynamodb.query(ExpressionAttributeValues={":p": {"S": "p"}}, **condition, **call)
    assert (query["Count"], units(query)) == (0, 1.5)
    assert units(things.dynamodb.scan(ConsistentRead=True, **call)) == 3


def test_batches_tell_each_table(things: Conformance) -> None:
    things.table("others")
    writes = {
        "things": [{"PutRequest": {"Item": key(name)}} for name in ("a", "b")],
        "others": [{"DeleteRequest": {"Key": key("c")}}],
    }
    written = things.dynamodb.batch_write_item(RequestItems=writes, ReturnConsumedCapacity="TOTAL")
    assert written["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 2.0},
        {"TableName": "others", "CapacityUnits": 1.0},
    ]
    read = things.dynamodb.batch_get_item(
        RequestItems={"things": {"Keys": [key("a"), key("nobody")], "ConsistentRead": True}},
        ReturnConsumedCapacity="TOTAL",
    )
    assert read["ConsumedCapacity"] == [{"TableName": "things", "CapacityUnits": 2.0}]


@pytest.mark.parametrize(("index", "member"), [("byGenre", "Global"), ("byYear", "Local")])
def test_a_page_of_an_index_costs_its_table_zero_units_written_as_a_double(
    api: Conformance, index: str, member: str
) -> None:
    api.dynamodb.create_table(**songs())
    told = api.dynamodb.scan(TableName="songs", IndexName=index, ReturnConsumedCapacity="INDEXES")[
        "ConsumedCapacity"
    ]
    assert told == {
        "TableName": "songs",
        "CapacityUnits": 0.5,
        "Table": {"CapacityUnits": 0.0},
        f"{member}SecondaryIndexes": {index: {"CapacityUnits": 0.5}},
    }
    assert type(told["Table"]["CapacityUnits"]) is float
