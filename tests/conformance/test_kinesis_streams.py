"""Data streams are made, told, listed, split, merged, counted anew and deleted, through boto3.

Source: semantics §5.1–5.3; fleet §4.2.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.kinesis import lifecycle
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, client
from tests.conformance.conftest import START_MS
from tests.conformance.kinesis import ACCOUNT, ARN, refused, shard_ids, stream

HALF = str(2**127)
MADE = datetime.fromtimestamp(START_MS / 1_000, UTC)
HOUR_MS = 3_600_000


@pytest.fixture
def slow(clock: ManualClock) -> Conformance:
    """An API with AWS's delays."""
    return Conformance(Engine(MemoryStore(), clock, EngineSettings(aws_delays=True)))


def status(api: Conformance) -> str:
    told: str = api.kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"][
        "StreamStatus"
    ]
    return told


def shards(api: Conformance) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = api.kinesis.list_shards(StreamName="orders")["Shards"]
    return listed


def open_ids(api: Conformance) -> list[str]:
    return shard_ids(api, ShardFilter={"Type": "AT_LATEST"})


# ---- making and telling ------------------------------------------------------------------------------------


def test_a_stream_is_described(api: Conformance) -> None:
    stream(api, shards=2)
    told = api.kinesis.describe_stream(StreamName="orders")["StreamDescription"]
    assert {name: told[name] for name in told if name != "Shards"} == {
        "StreamName": "orders",
        "StreamARN": ARN,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "HasMoreShards": False,
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": MADE,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }
    low, high = told["Shards"]
    assert low["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**127 - 1)}
    assert high["HashKeyRange"] == {"StartingHashKey": HALF, "EndingHashKey": str(2**128 - 1)}
    assert list(low["SequenceNumberRange"]) == ["StartingSequenceNumber"]
    assert (low["ShardId"], high["ShardId"]) == ("shardId-000000000000", "shardId-000000000001")
    assert "ParentShardId" not in low


def test_a_stream_is_summed_up(api: Conformance) -> None:
    stream(api, shards=3)
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    told = api.kinesis.describe_stream_summary(StreamARN=ARN)["StreamDescriptionSummary"]
    assert {"OpenShardCount": 3, "ConsumerCount": 1, "MaxRecordSizeInKiB": 1_024}.items() <= told.items()
    assert (told["QueueCount"], told["ChannelCount"], told["StreamARN"]) == (0, 0, ARN)


def test_shards_of_a_description_come_in_pages(api: Conformance) -> None:
    stream(api, shards=101)
    first = api.kinesis.describe_stream(StreamName="orders")["StreamDescription"]
    assert (len(first["Shards"]), first["HasMoreShards"]) == (100, True)
    second = api.kinesis.describe_stream(
        StreamName="orders", ExclusiveStartShardId=first["Shards"][-1]["ShardId"]
    )["StreamDescription"]
    assert (len(second["Shards"]), second["HasMoreShards"]) == (1, False)
    two = api.kinesis.describe_stream(StreamName="orders", Limit=2)["StreamDescription"]
    assert (len(two["Shards"]), two["HasMoreShards"]) == (2, True)


def test_an_on_demand_stream_has_four_shards_and_no_count(api: Conformance) -> None:
    mode = {"StreamMode": "ON_DEMAND"}
    api.kinesis.create_stream(StreamName="orders", StreamModeDetails=mode)
    told = api.kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"]
    assert (told["OpenShardCount"], told["StreamModeDetails"]) == (4, mode)
    assert told["RecordDistributionStrategy"] == "USER_PARTITION_KEY"
    code, message = refused(api, "create_stream", name="two", StreamModeDetails=mode, ShardCount=1)
    assert (code, "ShardCount 1 must not be specified" in message) == ("ValidationException", True)
    code, message = refused(api, "create_stream", name="two")
    assert (code, "ShardCount must be specified" in message) == ("ValidationException", True)


def test_a_name_is_taken_once_an_account_and_region(api: Conformance) -> None:
    stream(api)
    assert refused(api, "create_stream", ShardCount=1) == (
        "ResourceInUseException", f"Stream orders under account {ACCOUNT} already exists.",
    )  # fmt: skip
    elsewhere = client(api.server, "kinesis", region="eu-west-1")
    assert elsewhere.list_streams()["StreamNames"] == []
    elsewhere.create_stream(StreamName="orders", ShardCount=1)
    other = client(api.server, "kinesis", key="123456789012")
    with pytest.raises(api.kinesis.exceptions.ResourceNotFoundException, match="under account 123456789012"):
        other.describe_stream(StreamName="orders")
    with pytest.raises(api.kinesis.exceptions.ResourceNotFoundException, match=f"under account {ACCOUNT}"):
        other.describe_stream(StreamARN=ARN)


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "ü"])
def test_a_name_has_one_to_128_letters(api: Conformance, name: str) -> None:
    code, message = refused(api, "create_stream", name=name, ShardCount=1)
    assert (code, f"Value '{name}' at 'streamName'" in message) == ("ValidationException", True)


