"""Where an iterator begins: every type, its members, its bounds, and reading on from there. Source: semantics
§1.1, §1.6, §1.7.
"""

from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance
from tests.conformance.conftest import START_MS
from tests.conformance.test_streams import SHARD_ID, arn, iterator, records, shards
from tests.conformance.test_streams_exact import DAY_MS, NEVER_ROLLS, TRIMMED, names

STREAMS = "DynamoDBStreams_20120810"
SOME_NUMBER = "1" * 22


def ask(api: Conformance, kind: str, **members: Any) -> tuple[int, dict[str, Any]]:
    """GetShardIterator as raw JSON: boto3 cuts timestamps to whole seconds."""
    shard = shards(api)[0]["ShardId"]
    request = {"StreamArn": arn(api), "ShardId": shard, "ShardIteratorType": kind, **members}
    return api.raw("GetShardIterator", request, STREAMS)


def read(api: Conformance, token: str) -> list[str]:
    return names(api.streams.get_records(ShardIterator=token))


@pytest.fixture
def three(api: Conformance, clock: ManualClock) -> Conformance:
    """p0 is written at 0.250 s, p1 at 1.250 s, p2 at 2.250 s; now it is 3.250 s."""
    api.table(view="KEYS_ONLY")
    clock.advance(250)
    for number in range(3):
        api.put(f"p{number}")
        clock.advance(1_000)
    return api


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (-10 * DAY_MS, ["p0", "p1", "p2"]), (0, ["p0", "p1", "p2"]), (250, ["p0", "p1", "p2"]),
        (251, ["p1", "p2"]),
        (1_250, ["p1", "p2"]), (1_251, ["p2"]), (2_250, ["p2"]), (2_251, []), (3_250, []),
    ],
)  # fmt: skip
def test_a_timestamp_is_the_first_record_at_or_after_it(
    three: Conformance, offset: int, expected: list[str]
) -> None:
    status, answer = ask(three, "AT_TIMESTAMP", Timestamp=(START_MS + offset) / 1_000)
    assert status == 200, answer
    assert read(three, answer["ShardIterator"]) == expected


def test_what_is_written_after_a_timestamp_of_now_follows(three: Conformance) -> None:
    token = ask(three, "AT_TIMESTAMP", Timestamp=(START_MS + 3_250) / 1_000)[1]["ShardIterator"]
    three.put("p3")
    assert read(three, token) == ["p3"]


def test_a_timestamp_in_the_future_is_invalid(three: Conformance) -> None:
    for late in (START_MS + 3_251, 10**18):
        status, answer = ask(three, "AT_TIMESTAMP", Timestamp=late / 1_000)
        assert (status, answer["__type"]) == (400, "com.amazon.coral.validate#ValidationException")


def test_a_timestamp_before_the_horizon_is_the_horizon(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock, NEVER_ROLLS))
    api.table(view="KEYS_ONLY")
    api.put("p0")
    clock.advance(1_000)
    api.put("p1")
    clock.advance(DAY_MS - 999)  # p0 is older than a day, p1 is not
    for written in (START_MS - 1_000, START_MS, START_MS + 1):
        token = ask(api, "AT_TIMESTAMP", Timestamp=written / 1_000)[1]["ShardIterator"]
        assert read(api, token) == ["p1"]


def test_boto3_may_ask_with_the_time_that_a_record_shows(three: Conformance) -> None:
    shown = records(three)[1]["dynamodb"]["ApproximateCreationDateTime"]
    assert read(three, iterator(three, "AT_TIMESTAMP", Timestamp=shown)) == ["p1", "p2"]


@pytest.mark.parametrize(("wrong", "token"), [("soon", "STRING_VALUE"), (True, "TRUE_VALUE")])
def test_a_timestamp_is_a_number(three: Conformance, wrong: object, token: str) -> None:
    status, answer = ask(three, "AT_TIMESTAMP", Timestamp=wrong)
    assert (status, answer["__type"].partition("#")[2]) == (400, "SerializationException")
    assert answer["Message"] == f"{token} cannot be converted to Date"


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("AT_TIMESTAMP", {}), ("AT_TIMESTAMP", {"SequenceNumber": SOME_NUMBER}),
        ("AT_TIMESTAMP", {"Timestamp": 1.0, "SequenceNumber": SOME_NUMBER}),
        ("AT_SEQUENCE_NUMBER", {}), ("AFTER_SEQUENCE_NUMBER", {}), ("AT_SEQUENCE_NUMBER", {"Timestamp": 1.0}),
        ("TRIM_HORIZON", {"SequenceNumber": SOME_NUMBER}), ("LATEST", {"SequenceNumber": SOME_NUMBER}),
        ("LATEST", {"Timestamp": 1.0}),
        ("AT_SEQUENCE_NUMBER", {"SequenceNumber": "1" * 20}),
        ("AT_SEQUENCE_NUMBER", {"SequenceNumber": "1" * 41}),
        ("AT_SEQUENCE_NUMBER", {"SequenceNumber": "x" * 21}),
        ("AT_SEQUENCE_NUMBER", {"SequenceNumber": "9" * 40}),
        ("latest", {}), ("AT_POINT", {}), ("", {}),
    ],
)  # fmt: skip
def test_members_that_do_not_belong_to_the_type_are_invalid(
    three: Conformance, kind: str, members: dict[str, Any]
) -> None:
    status, answer = ask(three, kind, **members)
    assert (status, answer["__type"]) == (400, "com.amazon.coral.validate#ValidationException")


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
@pytest.mark.parametrize("number", ["0" * 21, "000000000000000000001", "1" * 21])
def test_a_number_older_than_any_is_trimmed(three: Conformance, kind: str, number: str) -> None:
    status, answer = ask(three, kind, SequenceNumber=number)
    assert (status, answer["__type"].partition("#")[2], answer["message"]) == (400, *TRIMMED)


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_the_number_a_shard_starts_with_is_a_position(three: Conformance, kind: str) -> None:
    starting = shards(three)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert 21 <= len(starting) <= 40
    token = iterator(three, kind, SequenceNumber=starting)
    assert read(three, token)[-2:] == ["p1", "p2"]


