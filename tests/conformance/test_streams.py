"""ListStreams, DescribeStream, GetShardIterator and GetRecords through boto3. Source: semantics §1."""

from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tests.conformance.client import Conformance, key
from tests.conformance.conftest import START_MS

SHARD_ID = "shardId-00000001780000000000-00000000"


def arn(api: Conformance, table: str = "things") -> str:
    stream_arn: str = api.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    return stream_arn


def shards(api: Conformance, stream: str | None = None) -> list[dict[str, Any]]:
    described = api.streams.describe_stream(StreamArn=stream or arn(api))["StreamDescription"]
    shards: list[dict[str, Any]] = described["Shards"]
    return shards


def iterator(api: Conformance, kind: str = "TRIM_HORIZON", stream: str | None = None, **more: str) -> str:
    stream = stream or arn(api)
    token: str = api.streams.get_shard_iterator(
        StreamArn=stream, ShardId=shards(api, stream)[0]["ShardId"], ShardIteratorType=kind, **more
    )["ShardIterator"]
    return token


def records(api: Conformance, **more: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = api.streams.get_records(ShardIterator=iterator(api), **more)["Records"]
    return records


# ---- what there is -----------------------------------------------------------------------------------------


def test_streams_are_listed_in_pages(api: Conformance) -> None:
    for name in ("one", "two", "six"):
        api.table(name, view="KEYS_ONLY")
    whole = api.streams.list_streams()["Streams"]
    assert {one["TableName"] for one in whole} == {"one", "two", "six"}
    assert api.streams.list_streams(TableName="two")["Streams"] == [
        one for one in whole if one["TableName"] == "two"
    ]
    first = api.streams.list_streams(Limit=2)
    assert first["LastEvaluatedStreamArn"] == first["Streams"][-1]["StreamArn"]
    second = api.streams.list_streams(ExclusiveStartStreamArn=first["LastEvaluatedStreamArn"])
    assert first["Streams"] + second["Streams"] == whole
    assert "LastEvaluatedStreamArn" not in second


@pytest.mark.parametrize("limit", [0, 101])
def test_list_streams_has_limits(api: Conformance, limit: int) -> None:
    assert f"Value '{limit}' at 'limit'" in api.invalid("ListStreams", Limit=limit)


def test_a_stream_is_described(things: Conformance) -> None:
    described = things.raw("DescribeStream", {"StreamArn": arn(things)}, "DynamoDBStreams_20120810")[1]
    assert described["StreamDescription"] == {
        "StreamArn": arn(things),
        "StreamLabel": arn(things).rpartition("/")[2],
        "StreamStatus": "ENABLED",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "CreationRequestDateTime": START_MS / 1000,
        "TableName": "things",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "Shards": described["StreamDescription"]["Shards"],
    }
    (shard,) = described["StreamDescription"]["Shards"]
    assert shard["ShardId"].startswith(f"shardId-{START_MS:020d}-")
    assert list(shard["SequenceNumberRange"]) == ["StartingSequenceNumber"]


def test_a_start_that_does_not_exist_gives_no_shards(things: Conformance) -> None:
    described = things.streams.describe_stream(StreamArn=arn(things), ExclusiveStartShardId=SHARD_ID)
    assert described["StreamDescription"]["Shards"] == []


def test_a_shard_that_rolls_over_has_one_child(things: Conformance, clock: ManualClock) -> None:
    things.put("p")
    (parent,) = shards(things)
    clock.advance(5 * 3_600_000)
    things.put("q")
    closed, child = shards(things)
    assert closed["ShardId"] == parent["ShardId"]
    assert "EndingSequenceNumber" in closed["SequenceNumberRange"]
    assert child["ParentShardId"] == parent["ShardId"]
    described = things.streams.describe_stream(
        StreamArn=arn(things), ShardFilter={"Type": "CHILD_SHARDS", "ShardId": parent["ShardId"]}
    )
    assert [one["ShardId"] for one in described["StreamDescription"]["Shards"]] == [child["ShardId"]]
    token = iterator(things)
    answer = things.streams.get_records(ShardIterator=token)
    while "NextShardIterator" in answer and not answer["Records"]:
        answer = things.streams.get_records(ShardIterator=answer["NextShardIterator"])
    assert [one["dynamodb"]["Keys"]["pk"]["S"] for one in answer["Records"]] == ["p"]
    while "NextShardIterator" in answer:
        answer = things.streams.get_records(ShardIterator=answer["NextShardIterator"])
        assert answer["Records"] == []


@pytest.mark.parametrize("chosen", [{"Type": "CHILD_SHARDS"}, {"ShardId": SHARD_ID}, {}])
def test_a_shard_filter_needs_both_members(things: Conformance, chosen: dict[str, str]) -> None:
    assert things.invalid("DescribeStream", StreamArn=arn(things), ShardFilter=chosen)


# ---- records -----------------------------------------------------------------------------------------------


def test_every_kind_of_change_is_a_record(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    things.put("p", n={"N": "2"})
    things.dynamodb.delete_item(TableName="things", Key=key("p"))
    inserted, modified, removed = records(things)
    assert [one["eventName"] for one in (inserted, modified, removed)] == ["INSERT", "MODIFY", "REMOVE"]
    assert {one["eventVersion"] for one in (inserted, modified, removed)} == {"1.1"}
    assert {one["eventSource"] for one in (inserted, modified, removed)} == {"aws:dynamodb"}
    assert len({one["eventID"] for one in (inserted, modified, removed)}) == 3
    assert len(inserted["eventID"]) == 32
    data = modified["dynamodb"]
    assert data["Keys"] == key("p")
    assert (data["OldImage"], data["NewImage"]) == (
        {**key("p"), "n": {"N": "1"}},
        {**key("p"), "n": {"N": "2"}},
    )
    assert (data["StreamViewType"], data["SizeBytes"]) == ("NEW_AND_OLD_IMAGES", 6 + 9 + 9)
    numbers = [int(one["dynamodb"]["SequenceNumber"]) for one in (inserted, modified, removed)]
    assert numbers == sorted(set(numbers))
    assert "OldImage" not in inserted["dynamodb"]
    assert "NewImage" not in removed["dynamodb"]


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", [set(), set(), set()]),
        ("NEW_IMAGE", [{"NewImage"}, {"NewImage"}, set()]),
        ("OLD_IMAGE", [set(), {"OldImage"}, {"OldImage"}]),
        ("NEW_AND_OLD_IMAGES", [{"NewImage"}, {"NewImage", "OldImage"}, {"OldImage"}]),
    ],
)
def test_the_view_type_chooses_the_images(api: Conformance, view: str, images: list[set[str]]) -> None:
    api.table(view=view)
    api.put("p", n={"N": "1"})
    api.put("p", n={"N": "2"})
    api.dynamodb.delete_item(TableName="things", Key=key("p"))
    assert [set(one["dynamodb"]) & {"NewImage", "OldImage"} for one in records(api)] == images


