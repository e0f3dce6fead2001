"""A stream from its switching on to its end: StreamSpecification, states, lists, descriptions. Source:
semantics §1.1, §1.2, trap 3.
"""

from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, key
from tests.conformance.conftest import START_MS
from tests.conformance.test_streams import arn, iterator, shards
from tests.conformance.test_streams_exact import DAY_MS, names

VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
OFF: dict[str, Any] = {"StreamEnabled": False}
KEYS_ONLY: dict[str, Any] = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
STREAMS = "DynamoDBStreams_20120810"
ENUM = "Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]"


def switch(api: Conformance, specification: dict[str, Any], table: str = "things") -> dict[str, Any]:
    description: dict[str, Any] = api.dynamodb.update_table(
        TableName=table, StreamSpecification=specification
    )["TableDescription"]
    return description


def describe(api: Conformance, table: str = "things") -> dict[str, Any]:
    description: dict[str, Any] = api.dynamodb.describe_table(TableName=table)["Table"]
    return description


def stream(api: Conformance, stream_arn: str, **more: Any) -> dict[str, Any]:
    described: dict[str, Any] = api.streams.describe_stream(StreamArn=stream_arn, **more)["StreamDescription"]
    return described


# ---- switching ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_a_table_may_get_its_stream_later(api: Conformance, view: str) -> None:
    api.table()
    assert not {"StreamSpecification", "LatestStreamArn", "LatestStreamLabel"} & set(describe(api))
    on = {"StreamEnabled": True, "StreamViewType": view}
    answer = switch(api, on)
    assert (answer["TableStatus"], answer["StreamSpecification"]) == ("UPDATING", on)
    described = describe(api)
    assert described["StreamSpecification"] == on
    assert described["LatestStreamArn"] == answer["LatestStreamArn"]
    assert stream(api, arn(api))["StreamViewType"] == view


def test_a_stream_that_is_declared_off_is_as_none(api: Conformance) -> None:
    parameters = {
        "TableName": "things",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": OFF,
    }
    answer = api.dynamodb.create_table(**parameters)["TableDescription"]
    assert not {"StreamSpecification", "LatestStreamArn", "LatestStreamLabel"} & set(answer)
    assert api.streams.list_streams()["Streams"] == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_type_is_changed_by_off_and_on(api: Conformance, clock: ManualClock, view: str) -> None:
    api.table(view="KEYS_ONLY")
    first = arn(api)
    wanted = {"StreamEnabled": True, "StreamViewType": view}
    assert api.refusal("UpdateTable", TableName="things", StreamSpecification=wanted) == (
        "ValidationException",
        "Table already has an enabled stream: TableName: things",
    )
    off = switch(api, OFF)
    assert "StreamSpecification" not in off
    assert (off["LatestStreamArn"], off["LatestStreamLabel"]) == (first, first.rpartition("/")[2])
    switch(api, wanted)
    assert arn(api) > first
    assert {shards(api, first)[0]["ShardId"]}.isdisjoint({shards(api)[0]["ShardId"]})
    assert (stream(api, first)["StreamViewType"], stream(api, arn(api))["StreamViewType"]) == (
        "KEYS_ONLY",
        view,
    )
    assert [stream(api, stream_arn)["StreamStatus"] for stream_arn in (first, arn(api))] == [
        "DISABLED",
        "ENABLED",
    ]


