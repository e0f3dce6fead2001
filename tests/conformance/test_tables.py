"""DescribeTable, ListTables, UpdateTable and DeleteTable through boto3. Source: semantics §1.2, §6.11."""

from typing import Any
from uuid import RFC_4122, UUID

import pytest

from tests.conformance.client import Conformance

INVALID = "One or more parameter values were invalid: "
ON = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


def test_describe_counts_items_and_bytes(things: Conformance) -> None:
    things.put("p", "a", n={"N": "1"})
    described = things.dynamodb.describe_table(TableName="things")["Table"]
    assert (described["TableStatus"], described["ItemCount"]) == ("ACTIVE", 1)
    assert described["TableSizeBytes"] == 2 + 1 + 2 + 1 + 1 + 2


@pytest.mark.parametrize("operation", ["DescribeTable", "DeleteTable", "UpdateTable"])
def test_an_unknown_table_is_named(api: Conformance, operation: str) -> None:
    more = {"StreamSpecification": ON} if operation == "UpdateTable" else {}
    assert api.refusal(operation, TableName="nothing", **more) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: nothing not found",
    )


def test_list_is_alphabetical_and_paged(api: Conformance) -> None:
    for name in ("ccc", "aaa", "bbb"):
        api.table(name)
    first = api.dynamodb.list_tables(Limit=2)
    assert (first["TableNames"], first["LastEvaluatedTableName"]) == (["aaa", "bbb"], "bbb")
    second = api.dynamodb.list_tables(ExclusiveStartTableName="bbb")
    assert (second["TableNames"], "LastEvaluatedTableName" in second) == (["ccc"], False)
    assert api.dynamodb.list_tables(ExclusiveStartTableName="abc")["TableNames"] == ["bbb", "ccc"]


@pytest.mark.parametrize(
    ("limit", "constraint"),
    [(0, "greater than or equal to 1"), (101, "less than or equal to 100")],
)
def test_list_has_limits(api: Conformance, limit: int, constraint: str) -> None:
    assert api.invalid("ListTables", Limit=limit) == (
        f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
        f"Member must have value {constraint}"
    )


def test_a_deleted_table_is_gone_with_its_items(things: Conformance) -> None:
    things.put("p")
    answer = things.dynamodb.delete_table(TableName="things")
    assert answer["TableDescription"]["TableStatus"] == "DELETING"
    assert things.dynamodb.list_tables()["TableNames"] == []
    things.table()
    assert things.get("p") is None


def test_a_protected_table_stays(things: Conformance) -> None:
    things.dynamodb.update_table(TableName="things", DeletionProtectionEnabled=True)
    assert things.invalid("DeleteTable", TableName="things") == (
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion "
        "protection first."
    )
    things.dynamodb.update_table(TableName="things", DeletionProtectionEnabled=False)
    things.dynamodb.delete_table(TableName="things")


def test_a_stream_that_is_switched_on_again_is_a_new_one(api: Conformance) -> None:
    api.table(view="NEW_IMAGE")
    old = api.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    answer = api.dynamodb.update_table(TableName="things", StreamSpecification={"StreamEnabled": False})
    assert answer["TableDescription"]["TableStatus"] == "UPDATING"
    described = api.dynamodb.describe_table(TableName="things")["Table"]
    assert "StreamSpecification" not in described
    assert described["LatestStreamArn"] == old
    api.dynamodb.update_table(TableName="things", StreamSpecification=ON)
    assert api.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"] != old
    assert api.streams.describe_stream(StreamArn=old)["StreamDescription"]["StreamStatus"] == "DISABLED"


@pytest.mark.parametrize(
    ("enabled", "parameters", "message"),
    [
        (True, {"StreamSpecification": ON}, "Table already has an enabled stream: TableName: things"),
        (False, {"StreamSpecification": {"StreamEnabled": False}},
         "Table has no stream to disable: TableName: things"),
        (
            False,
            {"StreamSpecification": {"StreamEnabled": True}},
            f"{INVALID}If stream is being enabled then UpdateViewType is required",
        ),
        (
            True,
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
            f"{INVALID}If stream is being disabled, then UpdateViewType must not be specified",
        ),
        (
            False,
            {"StreamSpecification": ON,
             "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
            f"{INVALID}You cannot modify stream status while updating table IOPS",
        ),
        (
            False,
            {"StreamSpecification": ON, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "byX"}}]},
            f"{INVALID}You cannot create or delete index while changing stream status",
        ),
        (
            False,
            {"StreamSpecification": {}},
            "1 validation error detected: Value null at 'streamSpecification.streamEnabled' failed "
            "to satisfy constraint: Member must not be null",
        ),
        (
            False,
            {"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]},
            "Tailrace does not emulate ReplicaUpdates yet. `tailrace coverage` lists what it does.",
        ),
    ],
)  # fmt: skip
def test_update_is_refused_in_awss_words(
    api: Conformance, enabled: bool, parameters: dict[str, Any], message: str
) -> None:
    api.table(view="NEW_IMAGE" if enabled else None)
    refused = api.raw("UpdateTable", {"TableName": "things", **parameters})[1]
    text = refused["message"]
    assert (refused["__type"], text[: len(message)]) == (
        "com.amazon.coral.validate#ValidationException",
        message,
    )


def test_an_update_of_nothing_is_refused(things: Conformance) -> None:
    assert things.invalid("UpdateTable", TableName="things").startswith(
        "At least one of ProvisionedThroughput, "
    )


def test_a_table_id_is_a_uuid_of_version_4_and_no_other_tables(api: Conformance) -> None:
    ids = []
    for number in range(20):
        api.table(f"table{number}")
        text = api.dynamodb.describe_table(TableName=f"table{number}")["Table"]["TableId"]
        uuid = UUID(text)
        assert (str(uuid), uuid.version, uuid.variant) == (text, 4, RFC_4122)
        ids.append(uuid)
    assert len({*ids}) == 20
