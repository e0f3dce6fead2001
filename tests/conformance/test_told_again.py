"""What a table is told, it tells again: every member of AWS's model that changes a table is echoed, refused,
or named here.

Rules of this file: botocore's model is the list; a member that AWS adds fails the test until it is
one of the three.
"""

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from tailrace.api.registry import find_operations
from tests.conformance.client import Conformance

UNITS = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}
MOST = {"MaxReadRequestUnits": 71, "MaxWriteRequestUnits": 72}
WARM = {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000}
PROJECTION = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "y"]}
POLICY = '{"Version":"2012-10-17","Statement":[]}'
Request = dict[str, Any]


def element(name: str, kind: str = "HASH") -> Request:
    return {"AttributeName": name, "KeyType": kind}


def defined(*names: str) -> list[Request]:
    return [{"AttributeName": name, "AttributeType": "N" if name == "n" else "S"} for name in names]


def index(name: str, *keys: Request, **more: Any) -> Request:
    return {"IndexName": name, "KeySchema": [*keys], "Projection": PROJECTION, **more}


PLAIN: Request = {"TableName": "told", "AttributeDefinitions": defined("pk"), "KeySchema": [element("pk")]}
ON_DEMAND: Request = {
    "TableName": "told", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": defined("pk", "n", "o"),
    "KeySchema": [element("pk"), element("n", "RANGE")],
    "GlobalSecondaryIndexes": [index("byOther", element("o"), OnDemandThroughput=MOST, WarmThroughput=WARM)],
    "LocalSecondaryIndexes": [index("local", element("pk"), element("o", "RANGE"))],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
    "TableClass": "STANDARD_INFREQUENT_ACCESS",
    "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "1234"},
    "Tags": [{"Key": "team", "Value": "blue"}],
    "DeletionProtectionEnabled": True, "WarmThroughput": WARM, "OnDemandThroughput": MOST,
    "ResourcePolicy": POLICY,
}  # fmt: skip
PROVISIONED: Request = {
    "TableName": "told", "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS,
    "AttributeDefinitions": defined("pk", "o"),
    "KeySchema": [element("pk")],
    "GlobalSecondaryIndexes": [index("byOther", element("o"), ProvisionedThroughput=UNITS)],
}  # fmt: skip
FREE: Request = {**PLAIN, "BillingMode": "PAY_PER_REQUEST"}
FREE_INDEXED: Request = {
    **FREE,
    "AttributeDefinitions": defined("pk", "o"),
    "GlobalSecondaryIndexes": [index("byOther", element("o"))],
}
PAID: Request = {
    **PROVISIONED,
    "GlobalSecondaryIndexes": [
        index(
            "byOther", element("o"), ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
        )
    ],
}


def updated(**members: Any) -> Request:
    return {"TableName": "told", **members}


def of_index(action: str, members: Request) -> Request:
    return updated(
        AttributeDefinitions=defined("o"),
        GlobalSecondaryIndexUpdates=[{action: {"IndexName": "byOther", **members}}],
    )


CREATED = [ON_DEMAND, PROVISIONED]
UPDATED: list[tuple[Request, Request]] = [
    (FREE, updated(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)),
    (FREE, updated(OnDemandThroughput=MOST, WarmThroughput=WARM)),
    (FREE, updated(StreamSpecification=ON_DEMAND["StreamSpecification"])),
    (FREE, updated(SSESpecification=ON_DEMAND["SSESpecification"])),
    (FREE, updated(TableClass="STANDARD_INFREQUENT_ACCESS")),
    (FREE, updated(DeletionProtectionEnabled=True)),
    (FREE_INDEXED,
     updated(GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "byOther", "OnDemandThroughput": MOST,
         "WarmThroughput": WARM}}])),
    (PAID,
     updated(GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "byOther",
         "ProvisionedThroughput": UNITS}}])),
    (FREE,
     of_index("Create",
              {**index("byOther", element("o")), "OnDemandThroughput": MOST, "WarmThroughput": WARM})),
    ({**PLAIN, "ProvisionedThroughput": UNITS},
     of_index("Create", {**index("byOther", element("o")), "ProvisionedThroughput": UNITS})),
]  # fmt: skip
PLACES = {
    "BillingMode": "BillingModeSummary.BillingMode",
    "TableClass": "TableClassSummary.TableClass",
    "SSESpecification.SSEType": "SSEDescription.SSEType",
    "GlobalSecondaryIndexUpdates[].Create": "GlobalSecondaryIndexes[]",
    "GlobalSecondaryIndexUpdates[].Update": "GlobalSecondaryIndexes[]",
}
"""Where Describe tells what stands elsewhere in the request."""
OTHERWISE = {
    "GlobalSecondaryIndexUpdates[].Delete.IndexName": "the index is gone: tests of indexes",
    "SSESpecification.Enabled": "told as SSEDescription's Status",
    "SSESpecification.KMSMasterKeyId": "told as an ARN that ends in it",
    "Tags[].Key": "ListTagsOfResource tells them",
    "Tags[].Value": "ListTagsOfResource tells them",
    "ResourcePolicy": "GetResourcePolicy tells it",
}
"""What Describe does not tell in the same words; the tests below look at it."""