@pytest.mark.parametrize("operation", ["CreateTable", "UpdateTable"])
@pytest.mark.parametrize(
    ("specification", "message"),
    [
        (
            {"StreamEnabled": True, "StreamViewType": "Fisk"},
            f"1 validation error detected: Value 'Fisk' at 'streamSpecification.streamViewType' "
            f"failed to satisfy constraint: {ENUM}",
        ),
        (
            {"StreamViewType": "KEYS_ONLY"},
            "1 validation error detected: Value null at 'streamSpecification.streamEnabled' failed "
            "to satisfy constraint: Member must not be null",
        ),
        ([], "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.StreamSpecification"),
    ],
)  # fmt: skip
def test_a_specification_that_makes_no_sense_is_refused(
    api: Conformance, operation: str, specification: Any, message: str
) -> None:
    api.table()
    created = {
        "TableName": "others",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    usual = created if operation == "CreateTable" else {"TableName": "things"}
    status, answer = api.raw(operation, {**usual, "StreamSpecification": specification})
    assert (status, answer.get("message") or answer["Message"]) == (400, message)
    assert api.dynamodb.list_tables()["TableNames"] == ["things"]


def test_the_checks_of_the_request_come_before_those_of_the_table(api: Conformance) -> None:
    for specification in ({"StreamEnabled": True}, {**OFF, "StreamViewType": "KEYS_ONLY"}):
        assert api.refusal("UpdateTable", TableName="nothing", StreamSpecification=specification)[0] == (
            "ValidationException"
        )
    assert api.refusal("UpdateTable", TableName="nothing", StreamSpecification=KEYS_ONLY)[0] == (
        "ResourceNotFoundException"
    )


def test_off_and_on_within_a_millisecond_make_streams_of_other_names(api: Conformance) -> None:
    api.table(view="KEYS_ONLY")
    seen = [arn(api)]
    for _ in range(3):
        switch(api, OFF)
        switch(api, KEYS_ONLY)
        seen.append(arn(api))
    assert seen == sorted(set(seen))
    listed = [stream["StreamArn"] for stream in api.streams.list_streams(TableName="things")["Streams"]]
    assert listed == seen


# ---- AWS's waiting -----------------------------------------------------------------------------------------


def test_a_table_that_is_busy_cannot_be_changed(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock, EngineSettings(aws_delays=True)))
    api.table(view="KEYS_ONLY")

    def refusals() -> set[tuple[str, str]]:
        return {
            api.refusal("UpdateTable", TableName="things", StreamSpecification=OFF),
            api.refusal("DeleteTable", TableName="things"),
        }

    assert describe(api)["TableStatus"] == "CREATING"
    still = "Attempt to change a resource which is still in use: Table is being"
    assert refusals() == {("ResourceInUseException", f"{still} created: things")}
    assert api.refusal("PutItem", TableName="things", Item=key("p")) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    assert stream(api, arn(api))["StreamStatus"] == "ENABLING"
    clock.advance(60_000)
    assert (describe(api)["TableStatus"], stream(api, arn(api))["StreamStatus"]) == ("ACTIVE", "ENABLED")
    api.put("p")
    assert switch(api, OFF)["TableStatus"] == "UPDATING"
    assert stream(api, arn(api))["StreamStatus"] == "DISABLING"
    assert refusals() == {("ResourceInUseException", f"{still} updated: things")}
    assert api.get("p") is not None
    clock.advance(60_000)
    assert (describe(api)["TableStatus"], stream(api, arn(api))["StreamStatus"]) == ("ACTIVE", "DISABLED")


# ---- lists -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 100])
def test_pages_of_streams_join_to_the_whole(api: Conformance, limit: int) -> None:
    for name in ("aaa", "bbb", "aaa-bbb", "CCC", "a_b"):
        api.table(name, view="KEYS_ONLY")
    whole = api.streams.list_streams()["Streams"]
    streams: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = api.streams.list_streams(Limit=limit, **more)
        assert 1 <= len(page["Streams"]) <= limit
        streams += page["Streams"]
        if "LastEvaluatedStreamArn" not in page:
            break
        assert page["LastEvaluatedStreamArn"] == page["Streams"][-1]["StreamArn"]
        more = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert streams == whole
    assert len(streams) == 5
    assert all(set(stream) == {"StreamArn", "TableName", "StreamLabel"} for stream in streams)


def test_a_list_of_one_table_has_its_streams_alone(api: Conformance) -> None:
    api.table("other", view="KEYS_ONLY")
    api.table(view="KEYS_ONLY")
    switch(api, OFF)
    switch(api, KEYS_ONLY)
    first = api.streams.list_streams(TableName="things", Limit=1)
    rest = api.streams.list_streams(
        TableName="things", ExclusiveStartStreamArn=first["LastEvaluatedStreamArn"]
    )
    assert [stream["TableName"] for stream in first["Streams"] + rest["Streams"]] == ["things"] * 2
    for none in ("nothing", "OTHER"):
        assert api.streams.list_streams(TableName=none)["Streams"] == []


def test_a_table_that_has_gone_in_the_middle_of_paging_does_no_harm(
    api: Conformance, clock: ManualClock
) -> None:
    for name in ("aaa", "bbb", "ccc"):
        api.table(name, view="KEYS_ONLY")
    api.dynamodb.delete_table(TableName="bbb")
    first = api.streams.list_streams(Limit=2)
    assert [stream["TableName"] for stream in first["Streams"]] == ["aaa", "bbb"]
    clock.advance(DAY_MS)
    rest = api.streams.list_streams(Limit=2, ExclusiveStartStreamArn=first["LastEvaluatedStreamArn"])
    assert [stream["TableName"] for stream in rest["Streams"]] == ["ccc"]


# ---- descriptions ------------------------------------------------------------------------------------------


