"""Streams line by line: paging, old streams, bounds of iterators and pages,
sizes. Source: semantics §1.1–1.8.
"""

from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, key
from tests.conformance.conftest import START_MS
from tests.conformance.test_streams import arn, iterator, records, shards

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TRIMMED = (
    "TrimmedDataAccessException",
    "The operation attempted to read past the oldest stream record in a shard.",
)
NEVER_ROLLS = EngineSettings(rollover_ms=100 * DAY_MS)


def keep_house(api: Conformance) -> None:
    for _ in api.engine.housekeeping():
        api.engine.committer.flush()


def at(
    api: Conformance, kind: str, number: str, stream: str | None = None, shard: str | None = None
) -> dict[str, str]:
    return {
        "StreamArn": stream or arn(api),
        "ShardId": shard or shards(api, stream)[0]["ShardId"],
        "ShardIteratorType": kind,
        "SequenceNumber": number,
    }


def names(answer: dict[str, Any]) -> list[str]:
    return [one["dynamodb"]["Keys"]["pk"]["S"] for one in answer["Records"]]


# ---- what there is -----------------------------------------------------------------------------------------


def test_shards_are_paged_by_a_hundred() -> None:
    api = Conformance(Engine(MemoryStore(), ManualClock(START_MS), EngineSettings(shards=101)))
    api.table(view="KEYS_ONLY")
    first = api.streams.describe_stream(StreamArn=arn(api))["StreamDescription"]
    assert len(first["Shards"]) == 100
    assert first["LastEvaluatedShardId"] == first["Shards"][-1]["ShardId"]
    start = {"ExclusiveStartShardId": first["LastEvaluatedShardId"]}
    second = api.streams.describe_stream(StreamArn=arn(api), **start)["StreamDescription"]
    assert len(second["Shards"]) == 1
    assert "LastEvaluatedShardId" not in second
    few = api.streams.describe_stream(StreamArn=arn(api), Limit=1, **start)["StreamDescription"]
    assert "LastEvaluatedShardId" not in few
    for limit in (0, 101):
        assert f"Value '{limit}' at 'limit'" in api.invalid("DescribeStream", StreamArn=arn(api), Limit=limit)


def test_the_label_is_the_tables_creation_to_the_millisecond(api: Conformance, clock: ManualClock) -> None:
    clock.advance(123)
    api.table(view="KEYS_ONLY")
    described = api.raw("DescribeTable", {"TableName": "things"})[1]["Table"]
    assert described["LatestStreamLabel"].endswith(".123")
    assert described["LatestStreamArn"] == f"{described['TableArn']}/stream/{described['LatestStreamLabel']}"
    assert described["CreationDateTime"] == (START_MS + 123) / 1_000


def test_an_old_stream_is_closed_listed_and_readable_for_a_day(
    things: Conformance, clock: ManualClock
) -> None:
    things.put("p")
    old = arn(things)
    things.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    things.put("unseen")
    described = things.streams.describe_stream(StreamArn=old)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in described["Shards"])
    assert [stream["StreamArn"] for stream in things.streams.list_streams()["Streams"]] == [old]
    clock.advance(DAY_MS - 1)
    answer = things.streams.get_records(ShardIterator=iterator(things, stream=old))
    assert (names(answer), "NextShardIterator" in answer) == (["p"], False)
    clock.advance(1)
    assert things.refusal("DescribeStream", StreamArn=old) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {old} not found",
    )
    assert things.streams.list_streams()["Streams"] == []


def test_the_stream_of_a_deleted_table_is_readable_for_a_day(things: Conformance, clock: ManualClock) -> None:
    things.put("p")
    old = arn(things)
    things.dynamodb.delete_table(TableName="things")
    things.table(view="KEYS_ONLY")
    assert arn(things) != old
    listed = [stream["StreamArn"] for stream in things.streams.list_streams(TableName="things")["Streams"]]
    assert listed == [old, arn(things)]
    clock.advance(DAY_MS - 1)
    keep_house(things)
    assert names(things.streams.get_records(ShardIterator=iterator(things, stream=old))) == ["p"]
    clock.advance(1)
    keep_house(things)
    assert things.refusal("DescribeStream", StreamArn=old)[0] == "ResourceNotFoundException"


