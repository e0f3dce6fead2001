"""Enable-, Disable-, Update- and DescribeKinesisStreamingDestination through boto3: states, bounds, texts.
Source: semantics §5.5.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, key
from tests.conformance.destinations import MISSING, destinations, destine, raw_records, records, status
from tests.conformance.kinesis import ARN, stream

PRECISION = "ApproximateCreationDateTimePrecision"
NOT_ENABLED = (
    "Table is not in a valid state to enable Kinesis Streaming Destination: "
    "EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE operation."
)
NOT_DISABLED = (
    "Table is not in a valid state to disable Kinesis Streaming Destination: "
    "KinesisStreamingDestination must be ACTIVE to perform DISABLE operation."
)
WRONG = "The kinesis Arn used to enable kinesis replication belongs to a stream which is not in "
NOT_ACTIVE = WRONG + "Active state"
ELSEWHERE = WRONG + "the current region"


@pytest.fixture
def plain(api: Conformance) -> Conformance:
    """The table `things` without a stream, and the data stream `orders`."""
    api.table(view=None)
    stream(api)
    return api


@pytest.fixture
def waiting(clock: ManualClock) -> Iterator[Conformance]:
    """The same with AWS's delays, once both are ACTIVE."""
    engine = Engine(MemoryStore(), clock, EngineSettings(aws_delays=True))
    api = Conformance(engine)
    api.table(view=None)
    stream(api)
    clock.advance(60_000)
    yield api
    engine.close()


def refused(api: Conformance, method: str, arn: str = ARN, **more: Any) -> str:
    operation = f"{method.capitalize()}KinesisStreamingDestination"
    return api.invalid(operation, TableName="things", StreamArn=arn, **more)


def put(api: Conformance, pk: str = "a", **more: Any) -> None:
    api.dynamodb.put_item(TableName="things", Item={**key(pk, "1"), **more})


# ---- answers and states ------------------------------------------------------------------------------------


def test_a_table_begins_without_destinations(plain: Conformance) -> None:
    answer = plain.dynamodb.describe_kinesis_streaming_destination(TableName="things")
    assert (answer["TableName"], answer["KinesisDataStreamDestinations"]) == ("things", [])


def test_enabling_answers_enabling_and_an_empty_configuration(plain: Conformance) -> None:
    assert destine(plain, "enable") == {
        "TableName": "things",
        "StreamArn": ARN,
        "DestinationStatus": "ENABLING",
        "EnableKinesisStreamingConfiguration": {},
    }


def test_the_precision_is_left_out_until_it_is_set(plain: Conformance) -> None:
    destine(plain, "enable")
    assert destinations(plain) == [{"StreamArn": ARN, "DestinationStatus": "ACTIVE"}]
    answer = destine(plain, "update", UpdateKinesisStreamingConfiguration={PRECISION: "MICROSECOND"})
    assert answer == {
        "TableName": "things",
        "StreamArn": ARN,
        "DestinationStatus": "UPDATING",
        "UpdateKinesisStreamingConfiguration": {PRECISION: "MICROSECOND"},
    }
    assert destinations(plain) == [
        {"StreamArn": ARN, "DestinationStatus": "ACTIVE", PRECISION: "MICROSECOND"}
    ]


@pytest.mark.parametrize("precision", ["MILLISECOND", "MICROSECOND"])
def test_a_precision_told_at_enabling_is_told_again(plain: Conformance, precision: str) -> None:
    answer = destine(plain, "enable", EnableKinesisStreamingConfiguration={PRECISION: precision})
    assert answer["EnableKinesisStreamingConfiguration"] == {PRECISION: precision}
    assert destinations(plain)[0][PRECISION] == precision


def test_disabling_answers_disabling_and_stays_listed_as_disabled(plain: Conformance) -> None:
    destine(plain, "enable")
    assert destine(plain, "disable") == {
        "TableName": "things", "StreamArn": ARN, "DestinationStatus": "DISABLING"
    }  # fmt: skip
    assert destinations(plain) == [{"StreamArn": ARN, "DestinationStatus": "DISABLED"}]


def test_with_delays_enabling_takes_six_seconds_and_disabling_two(
    waiting: Conformance, clock: ManualClock
) -> None:
    destine(waiting, "enable")
    clock.advance(5_999)
    assert status(waiting) == "ENABLING"
    clock.advance(1)
    assert status(waiting) == "ACTIVE"
    destine(waiting, "update", UpdateKinesisStreamingConfiguration={PRECISION: "MICROSECOND"})
    clock.advance(1_999)
    assert status(waiting) == "UPDATING"
    clock.advance(1)
    assert status(waiting) == "ACTIVE"
    destine(waiting, "disable")
    clock.advance(1_999)
    assert status(waiting) == "DISABLING"
    clock.advance(1)
    assert status(waiting) == "DISABLED"


