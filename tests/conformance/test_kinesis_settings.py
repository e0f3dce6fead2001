"""What a data stream is told beside its shards, and its consumers, through boto3.

Source: semantics §5.3, §5.4; fleet §4.2.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance
from tests.conformance.conftest import START_MS
from tests.conformance.kinesis import ACCOUNT, ARN, read, refused, stream

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CONSUMER = f"{ARN}/consumer/mail:{START_MS // 1_000}"


def summary(api: Conformance) -> dict[str, Any]:
    told: dict[str, Any] = api.kinesis.describe_stream_summary(StreamName="orders")[
        "StreamDescriptionSummary"
    ]
    return told


def put(api: Conformance, data: bytes = b"1") -> None:
    api.kinesis.put_record(StreamName="orders", Data=data, PartitionKey="a")


def texts(api: Conformance) -> list[bytes]:
    return [record["Data"] for record in read(api)["Records"]]


# ---- retention ---------------------------------------------------------------------------------------------


def test_a_longer_retention_keeps_records_for_longer(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    put(api)
    api.kinesis.increase_stream_retention_period(StreamName="orders", RetentionPeriodHours=8_760)
    assert summary(api)["RetentionPeriodHours"] == 8_760
    clock.advance(8_760 * HOUR_MS)
    assert texts(api) == [b"1"]
    clock.advance(1)
    assert texts(api) == []


def test_what_has_passed_a_shorter_retention_does_not_come_back(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    put(api, b"old")
    clock.advance(DAY_MS)
    put(api, b"new")
    clock.advance(1)
    api.kinesis.increase_stream_retention_period(StreamName="orders", RetentionPeriodHours=48)
    assert texts(api) == [b"new"]
    clock.advance(DAY_MS)
    assert texts(api) == [b"new"]
    api.kinesis.decrease_stream_retention_period(StreamName="orders", RetentionPeriodHours=24)
    assert texts(api) == []
    api.kinesis.increase_stream_retention_period(StreamName="orders", RetentionPeriodHours=48)
    assert texts(api) == []


@pytest.mark.parametrize(
    ("method", "hours", "message"),
    [
        ("increase", 23, "Minimum allowed retention period is 24 hours. Requested retention period (23 "
         "hours) is too short."),
        ("decrease", 23, "Minimum allowed retention period is 24 hours. Requested retention period (23 "
         "hours) is too short."),
        ("increase", 8_761, "Maximum allowed retention period is 8760 hours. Requested retention period "
         "(8761 hours) is too long."),
        ("increase", 47, "Requested retention period (47 hours) for stream orders can not be shorter than "
         "existing retention period (48 hours). Use DecreaseRetentionPeriod API."),
        ("decrease", 49, "Requested retention period (49 hours) for stream orders can not be longer than "
         "existing retention period (48 hours). Use IncreaseRetentionPeriod API."),
    ],
)  # fmt: skip
def test_a_retention_out_of_its_bounds_is_refused(
    api: Conformance, method: str, hours: int, message: str
) -> None:
    stream(api)
    api.kinesis.increase_stream_retention_period(StreamName="orders", RetentionPeriodHours=48)
    assert refused(api, f"{method}_stream_retention_period", RetentionPeriodHours=hours) == (
        "InvalidArgumentException", message,
    )  # fmt: skip
    getattr(api.kinesis, f"{method}_stream_retention_period")(StreamName="orders", RetentionPeriodHours=48)


# ---- mode and sizes ----------------------------------------------------------------------------------------


def test_a_mode_is_changed_twice_a_day(api: Conformance, clock: ManualClock) -> None:
    stream(api, 2)
    for mode in ("ON_DEMAND", "PROVISIONED"):
        api.kinesis.update_stream_mode(StreamARN=ARN, StreamModeDetails={"StreamMode": mode})
        assert (summary(api)["StreamModeDetails"], summary(api)["OpenShardCount"]) == (
            {"StreamMode": mode},
            2,
        )
    again = {"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    assert refused(api, "update_stream_mode", name=None, **again)[0] == "LimitExceededException"
    clock.advance(DAY_MS)
    api.kinesis.update_stream_mode(**again)
    code, message = refused(api, "update_stream_mode", name=None, **again)
    assert (code, "in ON_DEMAND mode already" in message) == ("ValidationException", True)


def test_the_size_of_records_is_changed(api: Conformance) -> None:
    stream(api)
    api.kinesis.update_max_record_size(StreamARN=ARN, MaxRecordSizeInKiB=2_048)
    assert summary(api)["MaxRecordSizeInKiB"] == 2_048
    put(api, b"x" * (2 * 1_048_576 - 1))
    assert refused(api, "put_record", Data=b"x" * 2 * 1_048_576, PartitionKey="a")[0] == (
        "InvalidArgumentException"
    )
    assert refused(api, "update_max_record_size", name=None, MaxRecordSizeInKiB=2_048) == (
        "InvalidArgumentException", "StreamARN must be specified.",
    )  # fmt: skip


def test_warm_throughput_is_of_on_demand_streams_of_committed_accounts(api: Conformance) -> None:
    stream(api)
    code, message = refused(api, "update_stream_warm_throughput", WarmThroughputMiBps=5)
    assert (code, "its mode is PROVISIONED" in message) == ("ValidationException", True)
    api.kinesis.update_stream_mode(StreamARN=ARN, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    code, message = refused(api, "update_stream_warm_throughput", WarmThroughputMiBps=5)
    assert (code, "does not have MinimumThroughputBillingCommitment" in message) == (
        "ValidationException",
        True,
    )
    api.kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    answer = api.kinesis.update_stream_warm_throughput(StreamName="orders", WarmThroughputMiBps=10_240)
    assert answer["WarmThroughput"] == {"TargetMiBps": 10_240, "CurrentMiBps": 10_240}
    assert summary(api)["WarmThroughput"] == answer["WarmThroughput"]
    assert (
        refused(api, "update_stream_warm_throughput", WarmThroughputMiBps=10_241)[0] == "ValidationException"
    )


def test_a_commitment_holds_for_a_day(api: Conformance, clock: ManualClock) -> None:
    def told(**answer: Any) -> dict[str, Any]:
        commitment: dict[str, Any] = answer["MinimumThroughputBillingCommitment"]
        return commitment

    def at(wall_ms: int) -> datetime:
        return datetime.fromtimestamp(wall_ms / 1_000, UTC)

    def change(status: str) -> dict[str, Any]:
        return told(
            **api.kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": status})
        )

    assert told(**api.kinesis.describe_account_settings()) == {"Status": "DISABLED"}
    assert change("DISABLED") == {"Status": "DISABLED"}
    began = {"StartedAt": at(START_MS), "EarliestAllowedEndAt": at(START_MS + DAY_MS)}
    assert change("ENABLED") == {"Status": "ENABLED", **began}
    clock.advance(1_000)
    assert change("DISABLED") == {"Status": "ENABLED_UNTIL_EARLIEST_ALLOWED_END", **began}
    assert change("ENABLED") == {"Status": "ENABLED", **began}
    change("DISABLED")
    clock.advance(DAY_MS - 1_001)
    assert told(**api.kinesis.describe_account_settings())["Status"] == "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    clock.advance(1)
    assert told(**api.kinesis.describe_account_settings()) == {
        "Status": "DISABLED", "StartedAt": at(START_MS), "EndedAt": at(START_MS + DAY_MS),
    }  # fmt: skip


# ---- flags -------------------------------------------------------------------------------------------------


def test_records_say_that_they_are_encrypted_as_long_as_the_stream_is(api: Conformance) -> None:
    stream(api)
    put(api)
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    api.kinesis.start_stream_encryption(StreamName="orders", **key)
    assert summary(api).items() >= key.items()
    assert api.kinesis.put_record(StreamName="orders", Data=b"", PartitionKey="a")["EncryptionType"] == "KMS"
    several = api.kinesis.put_records(StreamName="orders", Records=[{"Data": b"", "PartitionKey": "a"}])
    assert several["EncryptionType"] == "KMS"
    code, message = refused(api, "stop_stream_encryption", EncryptionType="KMS", KeyId="other")
    assert (code, "is not encrypted with other" in message) == ("InvalidArgumentException", True)
    api.kinesis.stop_stream_encryption(StreamName="orders", **key)
    put(api)
    assert summary(api)["EncryptionType"] == "NONE"
    assert [record.get("EncryptionType") for record in read(api)["Records"]] == [None, "KMS", "KMS", None]
    assert refused(api, "start_stream_encryption", EncryptionType="NONE", KeyId="k")[0] == (
        "ValidationException"
    )


def test_metrics_of_shards_are_kept_and_told(api: Conformance) -> None:
    stream(api)
    some = api.kinesis.enable_enhanced_monitoring(
        StreamName="orders", ShardLevelMetrics=["OutgoingBytes", "IncomingBytes"]
    )
    assert (some["CurrentShardLevelMetrics"], some["DesiredShardLevelMetrics"]) == (
        [], ["IncomingBytes", "OutgoingBytes"],
    )  # fmt: skip
    assert summary(api)["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"]}]
    whole = api.kinesis.enable_enhanced_monitoring(StreamARN=ARN, ShardLevelMetrics=["ALL"])
    assert (len(whole["DesiredShardLevelMetrics"]), whole["StreamARN"]) == (7, ARN)
    less = api.kinesis.disable_enhanced_monitoring(StreamName="orders", ShardLevelMetrics=["IncomingBytes"])
    assert "IncomingBytes" not in less["DesiredShardLevelMetrics"]
    none = api.kinesis.disable_enhanced_monitoring(StreamName="orders", ShardLevelMetrics=["ALL"])
    assert none["DesiredShardLevelMetrics"] == []
    assert refused(api, "enable_enhanced_monitoring", ShardLevelMetrics=[])[0] == "ValidationException"


# ---- tags and policies -------------------------------------------------------------------------------------


def test_tags_are_put_replaced_listed_in_pages_and_taken(api: Conformance) -> None:
    api.kinesis.create_stream(StreamName="orders", ShardCount=1, Tags={"team": "a", "x": ""})
    api.kinesis.add_tags_to_stream(StreamName="orders", Tags={"team": "b", "é _./=+-%@:": "c d"})
    whole = api.kinesis.list_tags_for_stream(StreamName="orders")
    assert whole["Tags"] == [
        {"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}, {"Key": "é _./=+-%@:", "Value": "c d"},
    ]  # fmt: skip
    first = api.kinesis.list_tags_for_stream(StreamName="orders", Limit=1)
    assert (first["Tags"], first["HasMoreTags"]) == (whole["Tags"][:1], True)
    rest = api.kinesis.list_tags_for_stream(StreamName="orders", ExclusiveStartTagKey="team")
    assert (rest["Tags"], rest["HasMoreTags"]) == (whole["Tags"][1:], False)
    api.kinesis.remove_tags_from_stream(StreamName="orders", TagKeys=["x", "nothing"])
    api.kinesis.tag_resource(ResourceARN=ARN, Tags={"y": "z"})
    api.kinesis.untag_resource(ResourceARN=ARN, TagKeys=["team"])
    assert [tag["Key"] for tag in api.kinesis.list_tags_for_resource(ResourceARN=ARN)["Tags"]] == [
        "y", "é _./=+-%@:",
    ]  # fmt: skip


def test_a_stream_has_fifty_tags_of_plain_words(api: Conformance) -> None:
    api.kinesis.create_stream(
        StreamName="orders", ShardCount=1, Tags={f"t{number}": "" for number in range(50)}
    )
    api.kinesis.add_tags_to_stream(StreamName="orders", Tags={"t0": "again"})
    code, message = refused(api, "add_tags_to_stream", Tags={"more": ""})
    assert (code, "more than 50 tags" in message) == ("InvalidArgumentException", True)
    api.kinesis.remove_tags_from_stream(StreamName="orders", TagKeys=["t0"])
    for name in ("a#", "a\n"):
        code, message = refused(api, "add_tags_to_stream", Tags={name: ""})
        assert (code, "invalid characters" in message) == ("InvalidArgumentException", True)
    code, message = refused(api, "tag_resource", name=None, ResourceARN=ARN, Tags={"aws:x": ""})
    assert (code, "reserved" in message) == ("InvalidArgumentException", True)


def test_a_policy_is_kept_told_and_goes_with_its_stream_or_consumer(api: Conformance) -> None:
    stream(api)
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    for arn in (ARN, CONSUMER):
        code, message = refused(api, "get_resource_policy", name=None, ResourceARN=arn)
        assert (code, message) == ("ResourceNotFoundException", f"No resource policy is attached to {arn}.")
        api.kinesis.put_resource_policy(ResourceARN=arn, Policy='{"Version": "2012-10-17"}')
        api.kinesis.put_resource_policy(ResourceARN=arn, Policy='{"Version":  "2012-10-17"}')
        assert api.kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == '{"Version":  "2012-10-17"}'
    api.kinesis.delete_resource_policy(ResourceARN=ARN)
    assert (
        refused(api, "delete_resource_policy", name=None, ResourceARN=ARN)[0] == "ResourceNotFoundException"
    )
    api.kinesis.deregister_stream_consumer(ConsumerARN=CONSUMER)
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    assert refused(api, "get_resource_policy", name=None, ResourceARN=CONSUMER)[0] == (
        "ResourceNotFoundException"
    )
    api.kinesis.put_resource_policy(ResourceARN=ARN, Policy="{}")
    api.kinesis.delete_stream(StreamName="orders", EnforceConsumerDeletion=True)
    stream(api)
    assert refused(api, "get_resource_policy", name=None, ResourceARN=ARN)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("policy", ["[]", "x", '{"a": "' + "x" * 20_480 + '"}'])
def test_what_is_no_policy_is_refused(api: Conformance, policy: str) -> None:
    stream(api)
    assert refused(api, "put_resource_policy", name=None, ResourceARN=ARN, Policy=policy)[0] == (
        "ValidationException"
    )


# ---- consumers ---------------------------------------------------------------------------------------------


def test_a_consumer_is_registered_described_listed_and_removed(api: Conformance) -> None:
    stream(api)
    told = {
        "ConsumerName": "mail",
        "ConsumerARN": CONSUMER,
        "ConsumerCreationTimestamp": datetime.fromtimestamp(START_MS / 1_000, UTC),
    }
    made = api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail", Tags={"a": "b"})
    assert made["Consumer"] == {**told, "ConsumerStatus": "CREATING"}
    active = {**told, "ConsumerStatus": "ACTIVE"}
    for named in (
        {"ConsumerARN": CONSUMER}, {"StreamARN": ARN, "ConsumerName": "mail"},
        {"ConsumerARN": CONSUMER, "StreamARN": ARN, "ConsumerName": "mail"},
    ):  # fmt: skip
        described = api.kinesis.describe_stream_consumer(**named)["ConsumerDescription"]
        assert described == {**active, "StreamARN": ARN}
    assert api.kinesis.list_stream_consumers(StreamARN=ARN)["Consumers"] == [active]
    assert api.kinesis.list_tags_for_resource(ResourceARN=CONSUMER)["Tags"] == [{"Key": "a", "Value": "b"}]
    api.kinesis.tag_resource(ResourceARN=CONSUMER, Tags={"c": "d"})
    api.kinesis.untag_resource(ResourceARN=CONSUMER, TagKeys=["a"])
    assert api.kinesis.list_tags_for_resource(ResourceARN=CONSUMER)["Tags"] == [{"Key": "c", "Value": "d"}]
    api.kinesis.deregister_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    assert api.kinesis.list_stream_consumers(StreamARN=ARN)["Consumers"] == []
    assert refused(api, "describe_stream_consumer", name=None, ConsumerARN=CONSUMER) == (
        "ResourceNotFoundException",
        f"Consumer mail of stream orders under account {ACCOUNT} not found.",
    )


def test_a_name_that_is_registered_again_has_another_arn(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    assert refused(api, "register_stream_consumer", name=None, StreamARN=ARN, ConsumerName="mail") == (
        "ResourceInUseException",
        f"Consumer mail of stream orders under account {ACCOUNT} already exists.",
    )
    api.kinesis.deregister_stream_consumer(ConsumerARN=CONSUMER)
    clock.advance(1_000)
    again = api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")["Consumer"][
        "ConsumerARN"
    ]
    assert again != CONSUMER
    assert refused(api, "describe_stream_consumer", name=None, ConsumerARN=CONSUMER)[0] == (
        "ResourceNotFoundException"
    )


def test_a_consumer_is_named_in_one_way_at_least_and_all_ways_agree(api: Conformance) -> None:
    stream(api)
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    for named in ({}, {"StreamARN": ARN}, {"ConsumerName": "mail"}):
        assert refused(api, "describe_stream_consumer", name=None, **named) == (
            "InvalidArgumentException",
            "Either ConsumerARN, or StreamARN and ConsumerName, must be specified.",
        )
    for named in ({"ConsumerName": "other"}, {"StreamARN": ARN + "x"}):
        assert refused(api, "describe_stream_consumer", name=None, ConsumerARN=CONSUMER, **named) == (
            "InvalidArgumentException",
            f"StreamARN and ConsumerName are not those of the consumer {CONSUMER}.",
        )


def test_a_stream_has_twenty_consumers_and_fifty_on_demand_of_a_committed_account(api: Conformance) -> None:
    stream(api)

    def register(number: int) -> None:
        api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName=f"c{number:02d}")

    for number in range(20):
        register(number)
    twenty_first = {"StreamARN": ARN, "ConsumerName": "c20"}
    assert refused(api, "register_stream_consumer", name=None, **twenty_first)[0] == "LimitExceededException"
    api.kinesis.update_stream_mode(StreamARN=ARN, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert refused(api, "register_stream_consumer", name=None, **twenty_first)[0] == "LimitExceededException"
    api.kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    for number in range(20, 50):
        register(number)
    assert refused(api, "register_stream_consumer", name=None, StreamARN=ARN, ConsumerName="c50")[0] == (
        "LimitExceededException"
    )


def test_consumers_are_listed_in_pages(api: Conformance, clock: ManualClock) -> None:
    stream(api)
    for name in ("b", "a", "c"):
        api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName=name)
    first = api.kinesis.list_stream_consumers(StreamARN=ARN, MaxResults=2)
    assert [one["ConsumerName"] for one in first["Consumers"]] == ["a", "b"]
    rest = api.kinesis.list_stream_consumers(StreamARN=ARN, NextToken=first["NextToken"])
    assert [one["ConsumerName"] for one in rest["Consumers"]] == ["c"]
    assert "NextToken" not in rest
    both = {"NextToken": first["NextToken"], "StreamCreationTimestamp": START_MS / 1_000}
    assert refused(api, "list_stream_consumers", name=None, StreamARN=ARN, **both) == (
        "InvalidArgumentException", "NextToken and StreamCreationTimestamp cannot be provided together.",
    )  # fmt: skip
    api.kinesis.list_stream_consumers(StreamARN=ARN, StreamCreationTimestamp=START_MS / 1_000)
    code, _ = refused(api, "list_stream_consumers", name=None, StreamARN=ARN, StreamCreationTimestamp=0)
    assert code == "ResourceNotFoundException"
    clock.advance(300_001)
    assert refused(
        api, "list_stream_consumers", name=None, StreamARN=ARN, NextToken=first["NextToken"]
    )[0] == "ExpiredNextTokenException"  # fmt: skip


def test_with_delays_five_consumers_are_made_at_once(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock, EngineSettings(aws_delays=True)))
    stream(api)
    clock.advance(10_000)
    for number in range(5):
        api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName=f"c{number}")
    more = {"StreamARN": ARN, "ConsumerName": "c5"}
    assert refused(api, "register_stream_consumer", name=None, **more)[0] == "LimitExceededException"

    def statuses() -> set[str]:
        listed = api.kinesis.list_stream_consumers(StreamARN=ARN)["Consumers"]
        return {one["ConsumerStatus"] for one in listed}

    assert statuses() == {"CREATING"}
    clock.advance(10_000)
    assert statuses() == {"ACTIVE"}
    api.kinesis.deregister_stream_consumer(StreamARN=ARN, ConsumerName="c0")
    assert statuses() == {"ACTIVE", "DELETING"}
    clock.advance(10_000)
    assert len(api.kinesis.list_stream_consumers(StreamARN=ARN)["Consumers"]) == 4