def test_the_number_a_shard_ends_with_is_its_end(three: Conformance) -> None:
    three.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    (shard,) = shards(three)
    ending = shard["SequenceNumberRange"]["EndingSequenceNumber"]
    last = records(three)[-1]["dynamodb"]["SequenceNumber"]
    assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) <= int(last) <= int(ending)
    answer = three.streams.get_records(
        ShardIterator=iterator(three, "AFTER_SEQUENCE_NUMBER", SequenceNumber=ending)
    )
    assert (answer["Records"], "NextShardIterator" in answer) == ([], False)
    assert read(three, iterator(three, "AT_SEQUENCE_NUMBER", SequenceNumber=last)) == ["p2"]


def test_every_page_size_reads_the_same_records(three: Conformance) -> None:
    for limit in (1, 2, 3, 4, 1_000):
        token, seen = iterator(three), []
        for _ in range(5):
            page = three.streams.get_records(ShardIterator=token, Limit=limit)
            assert len(page["Records"]) <= limit
            seen += names(page)
            token = page["NextShardIterator"]
        assert seen == ["p0", "p1", "p2"]


def test_a_page_that_empties_a_closed_shard_has_no_next_iterator(three: Conformance) -> None:
    three.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    first = three.streams.get_records(ShardIterator=iterator(three), Limit=2)
    assert (names(first), "NextShardIterator" in first) == (["p0", "p1"], True)
    second = three.streams.get_records(ShardIterator=first["NextShardIterator"], Limit=2)
    assert (names(second), "NextShardIterator" in second) == (["p2"], False)


@pytest.mark.parametrize(
    ("operation", "members", "code", "text"),
    [
        ("GetShardIterator", {"ShardId": "shardId-0"}, "ValidationException",
         "Value 'shardId-0' at 'shardId'"),
        ("GetShardIterator", {"ShardId": "x" * 66}, "ValidationException", "less than or equal to 65"),
        ("GetShardIterator", {"ShardId": "x" * 28}, "ResourceNotFoundException",
         "Requested resource not found: Shard: xxxx"),
        ("GetShardIterator", {"ShardId": "x" * 65}, "ResourceNotFoundException",
         "Requested resource not found: Shard: xxxx"),
        ("GetShardIterator", {"ShardId": SHARD_ID}, "ResourceNotFoundException",
         f"Requested resource not found: Shard: {SHARD_ID}"),
        ("GetShardIterator", {"StreamArn": "x" * 36}, "ValidationException", "greater than or equal to 37"),
        ("GetShardIterator", {"StreamArn": "x" * 1_025}, "ValidationException", "less than or equal to 1024"),
        ("GetShardIterator", {"StreamArn": "x" * 1_024}, "ValidationException", "Invalid StreamArn"),
        ("GetShardIterator", {"StreamArn": None}, "ValidationException", "Value null at 'streamArn'"),
        ("GetShardIterator", {"ShardIteratorType": None}, "ValidationException",
         "Value null at 'shardIteratorType'"),
        ("GetRecords", {"ShardIterator": None}, "ValidationException", "Value null at 'shardIterator'"),
        ("GetRecords", {"ShardIterator": ""}, "ValidationException", "greater than or equal to 1"),
        ("GetRecords", {"ShardIterator": "x" * 2_049}, "ValidationException", "less than or equal to 2048"),
        ("GetRecords", {"ShardIterator": "x" * 2_048}, "ValidationException", "Invalid ShardIterator"),
        ("GetRecords", {"Limit": "1"}, "SerializationException",
         "STRING_VALUE cannot be converted to Integer"),
        ("DescribeStream", {"StreamArn": None}, "ValidationException", "Value null at 'streamArn'"),
        ("DescribeStream", {"ExclusiveStartShardId": "x" * 27}, "ValidationException",
         "greater than or equal to 28"),
        ("DescribeStream", {"ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": "x" * 66}},
         "ValidationException", "'shardFilter.shardId'"),
        ("ListStreams", {"TableName": "ab"}, "ValidationException", "greater than or equal to 3"),
        ("ListStreams", {"ExclusiveStartStreamArn": "x" * 36}, "ValidationException",
         "greater than or equal to 37"),
    ],
)  # fmt: skip
def test_every_bound_of_the_service_model_is_kept(
    three: Conformance, operation: str, members: dict[str, Any], code: str, text: str
) -> None:
    usual: dict[str, dict[str, Any]] = {
        "GetShardIterator": {"StreamArn": arn(three), "ShardId": shards(three)[0]["ShardId"],
                             "ShardIteratorType": "LATEST"},
        "GetRecords": {"ShardIterator": iterator(three)}, "DescribeStream": {"StreamArn": arn(three)},
        "ListStreams": {},
    }  # fmt: skip
    assert three.raw(operation, usual[operation], STREAMS)[0] == 200
    status, answer = three.raw(operation, {**usual[operation], **members}, STREAMS)
    assert (status, answer["__type"].partition("#")[2]) == (400, code)
    assert text in (answer.get("message") or answer["Message"])


def test_a_trimmed_stream_still_answers_from_the_horizon(three: Conformance, clock: ManualClock) -> None:
    clock.advance(DAY_MS)
    assert read(three, iterator(three, "TRIM_HORIZON")) == []
    assert read(three, iterator(three, "LATEST")) == []