def test_writes_are_copied_from_active_until_disabled(waiting: Conformance, clock: ManualClock) -> None:
    destine(waiting, "enable")
    clock.advance(5_999)
    put(waiting, "enabling")
    clock.advance(1)
    put(waiting, "active")
    destine(waiting, "disable")
    clock.advance(1_999)
    put(waiting, "disabling")
    clock.advance(1)
    put(waiting, "disabled")
    assert [one["dynamodb"]["Keys"]["pk"]["S"] for one in records(waiting)] == ["active", "disabling"]


@pytest.mark.parametrize(
    ("arn", "reason"),
    [
        (MISSING, NOT_ACTIVE),
        ("arn:aws:sqs:us-east-1:000000000000:orders-of-things", NOT_ACTIVE),
        (ARN.replace("000000000000", "111111111111"), NOT_ACTIVE),
        (ARN.replace("us-east-1", "eu-west-1"), ELSEWHERE),
    ],
)
def test_a_bad_target_is_admitted_and_fails_with_its_reason(
    plain: Conformance, arn: str, reason: str
) -> None:
    assert destine(plain, "enable", arn)["DestinationStatus"] == "ENABLING"
    assert destinations(plain) == [
        {"StreamArn": arn, "DestinationStatus": "ENABLE_FAILED", "DestinationStatusDescription": reason}
    ]


def test_a_stream_that_is_still_being_made_when_enabling_ends_fails(
    waiting: Conformance, clock: ManualClock
) -> None:
    stream(waiting, name="late")
    destine(waiting, "enable", ARN.replace("orders", "late"))
    clock.advance(6_000)
    assert destinations(waiting)[0]["DestinationStatusDescription"] == NOT_ACTIVE


def test_one_that_failed_is_enabled_again_and_says_no_reason_any_more(plain: Conformance) -> None:
    destine(plain, "enable", MISSING)
    stream(plain, name="missing")
    assert destinations(plain)[0]["DestinationStatus"] == "ENABLE_FAILED"
    destine(plain, "enable", MISSING)
    assert destinations(plain) == [{"StreamArn": MISSING, "DestinationStatus": "ACTIVE"}]


def test_a_tables_arn_may_stand_for_its_name(plain: Conformance) -> None:
    arn = plain.dynamodb.describe_table(TableName="things")["Table"]["TableArn"]
    answer = plain.dynamodb.enable_kinesis_streaming_destination(TableName=arn, StreamArn=ARN)
    assert answer["TableName"] == "things"
    assert destinations(plain, arn) == [{"StreamArn": ARN, "DestinationStatus": "ACTIVE"}]


def test_another_stream_takes_the_place_of_one_that_failed_or_was_disabled(plain: Conformance) -> None:
    destine(plain, "enable", MISSING)
    destine(plain, "enable")
    assert [one["DestinationStatus"] for one in destinations(plain)] == ["ENABLE_FAILED", "ACTIVE"]


def test_the_destination_goes_with_its_table(plain: Conformance) -> None:
    destine(plain, "enable")
    put(plain)
    plain.dynamodb.delete_table(TableName="things")
    plain.table(view=None)
    assert destinations(plain) == []
    put(plain, "b")
    assert [one["dynamodb"]["Keys"]["pk"]["S"] for one in records(plain)] == ["a"]


# ---- refusals ----------------------------------------------------------------------------------------------


def test_a_second_one_is_refused_whichever_stream_it_names(plain: Conformance) -> None:
    destine(plain, "enable")
    assert refused(plain, "enable") == NOT_ENABLED
    assert refused(plain, "enable", MISSING) == NOT_ENABLED


def test_what_passes_is_neither_enabled_disabled_nor_updated(
    waiting: Conformance, clock: ManualClock
) -> None:
    configuration = {PRECISION: "MICROSECOND"}
    not_active = (
        "Table is not in a valid state to enable Kinesis Streaming Destination: Kinesis streaming is not in "
        f"ACTIVE state. Updates are only allowed in ACTIVE state. TableName: things, kdsArn: {ARN}"
    )
    destine(waiting, "enable")
    assert refused(waiting, "enable") == NOT_ENABLED
    assert refused(waiting, "disable") == NOT_DISABLED
    assert refused(waiting, "update", UpdateKinesisStreamingConfiguration=configuration) == not_active
    clock.advance(6_000)
    destine(waiting, "disable")
    assert refused(waiting, "enable") == NOT_ENABLED
    assert refused(waiting, "disable") == NOT_DISABLED
    clock.advance(2_000)
    assert refused(waiting, "disable") == NOT_DISABLED
    assert refused(waiting, "update", UpdateKinesisStreamingConfiguration=configuration) == not_active


def test_disabling_what_was_never_enabled_is_refused(plain: Conformance) -> None:
    assert refused(plain, "disable") == NOT_DISABLED