def test_the_longest_name_is_taken(api: Conformance) -> None:
    stream(api, name="x" * 128)
    assert api.kinesis.list_streams()["StreamNames"] == ["x" * 128]


@pytest.mark.parametrize("count", [0, -1])
def test_a_stream_has_a_shard_at_least(api: Conformance, count: int) -> None:
    code, message = refused(api, "create_stream", ShardCount=count)
    assert (code, f"Value '{count}' at 'shardCount'" in message) == ("ValidationException", True)


@pytest.mark.parametrize("kib", [1_023, 10_241])
def test_records_are_of_one_to_ten_mebibytes(api: Conformance, kib: int) -> None:
    code, message = refused(api, "create_stream", ShardCount=1, MaxRecordSizeInKiB=kib)
    assert (code, f"Value '{kib}' at 'maxRecordSizeInKiB'" in message) == ("ValidationException", True)


def test_a_stream_that_distributes_records_itself_is_not_there_yet(api: Conformance) -> None:
    code, message = refused(api, "create_stream", ShardCount=1, RecordDistributionStrategy="AUTO")
    assert (code, "does not emulate RecordDistributionStrategy=AUTO" in message) == (
        "ValidationException", True,
    )  # fmt: skip
    api.kinesis.create_stream(
        StreamName="orders", ShardCount=1, RecordDistributionStrategy="USER_PARTITION_KEY"
    )


def test_an_account_has_a_limit_of_shards(api: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "SHARDS_AN_ACCOUNT", 4)
    stream(api, shards=3)
    code, message = refused(api, "create_stream", name="two", ShardCount=2)
    assert code == "LimitExceededException"
    assert message.startswith(
        f"This request would exceed the shard limit for the account {ACCOUNT} in us-east-1. Current shard "
        "count for the account: 3. Limit: 4. Number of additional shards that would have resulted from this "
        "request: 2."
    )
    stream(api, name="one")
    code, _ = refused(api, "split_shard", ShardToSplit=shard_ids(api)[0], NewStartingHashKey="5")
    assert code == "LimitExceededException"


def test_an_account_has_a_limit_of_on_demand_streams(
    api: Conformance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "ON_DEMAND_STREAMS", 1)
    mode = {"StreamMode": "ON_DEMAND"}
    api.kinesis.create_stream(StreamName="orders", StreamModeDetails=mode)
    assert refused(api, "create_stream", name="two", StreamModeDetails=mode)[0] == "LimitExceededException"


