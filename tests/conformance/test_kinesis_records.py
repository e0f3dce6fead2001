"""PutRecord, PutRecords, GetShardIterator and GetRecords through boto3. Source: semantics §5; fleet §4.1."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tests.conformance.client import Conformance
from tests.conformance.conftest import START_MS
from tests.conformance.kinesis import ACCOUNT, read, refused, shard_ids, stream, token

LAST_HASH = str(2**128 - 1)


def texts(answer: dict[str, Any]) -> list[bytes]:
    return [record["Data"] for record in answer["Records"]]


def test_a_record_is_read_as_it_was_put(api: Conformance) -> None:
    stream(api)
    put = api.kinesis.put_record(StreamName="orders", Data=b"\x00\xff", PartitionKey="ключ")
    answer = read(api, shard_ids(api)[0])
    assert put["ShardId"] == "shardId-000000000000"
    assert answer["Records"] == [
        {
            "SequenceNumber": put["SequenceNumber"],
            "ApproximateArrivalTimestamp": datetime.fromtimestamp(START_MS / 1_000, UTC),
            "Data": b"\x00\xff",
            "PartitionKey": "ключ",
        }
    ]
    assert answer["MillisBehindLatest"] == 0
    assert "ChildShards" not in answer


def test_times_have_milliseconds(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    clock.advance(123)
    api.kinesis.put_record(StreamName="orders", Data=b"", PartitionKey="a")
    status, answer = api.raw("GetRecords", {"ShardIterator": token(api)}, "Kinesis_20131202")
    assert (status, answer["Records"][0]["ApproximateArrivalTimestamp"]) == (200, START_MS / 1_000 + 0.123)
    assert answer["Records"][0]["Data"] == ""


def test_the_md5_of_the_partition_key_or_an_explicit_hash_chooses_the_shard(api: Conformance) -> None:
    stream(api, shards=2)
    low, high = shard_ids(api)
    put = api.kinesis.put_record
    assert put(StreamName="orders", Data=b"", PartitionKey="a")["ShardId"] == low  # 0cc175b9…
    assert put(StreamName="orders", Data=b"", PartitionKey="0")["ShardId"] == high  # cfcd2084…
    for key, shard in (("0", low), (str(2**127 - 1), low), (str(2**127), high), (LAST_HASH, high)):
        assert put(StreamName="orders", Data=b"", PartitionKey="a", ExplicitHashKey=key)["ShardId"] == shard


def test_a_hash_beyond_the_space_is_refused(api: Conformance) -> None:
    stream(api)
    key = str(2**128)
    assert refused(api, "put_record", Data=b"", PartitionKey="a", ExplicitHashKey=key) == (
        "InvalidArgumentException",
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was "
        f"{key}",
    )


def test_numbers_rise_and_a_number_for_ordering_is_checked_for_its_form(api: Conformance) -> None:
    stream(api)
    first = api.kinesis.put_record(StreamName="orders", Data=b"", PartitionKey="a")["SequenceNumber"]
    second = api.kinesis.put_record(
        StreamName="orders", Data=b"", PartitionKey="a", SequenceNumberForOrdering=first
    )["SequenceNumber"]
    assert int(first) < int(second)
    assert refused(api, "put_record", Data=b"", PartitionKey="a", SequenceNumberForOrdering="4") == (
        "InvalidArgumentException",
        f"ExclusiveMinimumSequenceNumber 4 used in PutRecord on stream orders under account {ACCOUNT} is "
        "invalid.",
    )


def test_several_records_have_answers_in_their_order(api: Conformance) -> None:
    stream(api, shards=2)
    answer = api.kinesis.put_records(
        StreamName="orders",
        Records=[{"Data": key.encode(), "PartitionKey": key} for key in ("a", "0", "b")],
    )
    low, high = shard_ids(api)
    assert answer["FailedRecordCount"] == 0
    assert [one["ShardId"] for one in answer["Records"]] == [low, high, high]
    assert texts(read(api, low)) == [b"a"]
    assert texts(read(api, high)) == [b"0", b"b"]


@pytest.mark.parametrize("wrong", [{"ExplicitHashKey": str(2**128)}, {"Data": b"x" * 1_048_576}])
def test_a_wrong_entry_keeps_all_from_being_written(api: Conformance, wrong: dict[str, Any]) -> None:
    stream(api)
    records = [{"Data": b"good", "PartitionKey": "a"}, {"Data": b"", "PartitionKey": "a", **wrong}]
    assert refused(api, "put_records", Records=records)[0] == "InvalidArgumentException"
    assert texts(read(api)) == []


@pytest.mark.parametrize(("count", "is_taken"), [(1, True), (500, True), (501, False), (0, False)])
def test_a_put_has_one_to_five_hundred_records(api: Conformance, count: int, is_taken: bool) -> None:
    stream(api)
    records = [{"Data": b"", "PartitionKey": "a"}] * count
    if is_taken:
        api.kinesis.put_records(StreamName="orders", Records=records)
    else:
        code, message = refused(api, "put_records", Records=records)
        assert (code, "at 'records' failed to satisfy constraint" in message) == ("ValidationException", True)


def test_a_record_may_be_a_mebibyte_with_its_key_and_not_a_byte_more(api: Conformance) -> None:
    stream(api)
    api.kinesis.put_record(StreamName="orders", Data=b"x" * (1_048_576 - 1), PartitionKey="a")
    code, message = refused(api, "put_record", Data=b"x" * 1_048_576, PartitionKey="a")
    assert (code, "1048577 bytes" in message) == ("InvalidArgumentException", True)


def test_a_stream_may_have_records_of_ten_mebibytes(api: Conformance) -> None:
    api.kinesis.create_stream(StreamName="orders", ShardCount=1, MaxRecordSizeInKiB=10_240)
    data = b"x" * (10_240 * 1_024 - 1)
    api.kinesis.put_record(StreamName="orders", Data=data, PartitionKey="a")
    assert texts(read(api)) == [data]
    code, message = refused(api, "put_record", Data=data + b"xx", PartitionKey="a")
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]' at "
        "'data' failed to satisfy constraint: Member must have length less than or equal to 10485760",
    )


def test_all_records_of_a_put_have_ten_mebibytes(api: Conformance) -> None:
    stream(api)
    entry = {"Data": b"x" * (1_048_576 - 1), "PartitionKey": "a"}
    api.kinesis.put_records(StreamName="orders", Records=[entry] * 10)
    code, message = refused(api, "put_records", Records=[entry] * 10 + [{"Data": b"", "PartitionKey": "a"}])
    assert (code, "10485761 bytes" in message) == ("InvalidArgumentException", True)


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_a_partition_key_has_one_to_256_characters(api: Conformance, key: str) -> None:
    stream(api)
    code, message = refused(api, "put_record", Data=b"", PartitionKey=key)
    assert (code, f"Value '{key}' at 'partitionKey'" in message) == ("ValidationException", True)


def test_a_record_without_a_partition_key_is_refused(api: Conformance) -> None:
    stream(api)
    assert refused(api, "put_record", Data=b"") == (
        "ValidationException",
        "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: "
        "Member must not be null",
    )


def test_data_that_is_no_base64_is_refused(api: Conformance) -> None:
    stream(api)
    payload = {"StreamName": "orders", "Data": "a", "PartitionKey": "a"}
    status, answer = api.raw("PutRecord", payload, "Kinesis_20131202")
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert api.raw("PutRecord", {**payload, "Data": 7}, "Kinesis_20131202")[1] == {
        "__type": "SerializationException",
        "message": "NUMBER_VALUE cannot be converted to ByteBuffer",
    }


def test_a_dry_run_writes_nothing_and_says_that_it_would_have_gone_well(api: Conformance) -> None:
    stream(api)
    tried = ("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")
    assert refused(api, "put_record", Data=b"", PartitionKey="a", DryRun=True) == tried
    records = [{"Data": b"", "PartitionKey": "a"}]
    assert refused(api, "put_records", Records=records, DryRun=True) == tried
    assert refused(
        api, "get_shard_iterator", ShardId=shard_ids(api)[0], ShardIteratorType="LATEST", DryRun=True
    ) == tried  # fmt: skip
    assert refused(api, "get_records", name=None, ShardIterator=token(api), DryRun=True) == tried
    assert texts(read(api)) == []


# ---- iterators ---------------------------------------------------------------------------------------------


def put(api: Conformance, *data: bytes) -> list[str]:
    """Numbers of records that were put one after the other."""
    return [
        api.kinesis.put_record(StreamName="orders", Data=one, PartitionKey="a")["SequenceNumber"]
        for one in data
    ]


def test_an_iterator_begins_at_after_before_and_behind(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    _, second = put(api, b"1", b"2")
    clock.advance(1_000)
    latest = token(api, "LATEST")
    put(api, b"3")

    def after(kind: str, **more: Any) -> list[bytes]:
        return texts(api.kinesis.get_records(ShardIterator=token(api, kind, **more)))

    assert after("TRIM_HORIZON") == [b"1", b"2", b"3"]
    assert after("AT_SEQUENCE_NUMBER", StartingSequenceNumber=second) == [b"2", b"3"]
    assert after("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=second) == [b"3"]
    assert after("AT_TIMESTAMP", Timestamp=START_MS / 1_000) == [b"1", b"2", b"3"]
    assert after("AT_TIMESTAMP", Timestamp=START_MS / 1_000 + 0.001) == [b"3"]
    assert after("AT_TIMESTAMP", Timestamp=0) == [b"1", b"2", b"3"]
    assert texts(api.kinesis.get_records(ShardIterator=latest)) == [b"3"]
    assert texts(api.kinesis.get_records(ShardIterator=latest)) == [b"3"]  # a position, not a cursor


def test_a_shards_own_first_and_last_number_are_positions(api: Conformance) -> None:
    stream(api)
    put(api, b"1")
    api.kinesis.split_shard(
        StreamName="orders", ShardToSplit=shard_ids(api)[0], NewStartingHashKey=str(2**127)
    )
    numbers = api.kinesis.list_shards(StreamName="orders")["Shards"][0]["SequenceNumberRange"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        begin = token(api, kind, StartingSequenceNumber=numbers["StartingSequenceNumber"])
        assert texts(api.kinesis.get_records(ShardIterator=begin)) == [b"1"]
        end = token(api, kind, StartingSequenceNumber=numbers["EndingSequenceNumber"])
        answer = api.kinesis.get_records(ShardIterator=end)
        assert (answer["Records"], "NextShardIterator" in answer) == ([], False)


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("AT_SEQUENCE_NUMBER", {}, "AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        ("AFTER_SEQUENCE_NUMBER", {}, "AFTER_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        ("LATEST", {"StartingSequenceNumber": "0"}, "LATEST and also a StartingSequenceNumber."),
        ("TRIM_HORIZON", {"StartingSequenceNumber": "0"}, "TRIM_HORIZON and also a StartingSequenceNumber."),
    ],
)  # fmt: skip
def test_a_kind_of_iterator_has_what_it_needs_and_nothing_else(
    api: Conformance, kind: str, more: dict[str, str], message: str
) -> None:
    stream(api)
    shard = shard_ids(api)[0]
    assert refused(api, "get_shard_iterator", ShardId=shard, ShardIteratorType=kind, **more) == (
        "InvalidArgumentException",
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
        f"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {message}",
    )


def test_a_moment_needs_a_time_that_has_come(api: Conformance) -> None:
    stream(api)
    shard = shard_ids(api)[0]
    assert refused(api, "get_shard_iterator", ShardId=shard, ShardIteratorType="AT_TIMESTAMP") == (
        "InvalidArgumentException",
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no "
        "timestamp parameter.",
    )
    late = START_MS / 1_000 + 1
    assert refused(
        api, "get_shard_iterator", ShardId=shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=late
    ) == (
        "InvalidArgumentException",
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
        f"timestampInMillis: {START_MS + 1_000}, currentTimestampInMillis: {START_MS}",
    )


def test_a_number_of_another_shard_or_stream_is_refused(api: Conformance) -> None:
    stream(api, shards=2)
    low, high = shard_ids(api)
    (number,) = put(api, b"1")

    def told(shard: str, number: str) -> tuple[str, str]:
        return refused(
            api,
            "get_shard_iterator",
            ShardId=shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=number,
        )

    assert told(high, number) == (
        "InvalidArgumentException",
        f"Invalid StartingSequenceNumber. It encodes {low}, while it was used in a call to a shard with "
        f"{high}",
    )
    strange = "49590338271490256608559692538361571095921575989136588898"
    for other in (strange, "0"):
        assert told(low, other) == (
            "InvalidArgumentException",
            f"StartingSequenceNumber {other} used in GetShardIterator on shard {low} in stream orders under "
            f"account {ACCOUNT} is invalid because it did not come from this stream.",
        )


def test_an_unknown_shard_is_not_there(api: Conformance) -> None:
    stream(api)
    shard = "shardId-000000000007"
    assert refused(api, "get_shard_iterator", ShardId=shard, ShardIteratorType="LATEST") == (
        "ResourceNotFoundException",
        f"Shard {shard} in stream orders under account {ACCOUNT} does not exist",
    )


def test_an_iterator_lives_five_minutes(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    made = token(api)
    clock.advance(300_000)
    assert api.kinesis.get_records(ShardIterator=made)["Records"] == []
    clock.advance(1)
    assert refused(api, "get_records", name=None, ShardIterator=made) == (
        "ExpiredIteratorException",
        "Iterator expired. The iterator was created at time Thu May 28 20:26:40 UTC 2026 while right now it "
        "is Thu May 28 20:31:40 UTC 2026 which is further in the future than the tolerated delay of 300000 "
        "milliseconds.",
    )


def test_an_iterator_is_short_and_garbage_is_refused(api: Conformance) -> None:
    long = "x" * 128
    api.kinesis.create_stream(StreamName=long, ShardCount=1)
    made = token(api, name=long)
    assert len(made) <= 512
    for garbage in ("x", made[:-1], made[1:], made + "="):
        assert refused(api, "get_records", name=None, ShardIterator=garbage) == (
            "InvalidArgumentException", "Invalid ShardIterator.",
        )  # fmt: skip


def test_an_iterator_of_a_stream_that_was_made_anew_is_of_no_shard(api: Conformance) -> None:
    stream(api)
    made = token(api)
    api.kinesis.delete_stream(StreamName="orders")
    assert refused(api, "get_records", name=None, ShardIterator=made) == (
        "ResourceNotFoundException", f"Stream orders under account {ACCOUNT} not found.",
    )  # fmt: skip
    stream(api)
    assert refused(api, "get_records", name=None, ShardIterator=made)[0] == "ResourceNotFoundException"


# ---- pages -------------------------------------------------------------------------------------------------


def test_a_page_has_as_many_records_as_asked_for_and_says_how_far_it_is_behind(
    api: Conformance, clock: ManualClock
) -> None:
    stream(api)
    put(api, b"1")
    clock.advance(1_000)
    put(api, b"2", b"3")
    clock.advance(500)
    first = api.kinesis.get_records(ShardIterator=token(api), Limit=1)
    assert (texts(first), first["MillisBehindLatest"]) == ([b"1"], 1_500)
    second = api.kinesis.get_records(ShardIterator=first["NextShardIterator"], Limit=1)
    assert (texts(second), second["MillisBehindLatest"]) == ([b"2"], 500)
    third = api.kinesis.get_records(ShardIterator=second["NextShardIterator"])
    assert (texts(third), third["MillisBehindLatest"]) == ([b"3"], 0)
    exact = api.kinesis.get_records(ShardIterator=second["NextShardIterator"], Limit=1)
    assert (texts(exact), exact["MillisBehindLatest"]) == ([b"3"], 0)


@pytest.mark.parametrize("limit", [0, 10_001])
def test_a_limit_is_from_one_to_ten_thousand(api: Conformance, limit: int) -> None:
    stream(api)
    code, message = refused(api, "get_records", name=None, ShardIterator=token(api), Limit=limit)
    assert (code, f"Value '{limit}' at 'limit'" in message) == ("ValidationException", True)


def test_a_page_has_ten_mebibytes_at_most(api: Conformance) -> None:
    stream(api)
    for _ in range(2):
        api.kinesis.put_records(
            StreamName="orders", Records=[{"Data": b"x" * 1_000_000, "PartitionKey": "a"}] * 7
        )
    first = api.kinesis.get_records(ShardIterator=token(api))
    assert len(first["Records"]) == 10
    second = api.kinesis.get_records(ShardIterator=first["NextShardIterator"])
    assert len(second["Records"]) == 4


def test_a_closed_shard_ends_with_its_children_and_only_there(api: Conformance) -> None:
    stream(api)
    put(api, b"1", b"2")
    (parent,) = shard_ids(api)
    api.kinesis.split_shard(StreamName="orders", ShardToSplit=parent, NewStartingHashKey=str(2**127))
    first = api.kinesis.get_records(ShardIterator=token(api), Limit=1)
    assert (texts(first), "ChildShards" in first) == ([b"1"], False)
    last = api.kinesis.get_records(ShardIterator=first["NextShardIterator"])
    assert (texts(last), "NextShardIterator" in last) == ([b"2"], False)
    assert [(one["ShardId"], one["ParentShards"]) for one in last["ChildShards"]] == [
        ("shardId-000000000001", [parent]),
        ("shardId-000000000002", [parent]),
    ]
    assert last["ChildShards"][1]["HashKeyRange"] == {
        "StartingHashKey": str(2**127), "EndingHashKey": LAST_HASH,
    }  # fmt: skip


# ---- retention ---------------------------------------------------------------------------------------------


def test_a_record_is_read_for_exactly_its_retention(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    put(api, b"1")
    clock.advance(1)
    put(api, b"2")
    clock.advance(24 * 3_600_000 - 1)
    assert texts(read(api)) == [b"1", b"2"]
    clock.advance(1)
    assert texts(read(api)) == [b"2"]


def test_a_position_before_the_horizon_is_the_oldest_record(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    (first,) = put(api, b"1")
    clock.advance(24 * 3_600_000 + 1)
    put(api, b"2")
    begin = token(api, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=first)
    assert texts(api.kinesis.get_records(ShardIterator=begin)) == [b"2"]


def test_records_are_removed_when_they_are_old_and_closed_shards_with_them(
    api: Conformance, clock: ManualClock
) -> None:
    stream(api)
    put(api, *(b"%d" % number for number in range(450)))
    api.kinesis.split_shard(
        StreamName="orders", ShardToSplit=shard_ids(api)[0], NewStartingHashKey=str(2**127)
    )
    clock.advance(24 * 3_600_000 + 1)
    assert shard_ids(api) == ["shardId-000000000001", "shardId-000000000002"]
    for _ in range(3):
        for _ in api.engine.housekeeping():
            api.engine.committer.flush()
    assert api.engine.committer.store.read_log(1, 0, 10) == []
    assert refused(
        api, "get_shard_iterator", ShardId="shardId-000000000000", ShardIteratorType="LATEST"
    )[0] == "ResourceNotFoundException"  # fmt: skip