def test_disabling_takes_no_configuration(plain: Conformance) -> None:
    destine(plain, "enable")
    message = refused(plain, "disable", EnableKinesisStreamingConfiguration={PRECISION: "MILLISECOND"})
    assert message == "Stream cannot be disabled using EnableKinesisStreamingConfiguration parameters"
    assert status(plain) == "ACTIVE"


@pytest.mark.parametrize("more", [{}, {"UpdateKinesisStreamingConfiguration": {}}])
def test_an_update_of_nothing_is_refused(plain: Conformance, more: dict[str, Any]) -> None:
    destine(plain, "enable")
    assert refused(plain, "update", **more) == (
        "Streaming destination cannot be updated with given parameters: UpdateKinesisStreamingConfiguration "
        "cannot be null or contain only null values"
    )


def test_an_update_of_a_stream_that_is_no_destination_is_refused(plain: Conformance) -> None:
    destine(plain, "enable")
    configuration = {PRECISION: "MICROSECOND"}
    assert refused(plain, "update", MISSING, UpdateKinesisStreamingConfiguration=configuration) == (
        "Table is not in a valid state to enable Kinesis Streaming Destination: No streaming destination "
        f"with streamArn: {MISSING} found for table with tableName: things"
    )


@pytest.mark.parametrize("told", [None, "MILLISECOND", "MICROSECOND"])
def test_an_update_to_the_precision_that_there_is_is_refused(plain: Conformance, told: str | None) -> None:
    configuration = {} if told is None else {PRECISION: told}
    destine(plain, "enable", EnableKinesisStreamingConfiguration=configuration)
    precision = told or "MILLISECOND"
    table_id = plain.dynamodb.describe_table(TableName="things")["Table"]["TableId"]
    assert refused(plain, "update", UpdateKinesisStreamingConfiguration={PRECISION: precision}) == (
        f"Invalid Request: Precision is already set to the desired value of {precision} for tableId: "
        f"{table_id}, kdsArn: {ARN}"
    )


def test_another_precision_is_refused(plain: Conformance) -> None:
    destine(plain, "enable")
    assert refused(plain, "update", UpdateKinesisStreamingConfiguration={PRECISION: "SECOND"}) == (
        "1 validation error detected: Value 'SECOND' at "
        "'updateKinesisStreamingConfiguration.approximateCreationDateTimePrecision' failed to satisfy "
        "constraint: Member must satisfy enum value set: [MILLISECOND, MICROSECOND]"
    )


@pytest.mark.parametrize("method", ["enable", "disable", "update"])
def test_an_arn_has_37_to_1024_characters(plain: Conformance, method: str) -> None:
    for arn, bound in (
        ("a" * 36, "greater than or equal to 37"),
        ("a" * 1_025, "less than or equal to 1024"),
    ):
        message = refused(plain, method, arn)
        assert message.endswith(f"Member must have length {bound}")
    destine(plain, "enable", "a" * 37)
    destine(plain, "enable", "a" * 1_024)
    assert {one["DestinationStatus"] for one in destinations(plain)} == {"ENABLE_FAILED"}


@pytest.mark.parametrize("method", ["enable", "disable", "update", "describe"])
def test_a_table_that_is_not_there_is_named(plain: Conformance, method: str) -> None:
    members: dict[str, Any] = {"TableName": "bad-table"}
    if method != "describe":
        members["StreamArn"] = ARN
    if method == "update":
        members["UpdateKinesisStreamingConfiguration"] = {PRECISION: "MICROSECOND"}
    error = api_error(plain, f"{method}_kinesis_streaming_destination", members)
    assert error == (
        "ResourceNotFoundException", "Requested resource not found: Table: bad-table not found"
    )  # fmt: skip