def test_paging_goes_on_behind_a_stream_that_has_gone(api: Conformance) -> None:
    for name in ("aaa", "bbb", "ccc"):
        api.table(name, view="KEYS_ONLY")
    gone = arn(api, "bbb").replace("table/bbb", "table/abc")
    listed = api.streams.list_streams(ExclusiveStartStreamArn=gone)["Streams"]
    assert [stream["TableName"] for stream in listed] == ["bbb", "ccc"]


@pytest.mark.parametrize("is_split", [True, False])
def test_children_of_open_and_closed_parents_are_found(things: Conformance, is_split: bool) -> None:
    (parent,) = shards(things)
    if is_split:
        things.engine.split_shards("things")
        things.engine.committer.flush()
    chosen = {"Type": "CHILD_SHARDS", "ShardId": parent["ShardId"]}
    description = things.streams.describe_stream(StreamArn=arn(things), ShardFilter=chosen)[
        "StreamDescription"
    ]
    assert [shard["ParentShardId"] for shard in description["Shards"]] == [parent["ShardId"]] * (2 * is_split)
    wrong = {**chosen, "Type": "OTHER"}
    assert things.invalid("DescribeStream", StreamArn=arn(things), ShardFilter=wrong)


def test_a_child_may_name_a_parent_that_has_gone(things: Conformance, clock: ManualClock) -> None:
    things.put("p")
    (parent,) = shards(things)
    clock.advance(4 * HOUR_MS)
    things.put("q")
    clock.advance(DAY_MS)
    keep_house(things)
    ids = {shard["ShardId"] for shard in shards(things)}
    assert parent["ShardId"] not in ids
    assert parent["ShardId"] in {shard.get("ParentShardId") for shard in shards(things)}
    assert (
        things.refusal(
            "GetShardIterator",
            StreamArn=arn(things),
            ShardId=parent["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )[0]
        == "ResourceNotFoundException"
    )


def test_an_idle_shard_rolls_over_at_four_hours(things: Conformance, clock: ManualClock) -> None:
    clock.advance(4 * HOUR_MS - 1)
    assert len(shards(things)) == 1
    clock.advance(1)
    closed, child = shards(things)
    ending = int(closed["SequenceNumberRange"]["EndingSequenceNumber"])
    assert ending < int(child["SequenceNumberRange"]["StartingSequenceNumber"])


# ---- iterators and pages -----------------------------------------------------------------------------------


def test_an_iterator_lives_fifteen_minutes_and_not_a_millisecond_longer(
    things: Conformance, clock: ManualClock
) -> None:
    token = iterator(things)
    clock.advance(900_000)
    things.streams.get_records(ShardIterator=token)
    clock.advance(1)
    assert things.refusal("GetRecords", ShardIterator=token)[0] == "ExpiredIteratorException"


@pytest.mark.parametrize(
    ("kind", "is_after"), [("AT_SEQUENCE_NUMBER", False), ("AFTER_SEQUENCE_NUMBER", True)]
)
def test_positions_before_the_horizon_are_refused(clock: ManualClock, kind: str, is_after: bool) -> None:
    api = Conformance(Engine(MemoryStore(), clock, NEVER_ROLLS))
    api.table(view="KEYS_ONLY")
    for name in ("p0", "p1", "p2"):
        api.put(name)
        clock.advance(HOUR_MS)
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records(api)]
    clock.advance(DAY_MS - 2 * HOUR_MS + 1)  # p0 and p1 are older than a day
    if not is_after:
        assert api.refusal("GetShardIterator", **at(api, kind, numbers[1])) == TRIMMED
    assert api.refusal("GetShardIterator", **at(api, kind, numbers[0])) == TRIMMED
    good = numbers[1] if is_after else numbers[2]
    token = api.streams.get_shard_iterator(**at(api, kind, good))["ShardIterator"]
    assert names(api.streams.get_records(ShardIterator=token)) == ["p2"]


@pytest.mark.parametrize("is_removed", [True, False])
def test_an_iterator_that_the_trim_overtook_is_refused(clock: ManualClock, is_removed: bool) -> None:
    api = Conformance(Engine(MemoryStore(), clock, NEVER_ROLLS))
    api.table(view="KEYS_ONLY")
    for name in ("p0", "p1"):
        api.put(name)
    clock.advance(DAY_MS - 60_000)
    first = records(api)[0]["dynamodb"]["SequenceNumber"]
    token = api.streams.get_shard_iterator(**at(api, "AFTER_SEQUENCE_NUMBER", first))["ShardIterator"]
    horizon = iterator(api)
    clock.advance(60_001)
    if is_removed:
        keep_house(api)
    assert api.refusal("GetRecords", ShardIterator=token) == TRIMMED
    assert names(api.streams.get_records(ShardIterator=horizon)) == []


def test_a_page_holds_a_thousand_records(things: Conformance) -> None:
    for start in range(0, 1_001, 25):
        things.dynamodb.batch_write_item(
            RequestItems={
                "things": [
                    {"PutRequest": {"Item": key(f"p{number}")}}
                    for number in range(start, min(start + 25, 1_001))
                ]
            }
        )
    answer = things.streams.get_records(ShardIterator=iterator(things), Limit=1_000)
    assert len(answer["Records"]) == 1_000
    rest = things.streams.get_records(ShardIterator=answer["NextShardIterator"])
    assert (len(rest["Records"]), "NextShardIterator" in rest) == (1, True)


def test_a_drained_closed_shard_has_no_next_iterator_on_the_wire(things: Conformance) -> None:
    things.put("p")
    token = iterator(things)
    things.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    status, answer = things.raw("GetRecords", {"ShardIterator": token}, "DynamoDBStreams_20120810")
    assert (status, set(answer), len(answer["Records"])) == (200, {"Records"}, 1)


def test_latest_in_a_closed_shard_is_its_end(things: Conformance) -> None:
    things.put("p")
    old = arn(things)
    things.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    answer = things.streams.get_records(ShardIterator=iterator(things, "LATEST", stream=old))
    assert (answer["Records"], "NextShardIterator" in answer) == ([], False)


# ---- records -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "sizes"),
    [
        ("KEYS_ONLY", [12, 12, 12]),
        ("NEW_IMAGE", [24, 31, 12]),
        ("OLD_IMAGE", [12, 24, 31]),
        ("NEW_AND_OLD_IMAGES", [24, 43, 31]),
    ],
)
def test_the_size_is_of_keys_and_the_images_that_are_shown(
    api: Conformance, view: str, sizes: list[int]
) -> None:
    api.dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "Username", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "Username", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
    )
    item = {"Username": {"S": "Fred"}}
    api.dynamodb.put_item(TableName="things", Item=item)
    api.dynamodb.put_item(TableName="things", Item={**item, "name": {"S": "abc"}})
    api.dynamodb.delete_item(TableName="things", Key=item)
    assert [one["dynamodb"]["SizeBytes"] for one in records(api)] == sizes


def test_arrival_is_floored_to_the_second(things: Conformance, clock: ManualClock) -> None:
    clock.advance(999)
    things.put("p")
    answer = things.raw("GetRecords", {"ShardIterator": iterator(things)}, "DynamoDBStreams_20120810")[1]
    assert answer["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] == START_MS // 1_000
    assert "userIdentity" not in answer["Records"][0]


def test_what_is_written_while_the_stream_is_off_never_appears(things: Conformance) -> None:
    things.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    things.put("unseen")
    on = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    things.dynamodb.update_table(TableName="things", StreamSpecification=on)
    things.put("seen")
    assert names({"Records": records(things)}) == ["seen"]


def test_a_transaction_makes_a_record_for_each_change_and_none_for_what_stays(things: Conformance) -> None:
    things.put("same")
    things.dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "things", "Item": key("same")}},
            {"Put": {"TableName": "things", "Item": key("new")}},
            {"Delete": {"TableName": "things", "Key": key("absent")}},
        ]
    )
    assert names({"Records": records(things)}) == ["same", "new"]