def test_a_stream_is_named_by_its_name_or_arn_or_both_that_agree(api: Conformance) -> None:
    stream(api)
    for named in ({"StreamName": "orders"}, {"StreamARN": ARN}, {"StreamName": "orders", "StreamARN": ARN}):
        assert api.kinesis.describe_stream(**named)["StreamDescription"]["StreamName"] == "orders"
    assert refused(api, "describe_stream", name=None) == (
        "InvalidArgumentException", "Either StreamName or StreamARN must be specified.",
    )  # fmt: skip
    assert refused(api, "describe_stream", name="others", StreamARN=ARN) == (
        "InvalidArgumentException", f"StreamName others and StreamARN {ARN} are not of one stream.",
    )  # fmt: skip
    wrong = f"{ARN}/consumer/x"
    assert refused(api, "describe_stream", name=None, StreamARN=wrong) == (
        "InvalidArgumentException", f"StreamARN {wrong} is not the ARN of a data stream.",
    )  # fmt: skip
    code, message = refused(api, "describe_stream", name=None, StreamARN="orders")
    assert (code, "at 'streamARN'" in message) == ("ValidationException", True)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("describe_stream", {}), ("describe_stream_summary", {}), ("delete_stream", {}), ("list_shards", {}),
        ("put_record", {"Data": b"", "PartitionKey": "a"}),
        ("put_records", {"Records": [{"Data": b"", "PartitionKey": "a"}]}),
        ("get_shard_iterator", {"ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}),
        ("split_shard", {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "5"}),
        ("merge_shards", {"ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-1"}),
        ("update_shard_count", {"TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}),
        ("increase_stream_retention_period", {"RetentionPeriodHours": 48}),
        ("decrease_stream_retention_period", {"RetentionPeriodHours": 24}),
        ("add_tags_to_stream", {"Tags": {"a": "b"}}), ("remove_tags_from_stream", {"TagKeys": ["a"]}),
        ("list_tags_for_stream", {}),
        ("start_stream_encryption", {"EncryptionType": "KMS", "KeyId": "k"}),
        ("stop_stream_encryption", {"EncryptionType": "KMS", "KeyId": "k"}),
        ("enable_enhanced_monitoring", {"ShardLevelMetrics": ["ALL"]}),
        ("disable_enhanced_monitoring", {"ShardLevelMetrics": ["ALL"]}),
        ("update_stream_warm_throughput", {"WarmThroughputMiBps": 1}),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_stream_that_is_not_there_is_not_found(
    api: Conformance, method: str, more: dict[str, Any]
) -> None:
    assert refused(api, method, **more) == (
        "ResourceNotFoundException", f"Stream orders under account {ACCOUNT} not found.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("update_stream_mode", {"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        ("update_max_record_size", {"StreamARN": ARN, "MaxRecordSizeInKiB": 2_048}),
        ("register_stream_consumer", {"StreamARN": ARN, "ConsumerName": "mail"}),
        ("list_stream_consumers", {"StreamARN": ARN}),
        ("describe_stream_consumer", {"StreamARN": ARN, "ConsumerName": "mail"}),
        ("deregister_stream_consumer", {"StreamARN": ARN, "ConsumerName": "mail"}),
        ("tag_resource", {"ResourceARN": ARN, "Tags": {"a": "b"}}),
        ("untag_resource", {"ResourceARN": ARN, "TagKeys": ["a"]}),
        ("list_tags_for_resource", {"ResourceARN": ARN}),
        ("put_resource_policy", {"ResourceARN": ARN, "Policy": "{}"}),
        ("get_resource_policy", {"ResourceARN": ARN}),
        ("delete_resource_policy", {"ResourceARN": ARN}),
    ],
)  # fmt: skip
def test_and_what_is_asked_by_arn_alone(api: Conformance, method: str, more: dict[str, Any]) -> None:
    assert refused(api, method, name=None, **more) == (
        "ResourceNotFoundException", f"Stream orders under account {ACCOUNT} not found.",
    )  # fmt: skip


# ---- lists -------------------------------------------------------------------------------------------------


def test_streams_are_listed_by_name_in_pages(api: Conformance, clock: ManualClock) -> None:
    for name in ("two", "one", "six"):
        stream(api, name=name)
    whole = api.kinesis.list_streams()
    assert (whole["StreamNames"], whole["HasMoreStreams"]) == (["one", "six", "two"], False)
    assert whole["StreamSummaries"][0] == {
        "StreamName": "one",
        "StreamARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/one",
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "StreamCreationTimestamp": MADE,
    }
    first = api.kinesis.list_streams(Limit=2)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["one", "six"], True)
    assert api.kinesis.list_streams(NextToken=first["NextToken"])["StreamNames"] == ["two"]
    assert api.kinesis.list_streams(ExclusiveStartStreamName="o")["StreamNames"] == ["one", "six", "two"]
    assert api.kinesis.list_streams(ExclusiveStartStreamName="six")["StreamNames"] == ["two"]
    clock.advance(300_001)
    assert refused(api, "list_streams", name=None, NextToken=first["NextToken"])[0] == (
        "ExpiredNextTokenException"
    )
    assert refused(api, "list_streams", name=None, NextToken="x") == (
        "InvalidArgumentException", "NextToken is invalid.",
    )  # fmt: skip


def test_shards_are_listed_in_pages_by_a_token_that_stands_for_everything(
    api: Conformance, clock: ManualClock
) -> None:
    stream(api, shards=5)
    first = api.kinesis.list_shards(StreamName="orders", MaxResults=2, ShardFilter={"Type": "AT_LATEST"})
    api.kinesis.split_shard(
        StreamName="orders", ShardToSplit="shardId-000000000003", NewStartingHashKey=str(2**127 + 2**126)
    )
    rest = api.kinesis.list_shards(NextToken=first["NextToken"])
    assert [one["ShardId"][-1] for one in first["Shards"] + rest["Shards"]] == ["0", "1", "2", "4", "5", "6"]
    assert "NextToken" not in rest
    for more in (
        {"StreamName": "orders"}, {"ExclusiveStartShardId": "shardId-000000000000"},
        {"StreamCreationTimestamp": 0}, {"ShardFilter": {"Type": "AT_LATEST"}},
    ):  # fmt: skip
        assert refused(api, "list_shards", name=None, NextToken=first["NextToken"], **more) == (
            "InvalidArgumentException", f"NextToken and {next(iter(more))} cannot be provided together.",
        )  # fmt: skip
    clock.advance(300_000)
    api.kinesis.list_shards(NextToken=first["NextToken"])
    clock.advance(1)
    assert refused(api, "list_shards", name=None, NextToken=first["NextToken"])[0] == (
        "ExpiredNextTokenException"
    )


def test_a_token_of_another_list_or_stream_is_refused(api: Conformance) -> None:
    stream(api, shards=2)
    stream(api, name="other")
    token = api.kinesis.list_shards(StreamName="orders", MaxResults=1)["NextToken"]
    assert refused(api, "list_streams", name=None, NextToken=token)[1] == "NextToken is invalid."
    other = ARN.replace("orders", "other")
    assert refused(api, "list_shards", name=None, NextToken=token, StreamARN=other) == (
        "InvalidArgumentException", f"NextToken is not of the stream {other}.",
    )  # fmt: skip


def test_filters_of_shards_at_their_bounds(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    clock.advance(1_000)
    api.kinesis.split_shard(StreamName="orders", ShardToSplit=shard_ids(api)[0], NewStartingHashKey=HALF)
    clock.advance(1_000)

    def listed(kind: str, **more: Any) -> list[int]:
        return [int(one[-1]) for one in shard_ids(api, ShardFilter={"Type": kind, **more})]

    split_s = START_MS / 1_000 + 1
    assert listed("AT_LATEST") == [1, 2]
    assert listed("AT_TRIM_HORIZON") == [0]
    assert listed("FROM_TRIM_HORIZON") == [0, 1, 2]
    assert listed("AFTER_SHARD_ID", ShardId="shardId-000000000000") == [1, 2]
    assert listed("AT_TIMESTAMP", Timestamp=split_s - 0.001) == [0]
    assert listed("AT_TIMESTAMP", Timestamp=split_s) == [1, 2]
    assert listed("AT_TIMESTAMP", Timestamp=0) == [0]
    assert listed("FROM_TIMESTAMP", Timestamp=split_s - 0.001) == [0, 1, 2]
    assert listed("FROM_TIMESTAMP", Timestamp=split_s) == [1, 2]
    clock.advance(24 * HOUR_MS - 1_000)  # the first one was closed exactly a retention ago
    assert listed("FROM_TRIM_HORIZON") == [0, 1, 2]
    assert listed("AT_TRIM_HORIZON") == [1, 2]
    clock.advance(1)
    assert listed("FROM_TRIM_HORIZON") == [1, 2]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"Type": "AFTER_SHARD_ID"}, "ShardFilter of type AFTER_SHARD_ID must have a ShardId."),
        ({"Type": "AT_TIMESTAMP"}, "ShardFilter of type AT_TIMESTAMP must have a Timestamp."),
        ({"Type": "FROM_TIMESTAMP"}, "ShardFilter of type FROM_TIMESTAMP must have a Timestamp."),
        ({"Type": "AT_LATEST", "ShardId": "x"}, "ShardFilter of type AT_LATEST must not have a ShardId."),
        ({"Type": "AT_LATEST", "Timestamp": 0}, "ShardFilter of type AT_LATEST must not have a Timestamp."),
    ],
)  # fmt: skip
def test_a_filter_has_what_its_type_needs(api: Conformance, chosen: dict[str, Any], message: str) -> None:
    stream(api)
    assert refused(api, "list_shards", ShardFilter=chosen) == ("InvalidArgumentException", message)