def api_error(api: Conformance, method: str, members: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(api.dynamodb.exceptions.ClientError) as caught:
        getattr(api.dynamodb, method)(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# ---- records -----------------------------------------------------------------------------------------------


def test_a_change_is_awss_record_with_both_images_and_no_sequence_number(plain: Conformance) -> None:
    destine(plain, "enable")
    put(plain, n={"N": "1"})
    put(plain, n={"N": "2"}, b={"B": b"x"})
    plain.dynamodb.delete_item(TableName="things", Key=key("a", "1"))
    inserted, modified, removed = records(plain)
    keys = {"pk": {"S": "a"}, "sk": {"S": "1"}}
    old, new = {**keys, "n": {"N": "1"}}, {**keys, "n": {"N": "2"}, "b": {"B": "ZUE9PQ=="}}
    assert list(inserted) == [
        "awsRegion", "eventID", "eventName", "userIdentity", "recordFormat", "tableName", "dynamodb",
        "eventSource",
    ]  # fmt: skip
    assert [one["eventName"] for one in (inserted, modified, removed)] == ["INSERT", "MODIFY", "REMOVE"]
    assert inserted["dynamodb"].items() >= {"Keys": keys, "NewImage": old}.items()
    assert modified["dynamodb"].items() >= {"OldImage": old, "NewImage": new}.items()
    assert removed["dynamodb"].items() >= {"OldImage": new}.items()
    assert "NewImage" not in removed["dynamodb"]
    assert "OldImage" not in inserted["dynamodb"]
    assert {one["tableName"] for one in (inserted, modified, removed)} == {"things"}


def test_records_of_one_item_have_one_partition_key_of_32_digits(plain: Conformance) -> None:
    destine(plain, "enable")
    for pk in ("a", "b", "a"):
        put(plain, pk, n={"N": str(len(raw_records(plain)))})
    keys = [record["PartitionKey"] for record in raw_records(plain)]
    assert keys[0] == keys[2] != keys[1]
    assert all(len(one) == 32 and set(one) <= set("0123456789ABCDEF") for one in keys)


def test_times_are_milliseconds_or_microseconds_with_their_name(
    plain: Conformance, clock: ManualClock
) -> None:
    destine(plain, "enable")
    put(plain)
    (first,) = records(plain)
    destine(plain, "update", UpdateKinesisStreamingConfiguration={PRECISION: "MICROSECOND"})
    clock.advance(1)
    put(plain, "b")
    second = records(plain)[1]
    now_ms = clock.now().wall_ms
    assert first["dynamodb"]["ApproximateCreationDateTime"] == now_ms - 1
    assert PRECISION not in first["dynamodb"]
    assert second["dynamodb"]["ApproximateCreationDateTime"] == now_ms * 1_000
    assert second["dynamodb"][PRECISION] == "MICROSECOND"


def test_a_write_that_changes_nothing_has_no_record(plain: Conformance) -> None:
    destine(plain, "enable")
    put(plain)
    put(plain)
    plain.dynamodb.update_item(
        TableName="things",
        Key=key("a", "1"),
        UpdateExpression="REMOVE absent",
    )
    plain.dynamodb.delete_item(TableName="things", Key=key("absent", "1"))
    assert [one["eventName"] for one in records(plain)] == ["INSERT"]


def test_a_write_of_a_transaction_that_changes_nothing_is_a_modify_with_equal_images(
    plain: Conformance,
) -> None:
    plain.dynamodb.update_table(
        TableName="things",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    destine(plain, "enable")
    for pk in "abc":
        put(plain, pk, n={"N": "1"})
    written = len(records(plain))
    condition = {"ConditionExpression": "attribute_exists(pk)"}
    plain.dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "things", "Item": {**key("a", "1"), "n": {"N": "1"}}}},
            {"Update": {"TableName": "things", "Key": key("b", "1"), "UpdateExpression": "REMOVE absent"}},
            {"ConditionCheck": {"TableName": "things", "Key": key("c", "1"), **condition}},
            {"Delete": {"TableName": "things", "Key": key("absent", "1")}},
            {"Update": {"TableName": "things", "Key": key("none", "1"), "UpdateExpression": "REMOVE n"}},
        ]
    )
    same = records(plain)[written:]
    assert [(one["eventName"], one["dynamodb"]["Keys"]["pk"]["S"]) for one in same] == [
        ("MODIFY", "a"), ("MODIFY", "b")
    ]  # fmt: skip
    for one in same:
        assert one["dynamodb"]["OldImage"] == one["dynamodb"]["NewImage"]
        assert one["dynamodb"]["SizeBytes"] == 9 + 9 + 6  # both images and the keys
    arn = plain.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    shard = plain.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    token = plain.streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    assert len(plain.streams.get_records(ShardIterator=token)["Records"]) == 3, "its own stream has none"


def test_what_time_to_live_deletes_has_the_services_identity(plain: Conformance, clock: ManualClock) -> None:
    plain.dynamodb.update_time_to_live(
        TableName="things", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    destine(plain, "enable")
    put(plain, ttl={"N": str(clock.now().wall_ms // 1_000 + 1)})
    clock.advance(2_000)
    for _ in plain.engine.housekeeping():
        plain.engine.committer.flush()
    inserted, removed = records(plain)
    assert inserted["userIdentity"] is None
    assert removed["userIdentity"] == {"principalId": "dynamodb.amazonaws.com", "type": "Service"}


def test_what_was_written_before_disabling_is_still_delivered_and_nothing_after(plain: Conformance) -> None:
    destine(plain, "enable")
    put(plain, "before")
    destine(plain, "disable")
    put(plain, "after")
    destine(plain, "enable")
    put(plain, "again")
    assert [one["dynamodb"]["Keys"]["pk"]["S"] for one in records(plain)] == ["before", "again"]
