"""Tables at their bounds: what may be declared, one change at a time, and every member a description has.
Source: semantics §6.3, §6.11.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance
from tests.conformance.conftest import START_MS
from tests.conformance.test_create_table import INVALID, attribute, definition, element

UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}
MOST = 1_000_000_000_000
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/things"
CONSTRAINT = "1 validation error detected: Value {} failed to satisfy constraint: Member must {}"


def index(name: str, *keys: str, **members: Any) -> dict[str, Any]:
    schema = [element(key, kind) for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)]
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}, **members}


def provisioned(**changes: Any) -> dict[str, Any]:
    return definition(BillingMode="PROVISIONED", **{"ProvisionedThroughput": UNITS, **changes})


WITH_INDEX: dict[str, Any] = {"AttributeDefinitions": [attribute("pk"), attribute("x")]}


# ---- CreateTable -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        definition(TableName="a-_"), definition(TableName="A.9" * 85),
        definition(TableClass="STANDARD_INFREQUENT_ACCESS"),
        definition(KeySchema=[element("p" * 255, "HASH")], AttributeDefinitions=[attribute("p" * 255, "B")]),
        provisioned(ProvisionedThroughput={"ReadCapacityUnits": MOST, "WriteCapacityUnits": MOST}),
        provisioned(**WITH_INDEX,
                    GlobalSecondaryIndexes=[index("byX", "x",
                        ProvisionedThroughput={**UNITS, "ReadCapacityUnits": MOST})]),
        definition(Tags=[{"Key": "k" * 128, "Value": "v" * 256}]), definition(Tags=[]),
        definition(DeletionProtectionEnabled=True),
        definition(**WITH_INDEX, GlobalSecondaryIndexes=[index("byX", "x", "pk")]),
        definition(**WITH_INDEX, GlobalSecondaryIndexes=[index("a" * 255, "x")]),
    ],
)  # fmt: skip
def test_a_declaration_at_its_bounds_is_taken(api: Conformance, parameters: dict[str, Any]) -> None:
    status, answer = api.raw("CreateTable", parameters)
    assert (status, answer["TableDescription"]["TableStatus"]) == (200, "CREATING")
    described = api.raw("DescribeTable", {"TableName": parameters["TableName"]})[1]["Table"]
    assert (described["TableStatus"], described["KeySchema"]) == ("ACTIVE", parameters["KeySchema"])


OUT_OF_BOUNDS = "Given value 1000000000001 for {} is out of bounds"
TOO_MUCH = {"ReadCapacityUnits": MOST + 1, "WriteCapacityUnits": 1}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (definition(TableName="ab"),
         CONSTRAINT.format("'ab' at 'tableName'", "have length greater than or equal to 3")),
        (definition(TableName="a" * 256),
         CONSTRAINT.format(f"'{'a' * 256}' at 'tableName'", "have length less than or equal to 255")),
        (definition(TableName=...), CONSTRAINT.format("null at 'tableName'", "not be null")),
        (definition(KeySchema=...), CONSTRAINT.format("null at 'keySchema'", "not be null")),
        (definition(AttributeDefinitions=...),
         CONSTRAINT.format("null at 'attributeDefinitions'", "not be null")),
        (definition(KeySchema=[]),
         CONSTRAINT.format("'[]' at 'keySchema'", "have length greater than or equal to 1")),
        (definition(AttributeDefinitions=[]), f"{INVALID}Some index key attributes are not defined in "
         f"AttributeDefinitions. Keys: [pk], AttributeDefinitions: []"),
        (definition(AttributeDefinitions=[attribute("pk", "SS")]),
         CONSTRAINT.format("'SS' at 'attributeDefinitions.1.member.attributeType'",
                           "satisfy enum value set: [S, N, B]")),
        (definition(BillingMode="FREE"),
         CONSTRAINT.format("'FREE' at 'billingMode'",
                           "satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]")),
        (definition(TableClass="GLACIER"),
         CONSTRAINT.format("'GLACIER' at 'tableClass'",
                           "satisfy enum value set: [STANDARD, STANDARD_INFREQUENT_ACCESS]")),
        (provisioned(ProvisionedThroughput=...), f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must "
         f"both be specified when BillingMode is PROVISIONED"),
        (provisioned(ProvisionedThroughput={**UNITS, "ReadCapacityUnits": 0}),
         CONSTRAINT.format("'0' at 'provisionedThroughput.readCapacityUnits'",
                           "have value greater than or equal to 1")),
        (provisioned(ProvisionedThroughput={"ReadCapacityUnits": 1}),
         CONSTRAINT.format("null at 'provisionedThroughput.writeCapacityUnits'", "not be null")),
        (provisioned(ProvisionedThroughput=TOO_MUCH), OUT_OF_BOUNDS.format("ReadCapacityUnits")),
        (provisioned(ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": MOST + 1}),
         OUT_OF_BOUNDS.format("WriteCapacityUnits")),
        (provisioned(**WITH_INDEX,
                     GlobalSecondaryIndexes=[index("byX", "x", ProvisionedThroughput=TOO_MUCH)]),
                     OUT_OF_BOUNDS.format("ReadCapacityUnits") + " for index byX"),
        (definition(**WITH_INDEX, GlobalSecondaryIndexes=[index("byX", "x", Projection=None)]),
         CONSTRAINT.format("null at 'globalSecondaryIndexes.1.member.projection'", "not be null")),
        (definition(**WITH_INDEX, GlobalSecondaryIndexes=[index("byX")]),
         CONSTRAINT.format("'[]' at 'globalSecondaryIndexes.1.member.keySchema'",
                           "have length greater than or equal to 1")),
        (definition(**WITH_INDEX,
                    GlobalSecondaryIndexes=[index("byX", "x",
                        Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": []})]),
         CONSTRAINT.format("'[]' at 'globalSecondaryIndexes.1.member.projection.nonKeyAttributes'",
                           "have length greater than or equal to 1")),
        (definition(Tags=[{"Key": "a"}]), CONSTRAINT.format("null at 'tags.1.member.value'", "not be null")),
        (definition(Tags=[{"Key": "k" * 129, "Value": ""}]),
         CONSTRAINT.format(f"'{'k' * 129}' at 'tags.1.member.key'", "have length less than or equal to 128")),
        (definition(Tags=[{"Key": f"k{number}", "Value": ""} for number in range(51)]),
         "Number of Tags exceed the current limit for the provided ResourceArn"),
    ],
)  # fmt: skip
def test_a_declaration_past_its_bounds_is_refused(
    api: Conformance, parameters: dict[str, Any], message: str
) -> None:
    status, answer = api.raw("CreateTable", parameters)
    assert (status, answer.get("message") or answer.get("Message")) == (400, message)
    assert api.dynamodb.list_tables()["TableNames"] == []


# ---- descriptions ------------------------------------------------------------------------------------------


def test_a_description_on_demand_has_these_members_and_no_other(api: Conformance) -> None:
    api.dynamodb.create_table(**definition())
    described = api.raw("DescribeTable", {"TableName": "things"})[1]["Table"]
    since = {"LastUpdateToPayPerRequestDateTime": START_MS / 1_000}
    assert described == {
        "TableName": "things",
        "TableArn": ARN,
        "TableId": described["TableId"],
        "TableStatus": "ACTIVE",
        "KeySchema": [element("pk", "HASH")],
        "AttributeDefinitions": [attribute("pk")],
        "CreationDateTime": START_MS / 1_000,
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "DeletionProtectionEnabled": False,
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        },
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST", **since},
        "TableThroughputModeSummary": {"TableThroughputMode": "PAY_PER_REQUEST", **since},
        "WarmThroughput": {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "ACTIVE"},
    }


def test_a_provisioned_description_has_these_members_and_no_other(api: Conformance) -> None:
    units = {"NumberOfDecreasesToday": 0, **UNITS}
    warm = {"ReadUnitsPerSecond": 1, "WriteUnitsPerSecond": 2, "Status": "ACTIVE"}
    api.dynamodb.create_table(
        **provisioned(
            AttributeDefinitions=[attribute("pk"), attribute("sk"), attribute("x", "N")],
            KeySchema=[element("pk", "HASH"), element("sk", "RANGE")],
            GlobalSecondaryIndexes=[index("byX", "x", ProvisionedThroughput=UNITS)],
            LocalSecondaryIndexes=[index("within", "pk", "x")],
        )
    )
    described = api.raw("DescribeTable", {"TableName": "things"})[1]["Table"]
    shared = {"Projection": {"ProjectionType": "ALL"}, "IndexSizeBytes": 0, "ItemCount": 0}
    assert described == {
        "TableName": "things",
        "TableArn": ARN,
        "TableId": described["TableId"],
        "TableStatus": "ACTIVE",
        "KeySchema": [element("pk", "HASH"), element("sk", "RANGE")],
        "AttributeDefinitions": [attribute("pk"), attribute("sk"), attribute("x", "N")],
        "CreationDateTime": START_MS / 1_000,
        "ItemCount": 0,
        "TableSizeBytes": 0,
        "DeletionProtectionEnabled": False,
        "ProvisionedThroughput": units,
        "WarmThroughput": warm,
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "byX",
                "IndexArn": f"{ARN}/index/byX",
                "KeySchema": [element("x", "HASH")],
                "IndexStatus": "ACTIVE",
                "ProvisionedThroughput": units,
                "WarmThroughput": warm,
                **shared,
            }
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "within",
                "IndexArn": f"{ARN}/index/within",
                "KeySchema": [element("pk", "HASH"), element("x", "RANGE")],
                **shared,
            }
        ],
    }


def test_a_deleted_table_tells_its_name_and_sizes_and_no_keys(api: Conformance) -> None:
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    api.dynamodb.create_table(
        **definition(**WITH_INDEX, GlobalSecondaryIndexes=[index("byX", "x")], StreamSpecification=stream)
    )
    api.dynamodb.put_item(TableName="things", Item={"pk": {"S": "p"}})
    told = api.raw("DeleteTable", {"TableName": "things"})[1]["TableDescription"]
    assert (told["TableStatus"], told["TableName"], told["ItemCount"]) == ("DELETING", "things", 1)
    assert set(told) == {
        "TableName",
        "TableStatus",
        "ProvisionedThroughput",
        "TableSizeBytes",
        "ItemCount",
        "TableArn",
        "TableId",
        "DeletionProtectionEnabled",
        "BillingModeSummary",
    }


# ---- UpdateTable -------------------------------------------------------------------------------------------


def create(name: str, *keys: str, **members: Any) -> dict[str, Any]:
    return {"GlobalSecondaryIndexUpdates": [{"Create": index(name, *keys, **members)}]}


PK = {"AttributeDefinitions": [attribute("pk")]}
SAME = "The provisioned throughput for the {} will not change. The requested value equals the current value. "


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"AttributeDefinitions": [attribute("pk")]}, "ValidationException",
         "At least one of ProvisionedThroughput, "),
        ({"GlobalSecondaryIndexUpdates": []}, "ValidationException",
         "At least one of ProvisionedThroughput, "),
        ({"GlobalSecondaryIndexUpdates": [{}]}, "ValidationException",
         f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, "),
        (create("byY", "y", ProvisionedThroughput=UNITS), "ValidationException",
         f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: [y]"),
        (create("byX", "x", ProvisionedThroughput=UNITS), "ValidationException",
         "Attempting to create an index which already exists"),
        ({**create("byP", "pk"), **PK}, "ValidationException",
         f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified"),
        ({**create("byP", "pk", ProvisionedThroughput=TOO_MUCH), **PK}, "ValidationException",
         OUT_OF_BOUNDS.format("ReadCapacityUnits") + " for index byP"),
        ({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "byZ"}}]}, "ResourceNotFoundException",
         "Requested resource not found: Index: byZ not found"),
        ({"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "byX", "ProvisionedThroughput": UNITS}}]},
         "ValidationException", SAME.format("index byX")),
        ({"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "byX",
            "ProvisionedThroughput": TOO_MUCH}}]}, "ValidationException",
            OUT_OF_BOUNDS.format("ReadCapacityUnits") + " for index byX"),
        ({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "byX"}},
            {"Update": {"IndexName": "byX", "ProvisionedThroughput": UNITS}}]},
         "ValidationException",
         f"{INVALID}Only one global secondary index update per index is allowed "
         f"simultaneously. Index: byX"),
        ({"AttributeDefinitions": [attribute("pk")],
          "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "byX"}},
              *create("byP", "pk", ProvisionedThroughput=UNITS)["GlobalSecondaryIndexUpdates"]]},
         "LimitExceededException",
         "Subscriber limit exceeded: Only 1 online index can be created or "
         "deleted simultaneously per table"),
        ({"ProvisionedThroughput": UNITS}, "ValidationException", SAME.format("table")),
        ({"ProvisionedThroughput": TOO_MUCH}, "ValidationException",
         OUT_OF_BOUNDS.format("ReadCapacityUnits")),
        ({"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": UNITS}, "ValidationException",
         f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits"),
        ({"TableClass": "STANDARD", "SSESpecification": {"Enabled": True}}, "ValidationException",
         f"{INVALID}SSE modification must be the only operation in the request"),
        ({"TableClass": "STANDARD", "BillingMode": "PAY_PER_REQUEST"}, "ValidationException",
         f"{INVALID}TableClass modification must be the only operation in the request"),
        ({"DeletionProtectionEnabled": False, "BillingMode": "PAY_PER_REQUEST"}, "ValidationException",
         f"{INVALID}DeletionProtection modification must be the only operation in the request"),
    ],
)  # fmt: skip
def test_a_change_that_does_not_go_leaves_the_table_as_it_was(
    api: Conformance, parameters: dict[str, Any], code: str, message: str
) -> None:
    by_x = index("byX", "x", ProvisionedThroughput=UNITS)
    api.dynamodb.create_table(**provisioned(**WITH_INDEX, GlobalSecondaryIndexes=[by_x]))
    before = api.dynamodb.describe_table(TableName="things")["Table"]
    refused, text = api.refusal("UpdateTable", TableName="things", **parameters)
    assert (refused, text[: len(message)]) == (code, message)
    assert api.dynamodb.describe_table(TableName="things")["Table"] == before


# ---- ListTables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 100])
def test_pages_of_tables_join_to_the_whole(api: Conformance, limit: int) -> None:
    names = ["B.b", "a-b", "a.b", "a_b", "aab"]
    for name in reversed(names):
        api.table(name)
    listed: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = api.raw("ListTables", {"Limit": limit, **more})[1]
        listed += page["TableNames"]
        if "LastEvaluatedTableName" not in page:
            break
        assert page["LastEvaluatedTableName"] == page["TableNames"][-1]
        more = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}
    assert listed == sorted(names)


@pytest.mark.parametrize(
    ("start", "listed"), [("aaa", ["bbb", "ddd"]), ("ccc", ["ddd"]), ("ddd", []), ("AAA", ["bbb", "ddd"])]
)
def test_a_start_need_not_be_a_table(api: Conformance, start: str, listed: list[str]) -> None:
    api.table("bbb")
    api.table("ddd")
    assert api.raw("ListTables", {"ExclusiveStartTableName": start})[1] == {"TableNames": listed}
