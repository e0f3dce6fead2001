"""Which writes make which records, write by write and view by view. Source: semantics §1.3,
§1.4, §1.8, trap 1.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key
from tests.conformance.test_streams import records

VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
STORED = {
    **key("p"), "n": {"N": "1"}, "z": {"N": "0"}, "s": {"S": "x"}, "b": {"B": b"x"}, "t": {"BOOL": True},
    "e": {"S": ""},
    "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": [b"1", b"2"]},
    "l": {"L": [{"N": "1"}, {"S": "x"}]}, "m": {"M": {"a": {"N": "1"}, "b": {"M": {}}}},
    "nil": {"NULL": True},
}  # fmt: skip
SAME: dict[str, dict[str, Any]] = {
    "the same item": {},
    "attributes in another order": dict(reversed(STORED.items())),
    "a number in another spelling": {"n": {"N": "1.00"}},
    "a number with an exponent": {"n": {"N": "10E-1"}},
    "zero in another spelling": {"z": {"N": "-0.0"}},
    "a set of strings in another order": {"ss": {"SS": ["b", "a"]}},
    "a set of numbers in another order and spelling": {"ns": {"NS": ["2.0", "1"]}},
    "a set of binaries in another order": {"bs": {"BS": [b"2", b"1"]}},
    "members of a map in another order": {"m": {"M": {"b": {"M": {}}, "a": {"N": "1.0"}}}},
}
OTHER: dict[str, dict[str, Any]] = {
    "a list in another order": {"l": {"L": [{"S": "x"}, {"N": "1"}]}},
    "a string instead of a number": {"n": {"S": "1"}},
    "a binary instead of a string": {"s": {"B": b"x"}},
    "a list instead of a set": {"ss": {"L": [{"S": "a"}, {"S": "b"}]}},
    "false instead of true": {"t": {"BOOL": False}},
    "one more member of a set": {"ss": {"SS": ["a", "b", "c"]}},
    "a difference deep inside": {"m": {"M": {"a": {"N": "1"}, "b": {"M": {"c": {"NULL": True}}}}}},
    "an attribute more": {"more": {"S": ""}},
}


def names(api: Conformance) -> list[str]:
    return [one["eventName"] for one in records(api)]


def write(api: Conformance, how: str, item: dict[str, Any]) -> None:
    put = {"TableName": "things", "Item": item}
    match how:
        case "PutItem":
            api.dynamodb.put_item(**put)
        case "BatchWriteItem":
            api.dynamodb.batch_write_item(RequestItems={"things": [{"PutRequest": {"Item": item}}]})
        case _:
            api.dynamodb.transact_write_items(TransactItems=[{"Put": put}])


@pytest.mark.parametrize("how", ["PutItem", "BatchWriteItem", "TransactWriteItems"])
@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_an_item_of_the_same_value_leaves_no_record(
    things: Conformance, how: str, changes: dict[str, Any]
) -> None:
    things.dynamodb.put_item(TableName="things", Item=STORED)
    write(things, how, {**STORED, **changes})
    assert names(things) == ["INSERT"]


@pytest.mark.parametrize("how", ["PutItem", "BatchWriteItem", "TransactWriteItems"])
@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_an_item_of_another_value_is_one_modification(
    things: Conformance, how: str, changes: dict[str, Any]
) -> None:
    things.dynamodb.put_item(TableName="things", Item=STORED)
    write(things, how, {**STORED, **changes})
    assert names(things) == ["INSERT", "MODIFY"]


UPDATES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "SET of the value it has": ("SET n = :v", {":v": {"N": "1.0"}}, False),
    "SET of an attribute to itself": ("SET n = n", {}, False),
    "SET inside a map of what is there": ("SET m.a = :v", {":v": {"N": "1"}}, False),
    "SET that adds nothing": ("SET n = n + :v", {":v": {"N": "0"}}, False),
    "SET of an empty list behind a list": ("SET l = list_append(l, :v)", {":v": {"L": []}}, False),
    "SET if_not_exists of what exists": ("SET n = if_not_exists(n, :v)", {":v": {"N": "9"}}, False),
    "REMOVE of what is absent": ("REMOVE nothing", {}, False),
    "REMOVE of an absent member of a map": ("REMOVE m.nothing", {}, False),
    "REMOVE beyond the end of a list": ("REMOVE l[7]", {}, False),
    "ADD of zero": ("ADD n :v", {":v": {"N": "0"}}, False),
    "ADD of members that are there": ("ADD ss :v", {":v": {"SS": ["b"]}}, False),
    "DELETE of members that are not there": ("DELETE ss :v", {":v": {"SS": ["c"]}}, False),
    "DELETE from an absent set": ("DELETE nothing :v", {":v": {"SS": ["c"]}}, False),
    "SET of another value": ("SET n = :v", {":v": {"N": "2"}}, True),
    "ADD of one": ("ADD n :v", {":v": {"N": "1"}}, True),
    "ADD of zero to what is absent": ("ADD fresh :v", {":v": {"N": "0"}}, True),
    "ADD of a new member": ("ADD ss :v", {":v": {"SS": ["b", "c"]}}, True),
    "DELETE of every member": ("DELETE ss :v", {":v": {"SS": ["a", "b"]}}, True),
    "REMOVE of what is there": ("REMOVE n", {}, True),
}


@pytest.mark.parametrize("how", ["UpdateItem", "TransactWriteItems"])
@pytest.mark.parametrize(("text", "values", "changes"), UPDATES.values(), ids=UPDATES)
def test_only_an_update_that_changes_something_leaves_a_record(
    things: Conformance, how: str, text: str, values: dict[str, Any], changes: bool
) -> None:
    things.dynamodb.put_item(TableName="things", Item=STORED)
    given = {"ExpressionAttributeValues": values} if values else {}
    update = {"TableName": "things", "Key": key("p"), "UpdateExpression": text, **given}
    if how == "UpdateItem":
        things.dynamodb.update_item(**update)
    else:
        things.dynamodb.transact_write_items(TransactItems=[{"Update": update}])
    assert names(things) == ["INSERT"] + ["MODIFY"] * changes


@pytest.mark.parametrize(
    ("text", "stored", "events"),
    [
        (None, key("p"), ["INSERT"]),
        ("REMOVE a", None, []),
        ("REMOVE a, b", None, []),
        ("DELETE a :v", None, []),
        ("ADD a :v", {**key("p"), "a": {"SS": ["x"]}}, ["INSERT"]),
        ("SET a = :v", {**key("p"), "a": {"SS": ["x"]}}, ["INSERT"]),
        ("SET a = :v REMOVE b", {**key("p"), "a": {"SS": ["x"]}}, ["INSERT"]),
    ],
)
def test_an_update_of_an_absent_item_creates_it_unless_it_only_takes_away(
    things: Conformance, text: str | None, stored: dict[str, Any] | None, events: list[str]
) -> None:
    more: dict[str, Any] = {} if text is None else {"UpdateExpression": text}
    if text is not None and ":v" in text:
        more["ExpressionAttributeValues"] = {":v": {"SS": ["x"]}}
    things.dynamodb.update_item(TableName="things", Key=key("p"), **more)
    assert (things.get("p"), names(things)) == (stored, events)


# ---- what a record shows -----------------------------------------------------------------------------------


NAME = {"name": {"S": "Fred"}}
STEPS: list[tuple[dict[str, Any] | None, str]] = [
    (key("p"), "INSERT"), ({**key("p"), **NAME}, "MODIFY"), (key("p"), "MODIFY"), (None, "REMOVE"),
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_images_are_there_as_view_and_change_say(api: Conformance, view: str) -> None:
    api.table(view=view)
    expected: list[dict[str, Any]] = []
    old: dict[str, Any] | None = None
    for item, _ in STEPS:
        if item is None:
            api.dynamodb.delete_item(TableName="things", Key=key("p"))
        else:
            api.dynamodb.put_item(TableName="things", Item=item)
        images: dict[str, Any] = {}
        if item is not None and view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            images["NewImage"] = item
        if old is not None and view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            images["OldImage"] = old
        expected.append({"Keys": key("p"), **images, "StreamViewType": view})
        old = item
    changes = records(api)
    volatile = ("ApproximateCreationDateTime", "SequenceNumber", "SizeBytes")
    assert [one["eventName"] for one in changes] == [name for _, name in STEPS]
    shown = [
        {name: data for name, data in one["dynamodb"].items() if name not in volatile} for one in changes
    ]
    assert shown == expected


def test_a_record_has_these_members_and_no_other(things: Conformance) -> None:
    things.put("p")
    (record,) = records(things)
    assert set(record) == {"eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb"}
    assert set(record["dynamodb"]) == {
        "ApproximateCreationDateTime",
        "Keys",
        "NewImage",
        "SequenceNumber",
        "SizeBytes",
        "StreamViewType",
    }
    assert set(record["eventID"]) <= set("0123456789abcdef")
    assert record["awsRegion"] == "us-east-1"
    number = record["dynamodb"]["SequenceNumber"]
    assert (number.isdigit(), 21 <= len(number) <= 40) == (True, True)


def test_images_carry_every_type_as_it_is_stored(things: Conformance) -> None:
    things.dynamodb.put_item(TableName="things", Item=STORED)
    (record,) = records(things)
    stored = things.get("p")
    assert (record["dynamodb"]["NewImage"], record["dynamodb"]["Keys"]) == (stored, key("p"))
    assert stored == STORED


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [("S", "é", "é"), ("N", "01.50", "1.5"), ("N", "-1E2", "-100"), ("B", "AAE=", "AAE=")],
)
def test_keys_of_every_type_are_normalised(api: Conformance, kind: str, given: str, shown: str) -> None:
    api.dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": kind}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    api.raw("PutItem", {"TableName": "things", "Item": {"id": {kind: given}, "a": {"S": "b"}}})
    stream = api.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    target = "DynamoDBStreams_20120810"
    shard = api.raw("DescribeStream", {"StreamArn": stream}, target)[1]["StreamDescription"]["Shards"][0][
        "ShardId"
    ]
    start = {"StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    token = api.raw("GetShardIterator", start, target)[1]["ShardIterator"]
    (record,) = api.raw("GetRecords", {"ShardIterator": token}, target)[1]["Records"]
    assert record["dynamodb"]["Keys"] == {"id": {kind: shown}}


# ---- what leaves none, and what leaves several -------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("PutItem",
         {"Item": {**key("p"), "n": {"N": "2"}}, "ConditionExpression": "attribute_not_exists(pk)"},
         "ConditionalCheckFailedException"),
        ("UpdateItem",
         {"Key": key("q"), "UpdateExpression": "SET n = pk", "ConditionExpression": "attribute_exists(pk)"},
         "ConditionalCheckFailedException"),
        ("UpdateItem", {"Key": key("p"), "UpdateExpression": "SET nothing.a = pk"}, "ValidationException"),
        ("DeleteItem", {"Key": key("p"), "ConditionExpression": "attribute_exists(nothing)"},
         "ConditionalCheckFailedException"),
        ("PutItem", {"Item": {**key("p"), "big": {"S": "x" * 409_600}}}, "ValidationException"),
    ],
)  # fmt: skip
def test_a_refused_write_leaves_no_record(
    things: Conformance, operation: str, parameters: dict[str, Any], code: str
) -> None:
    things.put("p")
    assert things.refusal(operation, TableName="things", **parameters)[0] == code
    assert names(things) == ["INSERT"]


def test_a_cancelled_transaction_and_a_check_leave_no_record(things: Conformance) -> None:
    things.put("p")
    put = {"Put": {"TableName": "things", "Item": key("new")}}
    for condition, outcome in (
        ("attribute_exists(nothing)", ["INSERT"]),
        ("attribute_exists(pk)", ["INSERT"] * 2),
    ):
        check = {"TableName": "things", "Key": key("p"), "ConditionExpression": condition}
        request = {"TransactItems": [put, {"ConditionCheck": check}]}
        if len(outcome) == 1:
            assert things.refusal("TransactWriteItems", **request)[0] == "TransactionCanceledException"
        else:
            things.dynamodb.transact_write_items(**request)
        assert names(things) == outcome


def test_a_repeated_transaction_token_leaves_no_second_record(things: Conformance) -> None:
    update = {
        "TableName": "things",
        "Key": key("p"),
        "UpdateExpression": "ADD n :v",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    }
    for _ in range(3):
        things.dynamodb.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken="once")
    assert (names(things), things.get("p")) == (["INSERT"], {**key("p"), "n": {"N": "1"}})


def test_a_batch_leaves_a_record_for_each_item_that_changed(things: Conformance) -> None:
    things.put("same")
    things.put("old")
    things.put("gone")
    things.dynamodb.batch_write_item(
        RequestItems={
            "things": [
                {"PutRequest": {"Item": key("same")}},
                {"PutRequest": {"Item": key("new")}},
                {"PutRequest": {"Item": {**key("old"), "n": {"N": "1"}}}},
                {"DeleteRequest": {"Key": key("gone")}},
                {"DeleteRequest": {"Key": key("absent")}},
            ]
        }
    )
    changes = {(one["dynamodb"]["Keys"]["pk"]["S"], one["eventName"]) for one in records(things)[3:]}
    assert changes == {("new", "INSERT"), ("old", "MODIFY"), ("gone", "REMOVE")}
    assert len(records(things)) == 6


def test_delete_and_put_of_one_item_are_a_removal_and_an_insertion(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    things.dynamodb.delete_item(TableName="things", Key=key("p"))
    things.put("p", n={"N": "1"})
    assert names(things) == ["INSERT", "REMOVE", "INSERT"]


def test_a_write_to_another_table_is_not_in_this_stream(things: Conformance) -> None:
    things.table("others", view="KEYS_ONLY")
    things.put("p", table="others")
    assert names(things) == []
