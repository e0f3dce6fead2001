"""CreateTable through boto3. Source of the texts: semantics §1.2, §6.11."""

from typing import Any

import pytest

from tests.conformance.client import Conformance
from tests.conformance.conftest import START_MS

INVALID = "One or more parameter values were invalid: "
NOT_EMULATED = "Tailrace does not emulate {} yet. `tailrace coverage` lists what it does."


def definition(**changes: Any) -> dict[str, Any]:
    whole = {
        "TableName": "things",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def attribute(name: str, kind: str = "S") -> dict[str, str]:
    return {"AttributeName": name, "AttributeType": kind}


def element(name: str, kind: str) -> dict[str, str]:
    return {"AttributeName": name, "KeyType": kind}


def test_the_answer_describes_a_table_that_is_being_created(api: Conformance) -> None:
    described = api.raw("CreateTable", definition())[1]["TableDescription"]
    assert described == {
        "TableName": "things",
        "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/things",
        "TableId": described["TableId"],
        "TableStatus": "CREATING",
        "KeySchema": [element("pk", "HASH")],
        "AttributeDefinitions": [attribute("pk")],
        "CreationDateTime": START_MS / 1000,
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "DeletionProtectionEnabled": False,
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        },
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "TableThroughputModeSummary": {"TableThroughputMode": "PAY_PER_REQUEST"},
    }


def test_the_waiter_of_boto3_sees_it_active(api: Conformance) -> None:
    api.dynamodb.create_table(**definition())
    api.dynamodb.get_waiter("table_exists").wait(
        TableName="things", WaiterConfig={"Delay": 1, "MaxAttempts": 1}
    )


def test_provisioned_throughput_is_told(api: Conformance) -> None:
    throughput = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}
    answer = api.dynamodb.create_table(**definition(BillingMode=..., ProvisionedThroughput=throughput))
    described = answer["TableDescription"]
    assert described["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **throughput}
    assert "BillingModeSummary" not in described


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"])
def test_a_stream_comes_with_the_table(api: Conformance, view: str) -> None:
    stream = {"StreamEnabled": True, "StreamViewType": view}
    described = api.dynamodb.create_table(**definition(StreamSpecification=stream))["TableDescription"]
    assert described["StreamSpecification"] == stream
    assert described["LatestStreamArn"] == f"{described['TableArn']}/stream/{described['LatestStreamLabel']}"
    created = described["CreationDateTime"]
    assert created.strftime("%S") == described["LatestStreamLabel"][17:19]


def test_a_name_is_taken_once(api: Conformance) -> None:
    api.dynamodb.create_table(**definition())
    assert api.refusal("CreateTable", **definition()) == (
        "ResourceInUseException",
        "Table already exists: things",
    )


def named(name: str, **projection: Any) -> dict[str, Any]:
    """An index on `x` that includes what is told."""
    told = {"ProjectionType": "INCLUDE", **projection} if projection else {"ProjectionType": "ALL"}
    return {"IndexName": name, "KeySchema": [element("x", "HASH")], "Projection": told}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"StreamSpecification": {"StreamEnabled": True}},
            f"{INVALID}Table is being created with a stream enabled, UpdateViewType is required",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
            f"{INVALID}Table is being created with a stream disabled, UpdateViewType should not be specified",
        ),
        (
            {"StreamSpecification": {}},
            "1 validation error detected: Value null at 'streamSpecification.streamEnabled' failed "
            "to satisfy constraint: Member must not be null",
        ),
        (
            {"KeySchema": [element("pk", "RANGE")]},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            {"KeySchema": [element("pk", "HASH"), element("sk", "HASH")]},
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            {"KeySchema": [element("pk", "HASH"), element("pk", "RANGE")]},
            "Invalid KeySchema: Some key elements in the KeySchema have the same name",
        ),
        (
            {"KeySchema": [element("pk", "HASH"), element("sk", "RANGE"), element("x", "RANGE")]},
            "1 validation error detected: Value '[{AttributeName=pk, KeyType=HASH}, "
            "{AttributeName=sk, KeyType=RANGE}, {AttributeName=x, KeyType=RANGE}]' at 'keySchema' "
            "failed to satisfy constraint: Member must have length less than or equal to 2",
        ),
        (
            {"LocalSecondaryIndexes": [named("l1")], "GlobalSecondaryIndexes": [named("g1")]},
            "2 validation errors detected: Value 'g1' at 'globalSecondaryIndexes.1.member.indexName' "
            "failed to satisfy constraint: Member must have length greater than or equal to 3; Value "
            "'l1' at 'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must "
            "have length greater than or equal to 3",
        ),
        (
            {
                "AttributeDefinitions": [attribute("pk"), attribute("x")],
                "GlobalSecondaryIndexes": [named("byX", NonKeyAttributes=["a", "b", "a"])],
            },
            f"{INVALID}NonKeyAttributes of index byX names an attribute twice",
        ),
        (
            {"AttributeDefinitions": [attribute("x")]},
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: [pk], "
            "AttributeDefinitions: [x]",
        ),
        (
            {"AttributeDefinitions": [attribute("pk"), attribute("x")]},
            f"{INVALID}Number of attributes in KeySchema does not exactly match number of attributes "
            f"defined in AttributeDefinitions",
        ),
        (
            {"BillingMode": ...},
            f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when "
            f"BillingMode is PROVISIONED",
        ),
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
            f"BillingMode is PAY_PER_REQUEST",
        ),
        ({"GlobalSecondaryIndexes": []}, f"{INVALID}List of GlobalSecondaryIndexes is empty"),
        (
            {"KeySchema": [element("pk", "H")], "AttributeDefinitions": [attribute("", "X")]},
            "3 validation errors detected: Value '' at 'attributeDefinitions.1.member.attributeName' "
            "failed to satisfy constraint: Member must have length greater than or equal to 1; Value "
            "'X' at 'attributeDefinitions.1.member.attributeType' failed to "
            "satisfy constraint: Member must "
            "satisfy enum value set: [S, N, B]; Value 'H' at 'keySchema.1.member.keyType' failed to "
            "satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]",
        ),
        (
            {"TableName": "a b"},
            "1 validation error detected: Value 'a b' at 'tableName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        ({"GlobalTableSourceArn": "arn"}, NOT_EMULATED.format("GlobalTableSourceArn")),
    ],
)
def test_it_is_refused_in_awss_words(api: Conformance, changes: dict[str, Any], message: str) -> None:
    assert api.invalid("CreateTable", **definition(**changes)) == message
    assert api.dynamodb.list_tables()["TableNames"] == []


def test_what_is_accepted_and_not_kept_does_no_harm(api: Conformance) -> None:
    api.dynamodb.create_table(
        **definition(
            Tags=[{"Key": "a", "Value": "b"}], SSESpecification={"Enabled": True}, TableClass="STANDARD"
        )
    )
    assert api.dynamodb.list_tables()["TableNames"] == ["things"]