def test_what_changes_nothing_leaves_no_record(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    things.put("p", n={"N": "1.0"})
    things.dynamodb.delete_item(TableName="things", Key=key("q"))
    things.refusal("PutItem", TableName="things", Item=key("p"), ConditionExpression="attribute_exists(x)")
    things.dynamodb.update_item(TableName="things", Key=key("p"), UpdateExpression="REMOVE x")
    things.dynamodb.batch_write_item(
        RequestItems={"things": [{"PutRequest": {"Item": {**key("p"), "n": {"N": "1"}}}}]}
    )
    assert len(records(things)) == 1


def test_pages_follow_each_other(things: Conformance) -> None:
    for number in range(5):
        things.put(f"p{number}")
    first = things.streams.get_records(ShardIterator=iterator(things), Limit=2)
    again = things.streams.get_records(ShardIterator=iterator(things), Limit=2)
    assert first["Records"] == again["Records"]
    second = things.streams.get_records(ShardIterator=first["NextShardIterator"])
    names = [one["dynamodb"]["Keys"]["pk"]["S"] for one in first["Records"] + second["Records"]]
    assert names == [f"p{number}" for number in range(5)]


def test_iterators_start_where_they_say(things: Conformance) -> None:
    for number in range(3):
        things.put(f"p{number}")
    middle = records(things)[1]["dynamodb"]["SequenceNumber"]
    latest = iterator(things, "LATEST")
    things.put("p3")

    def names(token: str) -> list[str]:
        answer = things.streams.get_records(ShardIterator=token)
        return [one["dynamodb"]["Keys"]["pk"]["S"] for one in answer["Records"]]

    assert names(iterator(things, "AT_SEQUENCE_NUMBER", SequenceNumber=middle)) == ["p1", "p2", "p3"]
    assert names(iterator(things, "AFTER_SEQUENCE_NUMBER", SequenceNumber=middle)) == ["p2", "p3"]
    assert names(latest) == ["p3"]


def test_a_page_ends_at_a_megabyte(things: Conformance) -> None:
    for number in range(5):
        things.put(f"p{number}", big={"S": "x" * 380_000})
    assert 1 <= len(records(things)) < 5


# ---- refusals ----------------------------------------------------------------------------------------------


def test_an_iterator_expires_after_fifteen_minutes(things: Conformance, clock: ManualClock) -> None:
    token = iterator(things)
    clock.advance(901_000)
    code, message = things.refusal("GetRecords", ShardIterator=token)
    assert code == "ExpiredIteratorException"
    assert "tolerated delay of 900000 milliseconds" in message


def test_trimmed_data_is_said_to_be_gone(things: Conformance, clock: ManualClock) -> None:
    things.put("p")
    number = records(things)[0]["dynamodb"]["SequenceNumber"]
    clock.advance(3 * 3_600_000)
    things.put("q")
    clock.advance(22 * 3_600_000)
    shard = shards(things)[0]["ShardId"]
    assert things.refusal(
        "GetShardIterator",
        StreamArn=arn(things),
        ShardId=shard,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=number,
    ) == (
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard.",
    )
    assert [one["dynamodb"]["Keys"]["pk"]["S"] for one in records(things)] == ["q"]


@pytest.mark.parametrize(
    "token", ["x", "garbage" * 20, "arn:aws:dynamodb:us-east-1:1:table/t/stream/x|1|AAAA", "é", "A" * 2048]
)
def test_a_garbage_iterator_is_invalid(things: Conformance, token: str) -> None:
    assert things.invalid("GetRecords", ShardIterator=token) == "Invalid ShardIterator"


def test_a_damaged_iterator_is_invalid(things: Conformance) -> None:
    token = iterator(things)
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        assert things.invalid("GetRecords", ShardIterator=f"{token[:place]}{other}{token[place + 1 :]}")


@pytest.mark.parametrize("limit", [0, 1001])
def test_get_records_has_limits(things: Conformance, limit: int) -> None:
    assert f"Value '{limit}' at 'limit'" in things.invalid(
        "GetRecords", ShardIterator=iterator(things), Limit=limit
    )


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("AT_SEQUENCE_NUMBER", None), ("AFTER_SEQUENCE_NUMBER", None), ("TRIM_HORIZON", "1" * 22),
        ("LATEST", "1" * 22),
        ("AT_TIMESTAMP", None), ("AT_SEQUENCE_NUMBER", "x" * 22), ("AT_SEQUENCE_NUMBER", "1"),
    ],
)  # fmt: skip
def test_a_wrong_iterator_request_is_invalid(things: Conformance, kind: str, number: str | None) -> None:
    more = {} if number is None else {"SequenceNumber": number}
    shard = shards(things)[0]["ShardId"]
    assert things.invalid(
        "GetShardIterator", StreamArn=arn(things), ShardId=shard, ShardIteratorType=kind, **more
    )


def test_unknown_streams_and_shards_are_not_found(things: Conformance) -> None:
    unknown = "arn:aws:dynamodb:us-east-1:000000000000:table/nothing/stream/2026-01-01T00:00:00.000"
    assert things.refusal("DescribeStream", StreamArn=unknown) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {unknown} not found",
    )
    code, _ = things.refusal(
        "GetShardIterator", StreamArn=arn(things), ShardId=SHARD_ID, ShardIteratorType="LATEST"
    )
    assert code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 40,
        "arn:aws:s3:::bucket/with/a/long/name/in/it",
        "arn:aws:dynamodb:us-east-1:000000000000:table/t",
    ],
)
def test_a_malformed_arn_is_invalid(things: Conformance, text: str) -> None:
    assert things.invalid("DescribeStream", StreamArn=text)


def test_a_deleted_tables_stream_stays_readable(things: Conformance) -> None:
    things.put("p")
    stream = arn(things)
    things.dynamodb.delete_table(TableName="things")
    token = iterator(things, stream=stream)
    answer = things.streams.get_records(ShardIterator=token)
    assert [one["eventName"] for one in answer["Records"]] == ["INSERT"]