def test_a_creation_time_chooses_among_streams_of_one_name(api: Conformance) -> None:
    stream(api)
    assert shard_ids(api, StreamCreationTimestamp=START_MS / 1_000) == ["shardId-000000000000"]
    code, message = refused(api, "list_shards", StreamCreationTimestamp=START_MS / 1_000 + 1)
    assert (code, message.endswith("was created at Thu May 28 20:26:41 UTC 2026 not found.")) == (
        "ResourceNotFoundException", True,
    )  # fmt: skip


# ---- splits, merges, counts --------------------------------------------------------------------------------


def test_a_split_shard_is_closed_and_its_children_name_it(api: Conformance) -> None:
    stream(api)
    api.kinesis.split_shard(StreamName="orders", ShardToSplit=shard_ids(api)[0], NewStartingHashKey=HALF)
    parent, low, high = shards(api)
    numbers = parent["SequenceNumberRange"]
    assert int(numbers["StartingSequenceNumber"]) < int(numbers["EndingSequenceNumber"])
    for child in (low, high):
        assert child["ParentShardId"] == parent["ShardId"]
        assert "AdjacentParentShardId" not in child
        assert int(numbers["EndingSequenceNumber"]) < int(
            child["SequenceNumberRange"]["StartingSequenceNumber"]
        )
    assert high["HashKeyRange"]["StartingHashKey"] == HALF