def leaves(shape: Any, path: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every member of a shape that has no members."""
    match shape.type_name:
        case "structure" if shape.name not in above:
            for name, one in shape.members.items():
                yield from leaves(one, f"{path}.{name}" if path else name, (*above, shape.name))
        case "list":
            yield from leaves(shape.member, f"{path}[]", above)
        case _:
            yield path


def stated(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every (path, value) of a request or an answer."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from stated(one, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for one in value:
            yield from stated(one, f"{path}[]")
    else:
        yield path, value


def place(path: str) -> str:
    return next(
        (f"{there}{path[len(here) :]}" for here, there in PLACES.items() if path.startswith(here)), path
    )


def not_told(request: Request, described: Request) -> list[str]:
    """What of a request is not to be found in the description."""
    statements = list(stated(described))
    return [
        f"{path}={value}"
        for path, value in stated(request)
        if path not in OTHERWISE and (place(path), value) not in statements
        if not (
            path.startswith("BillingMode")
            and value == "PROVISIONED"
            and "BillingModeSummary" not in described
        )
    ]


def described(api: Conformance) -> Request:
    description: Request = api.dynamodb.describe_table(TableName="told")["Table"]
    return description


@pytest.mark.parametrize("request_", CREATED)
def test_what_create_table_accepts_describe_table_tells(api: Conformance, request_: Request) -> None:
    api.dynamodb.create_table(**request_)
    assert not_told(request_, described(api)) == []


@pytest.mark.parametrize(("before", "request_"), UPDATED)
def test_what_update_table_accepts_describe_table_tells(
    api: Conformance, before: Request, request_: Request
) -> None:
    api.dynamodb.create_table(**before)
    assert not_told(request_, described(api)) != [], "it must change something"
    api.dynamodb.update_table(**request_)
    described(api)  # an index is filled by being looked at
    assert not_told(request_, described(api)) == []


def test_what_is_told_in_other_words_is_told(api: Conformance) -> None:
    api.dynamodb.create_table(**ON_DEMAND)
    table = described(api)
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert table["SSEDescription"]["KMSMasterKeyArn"].endswith("/1234")
    arn = table["TableArn"]
    assert api.dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == ON_DEMAND["Tags"]
    assert api.dynamodb.get_resource_policy(ResourceArn=arn)["Policy"] == POLICY
    wanted = {"AttributeName": "ttl", "Enabled": True}
    api.dynamodb.update_time_to_live(TableName="told", TimeToLiveSpecification=wanted)
    told = api.dynamodb.describe_time_to_live(TableName="told")["TimeToLiveDescription"]
    assert (told["AttributeName"], told["TimeToLiveStatus"]) == ("ttl", "ENABLED")
    days = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9}
    api.dynamodb.update_continuous_backups(TableName="told", PointInTimeRecoverySpecification=days)
    backups = api.dynamodb.describe_continuous_backups(TableName="told")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["RecoveryPeriodInDays"] == 9


@pytest.mark.parametrize("operation", ["CreateTable", "UpdateTable"])
def test_every_member_of_the_model_is_told_again_refused_or_named(operation: str) -> None:
    model = botocore.session.get_session().get_service_model("dynamodb").operation_model(operation)
    requests = CREATED if operation == "CreateTable" else [request for _, request in UPDATED]
    tried = {path for request in requests for path, _ in stated(request)}
    refused = find_operations()[f"DynamoDB_20120810.{operation}".encode()].input.refused
    forgotten = [
        path
        for path in leaves(model.input_shape)
        if path not in tried
        and path not in OTHERWISE
        and path.partition("[")[0].partition(".")[0] not in refused
    ]
    assert forgotten == []


@pytest.mark.parametrize("operation", ["CreateTable", "UpdateTable"])
def test_what_is_refused_is_refused_by_its_name(api: Conformance, operation: str) -> None:
    api.dynamodb.create_table(**FREE)
    entry = find_operations()[f"DynamoDB_20120810.{operation}".encode()]
    values: dict[str, Any] = {
        "MultiRegionConsistency": "STRONG",
        "DisassociationProtectionEnabled": True,
        "GlobalTableSettingsReplicationMode": "ENABLED",
        "GlobalTableSourceArn": "arn:aws:dynamodb:eu-west-1:000000000000:table/x",
    }
    for member in entry.input.refused:
        given = {
            **(FREE if operation == "CreateTable" else updated()),
            member: values.get(member, [{"a": 1}]),
        }
        status, answer = api.raw(operation, given)
        assert status == 400
        assert answer["message"].startswith(f"Tailrace does not emulate {member}")