def test_a_description_has_these_members_on_the_wire(things: Conformance) -> None:
    description = things.raw("DescribeStream", {"StreamArn": arn(things)}, STREAMS)[1]["StreamDescription"]
    (shard,) = description.pop("Shards")
    assert description == {
        "StreamArn": arn(things),
        "StreamLabel": arn(things).rpartition("/")[2],
        "StreamStatus": "ENABLED",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "CreationRequestDateTime": START_MS / 1_000,
        "TableName": "things",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    }
    assert set(shard) == {"ShardId", "SequenceNumberRange"}
    assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber"}
    head, created, tail = shard["ShardId"].split("-")
    assert (head, len(created), int(created), len(tail)) == ("shardId", 20, START_MS, 8)
    assert set(tail) <= set("0123456789abcdef")


def test_pages_of_shards_join_to_the_whole_parents_first(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock, EngineSettings(shards=3)))
    api.table(view="KEYS_ONLY")
    api.engine.split_shards("things")
    api.engine.committer.flush()
    whole = shards(api)
    assert len(whole) == 9
    for limit in (1, 4, 8, 9):
        listed: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = stream(api, arn(api), Limit=limit, **more)
            assert len(page["Shards"]) <= limit
            listed += page["Shards"]
            if "LastEvaluatedShardId" not in page:
                break
            assert page["LastEvaluatedShardId"] == page["Shards"][-1]["ShardId"]
            more = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}
        assert listed == whole
    seen: set[str] = set()
    for shard in whole:
        assert shard.get("ParentShardId", "") in {*seen, ""}
        seen.add(shard["ShardId"])


def test_children_are_paged_too(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock))
    api.table(view="KEYS_ONLY")
    (parent,) = shards(api)
    api.engine.split_shards("things")
    api.engine.committer.flush()
    chosen = {"Type": "CHILD_SHARDS", "ShardId": parent["ShardId"]}
    first = stream(api, arn(api), ShardFilter=chosen, Limit=1)
    rest = stream(api, arn(api), ShardFilter=chosen, ExclusiveStartShardId=first["LastEvaluatedShardId"])
    children = first["Shards"] + rest["Shards"]
    assert [child["ParentShardId"] for child in children] == [parent["ShardId"]] * 2
    assert "LastEvaluatedShardId" not in rest
    for child in children:
        none = {"Type": "CHILD_SHARDS", "ShardId": child["ShardId"]}
        assert stream(api, arn(api), ShardFilter=none)["Shards"] == []


# ---- the end of a stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_iterator_of_before_reads_on_after_the_end(
    things: Conformance, clock: ManualClock, is_deleted: bool
) -> None:
    token, latest, old = iterator(things), iterator(things, "LATEST"), arn(things)
    things.put("p")
    if is_deleted:
        things.dynamodb.delete_table(TableName="things")
    else:
        switch(things, OFF)
    for position in (token, latest):
        answer = things.streams.get_records(ShardIterator=position)
        assert (names(answer), "NextShardIterator" in answer) == (["p"], False)
    described = stream(things, old)
    assert (described["StreamStatus"], described["StreamViewType"]) == ("DISABLED", "NEW_AND_OLD_IMAGES")
    clock.advance(DAY_MS - 1)
    assert stream(things, old)["StreamStatus"] == "DISABLED"
    fresh = iterator(things, stream=old)
    clock.advance(1)
    gone = f"Requested resource not found: Stream: {old} not found"
    assert things.refusal("GetRecords", ShardIterator=fresh) == ("ResourceNotFoundException", gone)
    assert things.refusal(
        "GetShardIterator", StreamArn=old, ShardId="x" * 28, ShardIteratorType="LATEST"
    ) == ("ResourceNotFoundException", gone)


def test_a_deletion_of_a_table_is_no_deletion_of_its_items_in_the_stream(things: Conformance) -> None:
    things.put("p")
    old = arn(things)
    things.dynamodb.delete_table(TableName="things")
    answer = things.streams.get_records(ShardIterator=iterator(things, stream=old))
    assert [one["eventName"] for one in answer["Records"]] == ["INSERT"]


def test_another_change_of_the_table_leaves_the_state_of_its_stream(clock: ManualClock) -> None:
    api = Conformance(Engine(MemoryStore(), clock, EngineSettings(aws_delays=True)))
    api.table(view="KEYS_ONLY")
    clock.advance(60_000)
    api.dynamodb.update_table(TableName="things", DeletionProtectionEnabled=True)
    assert (describe(api)["TableStatus"], stream(api, arn(api))["StreamStatus"]) == ("UPDATING", "ENABLED")
