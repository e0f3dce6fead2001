"""Time to live through boto3: switching, errors, expiry and its records. Source: semantics §1.8."""

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, key
from tests.conformance.conftest import START_MS

NOW = START_MS // 1_000
FIVE_YEARS = 5 * 365 * 86_400


@pytest.fixture
def waiting(clock: ManualClock) -> Iterator[Conformance]:
    """The API with AWS's delays."""
    engine = Engine(MemoryStore(), clock, EngineSettings(aws_delays=True))
    yield Conformance(engine)
    engine.close()


def switch(api: Conformance, enabled: bool = True, attribute: str = "ttl") -> dict[str, Any]:
    answer: dict[str, Any] = api.dynamodb.update_time_to_live(
        TableName="things", TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
    )["TimeToLiveSpecification"]
    return answer


def refused(api: Conformance, enabled: bool, attribute: str = "ttl") -> str:
    return api.invalid(
        "UpdateTimeToLive",
        TableName="things",
        TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute},
    )


def described(api: Conformance) -> dict[str, Any]:
    description: dict[str, Any] = api.dynamodb.describe_time_to_live(TableName="things")[
        "TimeToLiveDescription"
    ]
    return description


def expire(api: Conformance) -> None:
    for _ in api.engine.housekeeping():
        api.engine.committer.flush()


def removed(api: Conformance) -> list[dict[str, Any]]:
    arn = api.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    records = []
    for shard in api.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        token = api.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records += api.streams.get_records(ShardIterator=token)["Records"]
    return [record for record in records if record["eventName"] == "REMOVE"]


def test_it_is_switched_on_and_off_and_described(things: Conformance) -> None:
    assert described(things) == {"TimeToLiveStatus": "DISABLED"}
    assert switch(things) == {"Enabled": True, "AttributeName": "ttl"}
    assert described(things) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    assert switch(things, enabled=False) == {"Enabled": False, "AttributeName": "ttl"}
    assert described(things) == {"TimeToLiveStatus": "DISABLED"}
    switch(things, attribute="other")
    assert described(things)["AttributeName"] == "other"


def test_it_is_refused_in_awss_words(things: Conformance) -> None:
    assert refused(things, False) == "TimeToLive is already disabled"
    switch(things)
    assert refused(things, True) == "TimeToLive is already enabled"
    other = "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
    assert (refused(things, True, "x"), refused(things, False, "x")) == (other, other)
    assert "'timeToLiveSpecification.attributeName' failed" in refused(things, True, "")
    assert "'timeToLiveSpecification.attributeName' failed" in refused(things, True, "x" * 256)


@pytest.mark.parametrize("operation", ["DescribeTimeToLive", "UpdateTimeToLive"])
def test_an_unknown_table_is_named(api: Conformance, operation: str) -> None:
    more: dict[str, Any] = {}
    if operation.startswith("Update"):
        more = {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "x"}}
    assert api.refusal(operation, TableName="nothing", **more) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: nothing not found",
    )


def test_with_awss_delays_it_changes_once_an_hour(waiting: Conformance, clock: ManualClock) -> None:
    waiting.table()
    assert waiting.invalid("DescribeTimeToLive", TableName="things") == (
        "Cannot describe time to live while table is in CREATING state: Current table state is CREATING"
    )
    clock.advance(10_000)
    switch(waiting)
    assert described(waiting)["TimeToLiveStatus"] == "ENABLING"
    clock.advance(3_600_000 - 1)
    assert described(waiting)["TimeToLiveStatus"] == "ENABLED"
    assert refused(waiting, False) == "Time to live has been modified multiple times within a fixed interval"
    clock.advance(1)
    switch(waiting, enabled=False)
    assert described(waiting) == {"TimeToLiveStatus": "DISABLING", "AttributeName": "ttl"}
    clock.advance(60_000)
    assert described(waiting) == {"TimeToLiveStatus": "DISABLED"}


def test_an_expired_item_is_deleted_by_the_service(things: Conformance, clock: ManualClock) -> None:
    switch(things)
    things.put("p", ttl={"N": str(NOW)})
    things.put("q", ttl={"N": str(NOW + 1)})
    expire(things)
    assert things.get("p") is not None
    clock.advance(1)
    assert things.get("p") is not None
    expire(things)
    assert (things.get("p"), things.get("q") is not None) == (None, True)
    (record,) = removed(things)
    assert record["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert record["dynamodb"]["Keys"] == key("p")
    assert record["dynamodb"]["OldImage"]["ttl"] == {"N": str(NOW)}
    clock.advance(1_000)
    expire(things)
    assert things.get("q") is None


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        ({"N": str(NOW - 1)}, False),
        ({"N": f"{NOW - 1}.5"}, False),
        ({"N": str(NOW - FIVE_YEARS + 1)}, False),
        ({"N": str(NOW - FIVE_YEARS - 1)}, True),
        ({"N": str(START_MS)}, True),
        ({"N": "-1"}, True),
        ({"S": str(NOW - 1)}, True),
        ({"L": [{"N": str(NOW - 1)}]}, True),
    ],
)
@pytest.mark.parametrize("is_before", [True, False])
def test_what_is_no_time_of_the_last_five_years_stays(
    things: Conformance, value: dict[str, Any], stays: bool, is_before: bool
) -> None:
    if is_before:
        things.put("p", ttl=value)
    switch(things)
    if not is_before:
        things.put("p", ttl=value)
    expire(things)
    assert (things.get("p") is not None) == stays


@pytest.mark.parametrize("update", ["REMOVE #t", "SET #t = :later"])
def test_an_item_is_saved_by_changing_its_time(things: Conformance, clock: ManualClock, update: str) -> None:
    switch(things)
    things.put("p", ttl={"N": str(NOW)})
    clock.advance(5_000)
    values = {":later": {"N": str(NOW + 3_600)}} if ":later" in update else None
    more: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
    things.dynamodb.update_item(
        TableName="things",
        Key=key("p"),
        UpdateExpression=update,
        ExpressionAttributeNames={"#t": "ttl"},
        **more,
    )
    expire(things)
    assert things.get("p") is not None
    assert removed(things) == []


def test_a_key_may_be_the_attribute(api: Conformance, clock: ManualClock) -> None:
    api.dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    switch(api, attribute="pk")
    api.dynamodb.put_item(TableName="things", Item={"pk": {"N": str(NOW)}})
    clock.advance(1_000)
    expire(api)
    assert api.dynamodb.scan(TableName="things")["Count"] == 0


def test_entries_of_an_index_expire_too(api: Conformance, clock: ManualClock) -> None:
    names = ("pk", "sk", "colour")
    api.dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "byColour",
                "Projection": {"ProjectionType": "ALL"},
                "KeySchema": [{"AttributeName": "colour", "KeyType": "HASH"}],
            }
        ],
    )
    switch(api)
    api.put("p", colour={"S": "red"}, ttl={"N": str(NOW)})
    clock.advance(1_000)
    assert api.dynamodb.scan(TableName="things", IndexName="byColour")["Count"] == 1
    expire(api)
    assert api.dynamodb.scan(TableName="things", IndexName="byColour")["Count"] == 0