@pytest.mark.parametrize(("key", "is_taken"), [
    ("1", False), ("2", True), (str(2**128 - 2), True), (str(2**128 - 1), False), ("0", False),
])  # fmt: skip
def test_a_split_leaves_a_hash_of_room_at_both_ends(api: Conformance, key: str, is_taken: bool) -> None:
    stream(api)
    (shard,) = shard_ids(api)
    if is_taken:
        api.kinesis.split_shard(StreamName="orders", ShardToSplit=shard, NewStartingHashKey=key)
        assert len(open_ids(api)) == 2
        return
    assert refused(api, "split_shard", ShardToSplit=shard, NewStartingHashKey=key) == (
        "InvalidArgumentException",
        f"NewStartingHashKey {key} used in SplitShard() on shard {shard} in stream orders under account "
        f"{ACCOUNT} is not both greater than one plus the shard's StartingHashKey 0 and less than the "
        f"shard's EndingHashKey {2**128 - 1}.",
    )


def test_merged_shards_are_closed_and_their_child_names_both(api: Conformance) -> None:
    stream(api, shards=2)
    low, high = shard_ids(api)
    api.kinesis.merge_shards(StreamName="orders", ShardToMerge=high, AdjacentShardToMerge=low)
    child = shards(api)[2]
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == (high, low)
    assert child["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}
    assert open_ids(api) == [child["ShardId"]]


def test_shards_that_are_no_neighbours_or_closed_or_unknown_are_not_changed(api: Conformance) -> None:
    stream(api, shards=3)
    first, second, third = shard_ids(api)
    merged = {"ShardToMerge": first, "AdjacentShardToMerge": third}
    assert refused(api, "merge_shards", **merged) == (
        "InvalidArgumentException",
        f"Shards {first} and {third} in stream orders under account {ACCOUNT} are not an adjacent pair of "
        "shards eligible for merging",
    )
    api.kinesis.merge_shards(StreamName="orders", ShardToMerge=first, AdjacentShardToMerge=second)
    gone = (
        "ResourceInUseException",
        f"Shard {first} in stream orders under account {ACCOUNT} has already been merged or split, and thus "
        "is not eligible for merging or splitting.",
    )
    assert refused(api, "merge_shards", **merged) == gone
    assert refused(api, "split_shard", ShardToSplit=first, NewStartingHashKey="5") == gone
    unknown = "shardId-000000000099"
    assert refused(api, "split_shard", ShardToSplit=unknown, NewStartingHashKey="5") == (
        "ResourceNotFoundException",
        f"Could not find shard {unknown} in stream orders under account {ACCOUNT}.",
    )


@pytest.mark.parametrize(
    ("target", "is_taken"), [(2, False), (3, True), (5, True), (10, True), (11, False), (1, False)]
)
def test_a_count_is_at_most_double_and_at_least_half(api: Conformance, target: int, is_taken: bool) -> None:
    stream(api, shards=5)
    if is_taken:
        answer = api.kinesis.update_shard_count(
            StreamName="orders", TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (5, target)
        assert (answer["StreamName"], answer["StreamARN"]) == ("orders", ARN)
        assert len(open_ids(api)) == target
    else:
        code, message = refused(
            api, "update_shard_count", TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        assert (code, f"5 open shards to {target}" in message) == ("InvalidArgumentException", True)


def test_a_stream_is_counted_anew_ten_times_a_day(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    for count in range(10):
        clock.advance(1_000)
        api.kinesis.update_shard_count(
            StreamName="orders", TargetShardCount=1 + (count + 1) % 2, ScalingType="UNIFORM_SCALING"
        )
    again = {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}
    code, message = refused(api, "update_shard_count", **again)
    assert (code, "10 times in the last 24 hours" in message) == ("LimitExceededException", True)
    clock.advance(24 * HOUR_MS - 9_000 - 1)
    assert refused(api, "update_shard_count", **again)[0] == "LimitExceededException"
    clock.advance(1)
    api.kinesis.update_shard_count(StreamName="orders", **again)


def test_a_stream_on_demand_is_not_resharded(api: Conformance) -> None:
    api.kinesis.create_stream(StreamName="orders", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    first, second, *_ = shard_ids(api)
    for method, more in (
        ("split_shard", {"ShardToSplit": first, "NewStartingHashKey": "5"}),
        ("merge_shards", {"ShardToMerge": first, "AdjacentShardToMerge": second}),
        ("update_shard_count", {"TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}),
    ):
        code, message = refused(api, method, **more)
        assert (code, "only supported for data streams in PROVISIONED mode" in message) == (
            "ValidationException", True,
        )  # fmt: skip


# ---- going, and AWS's delays -------------------------------------------------------------------------------


def test_a_deleted_stream_is_gone_and_its_name_free(api: Conformance) -> None:
    stream(api)
    api.kinesis.put_record(StreamName="orders", Data=b"old", PartitionKey="a")
    api.kinesis.delete_stream(StreamName="orders")
    assert api.kinesis.list_streams()["StreamNames"] == []
    stream(api)
    from_start = api.kinesis.get_shard_iterator(
        StreamName="orders", ShardId=shard_ids(api)[0], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert api.kinesis.get_records(ShardIterator=from_start)["Records"] == []
    for _ in api.engine.housekeeping():
        api.engine.committer.flush()
    assert api.engine.committer.store.read_log(1, 0, 10) == []


def test_a_stream_with_consumers_goes_only_when_it_is_said(api: Conformance) -> None:
    stream(api)
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    assert refused(api, "delete_stream") == (
        "ResourceInUseException",
        f"Stream orders under account {ACCOUNT} has registered consumers and EnforceConsumerDeletion is not "
        "true.",
    )
    api.kinesis.delete_stream(StreamName="orders", EnforceConsumerDeletion=True)
    assert api.kinesis.list_streams()["StreamNames"] == []


def test_with_delays_a_stream_takes_its_time(slow: Conformance, clock: ManualClock) -> None:
    stream(slow)
    assert status(slow) == "CREATING"
    assert slow.kinesis.describe_stream(StreamName="orders")["StreamDescription"]["Shards"] == []
    assert refused(slow, "put_record", Data=b"", PartitionKey="a")[0] == "ResourceNotFoundException"
    clock.advance(9_999)
    assert status(slow) == "CREATING"
    clock.advance(1)
    assert status(slow) == "ACTIVE"
    slow.kinesis.put_record(StreamName="orders", Data=b"", PartitionKey="a")
    slow.kinesis.split_shard(StreamName="orders", ShardToSplit=shard_ids(slow)[0], NewStartingHashKey=HALF)
    assert status(slow) == "UPDATING"
    slow.kinesis.put_record(StreamName="orders", Data=b"", PartitionKey="a")
    assert refused(slow, "split_shard", ShardToSplit=open_ids(slow)[0], NewStartingHashKey="5") == (
        "ResourceInUseException",
        f"Stream orders under account {ACCOUNT} not ACTIVE, instead in state UPDATING",
    )
    clock.advance(10_000)
    assert status(slow) == "ACTIVE"
    slow.kinesis.delete_stream(StreamName="orders")
    slow.kinesis.delete_stream(StreamName="orders")
    assert status(slow) == "DELETING"
    assert refused(slow, "create_stream", ShardCount=1)[0] == "ResourceInUseException"
    clock.advance(10_000)
    assert slow.kinesis.list_streams()["StreamNames"] == []


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("split_shard", {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": HALF}),
    ("merge_shards", {"ShardToMerge": "a", "AdjacentShardToMerge": "b"}),
    ("update_shard_count", {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
    ("increase_stream_retention_period", {"RetentionPeriodHours": 48}),
    ("decrease_stream_retention_period", {"RetentionPeriodHours": 24}),
    ("start_stream_encryption", {"EncryptionType": "KMS", "KeyId": "k"}),
    ("stop_stream_encryption", {"EncryptionType": "KMS", "KeyId": "k"}),
    ("enable_enhanced_monitoring", {"ShardLevelMetrics": ["ALL"]}),
    ("disable_enhanced_monitoring", {"ShardLevelMetrics": ["ALL"]}),
    ("update_stream_warm_throughput", {"WarmThroughputMiBps": 1}),
    ("update_stream_mode", {"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
    ("update_max_record_size", {"StreamARN": ARN, "MaxRecordSizeInKiB": 2_048}),
]


@pytest.mark.parametrize("state", ["CREATING", "UPDATING", "DELETING"])
@pytest.mark.parametrize(("method", "more"), CHANGES, ids=[method for method, _ in CHANGES])
def test_a_stream_is_changed_only_while_it_is_active(
    slow: Conformance, clock: ManualClock, method: str, more: dict[str, Any], state: str
) -> None:
    stream(slow)
    if state != "CREATING":
        clock.advance(10_000)
        slow.kinesis.increase_stream_retention_period(StreamName="orders", RetentionPeriodHours=30)
    if state == "DELETING":
        slow.kinesis.delete_stream(StreamName="orders")
    name = None if "StreamARN" in more else "orders"
    assert refused(slow, method, name=name, **more) == (
        "ResourceInUseException",
        f"Stream orders under account {ACCOUNT} not ACTIVE, instead in state {state}",
    )


@pytest.mark.parametrize("method", [method for method, _ in CHANGES if "encryption" not in method][:5])
def test_a_change_makes_a_stream_updating_where_aws_takes_its_time(
    slow: Conformance, clock: ManualClock, method: str
) -> None:
    stream(slow, shards=2)
    clock.advance(10_000)
    more = dict(CHANGES)[method]
    if method == "merge_shards":
        low, high = shard_ids(slow)
        more = {"ShardToMerge": low, "AdjacentShardToMerge": high}
    if method == "split_shard":
        more = {**more, "NewStartingHashKey": "5"}
    getattr(slow.kinesis, method)(StreamName="orders", **more)
    assert status(slow) == "UPDATING"
    clock.advance(10_000)
    assert status(slow) == "ACTIVE"


def test_with_delays_five_streams_are_made_at_once(slow: Conformance, clock: ManualClock) -> None:
    for number in range(5):
        stream(slow, name=f"s{number}")
    assert refused(slow, "create_stream", ShardCount=1)[0] == "LimitExceededException"
    clock.advance(10_000)
    stream(slow)


def test_describe_limits_counts_shards_and_streams(api: Conformance) -> None:
    stream(api, shards=3)
    api.kinesis.create_stream(StreamName="two", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    limits = api.kinesis.describe_limits()
    assert (limits["ShardLimit"], limits["OpenShardCount"]) == (20_000, 3)
    assert (limits["OnDemandStreamCount"], limits["OnDemandStreamCountLimit"]) == (1, 50)


# ---- limits of shards --------------------------------------------------------------------------------------


def test_shards_have_limits_where_they_are_asked_for(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock, EngineSettings(shard_limits=True)))
    stream(api)
    records = [{"Data": b"", "PartitionKey": "a"}] * 500
    for _ in range(2):
        assert api.kinesis.put_records(StreamName="orders", Records=records)["FailedRecordCount"] == 0
    over = (
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard shardId-000000000000 in stream orders under account {ACCOUNT}.",
    )
    answer = api.kinesis.put_records(StreamName="orders", Records=records[:2])
    assert answer["FailedRecordCount"] == 2
    assert answer["Records"] == [{"ErrorCode": over[0], "ErrorMessage": over[1]}] * 2
    assert refused(api, "put_record", Data=b"", PartitionKey="a") == over
    clock.advance(1)
    answer = api.kinesis.put_records(StreamName="orders", Records=records[:2])
    assert [("SequenceNumber" in one, "ErrorCode" in one) for one in answer["Records"]] == [
        (True, False), (False, True),
    ]  # fmt: skip
    begin = api.kinesis.get_shard_iterator(
        StreamName="orders", ShardId=shard_ids(api)[0], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    for _ in range(5):
        api.kinesis.get_records(ShardIterator=begin)
    assert refused(api, "get_records", name=None, ShardIterator=begin) == over
    clock.advance(200)
    api.kinesis.get_records(ShardIterator=begin)


def test_without_them_a_shard_takes_what_comes(api: Conformance) -> None:
    stream(api)
    for _ in range(3):
        answer = api.kinesis.put_records(
            StreamName="orders", Records=[{"Data": b"", "PartitionKey": "a"}] * 500
        )
        assert answer["FailedRecordCount"] == 0
