"""CreateTable and UpdateTable: every refusal in AWS's words."""

from typing import Any

import pytest

from tailrace.errors import ApiError
from tailrace.tables.definition import TableChange, TableDefinition, read_change, read_definition

INVALID = "One or more parameter values were invalid: "
HASH = {"AttributeName": "pk", "KeyType": "HASH"}
RANGE = {"AttributeName": "sk", "KeyType": "RANGE"}
PK = {"AttributeName": "pk", "AttributeType": "S"}
SK = {"AttributeName": "sk", "AttributeType": "N"}
GOOD: dict[str, Any] = {
    "TableName": "orders",
    "KeySchema": [HASH, RANGE],
    "AttributeDefinitions": [PK, SK],
    "BillingMode": "PAY_PER_REQUEST",
}
UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}


def test_a_request_becomes_a_definition_and_its_schema_again() -> None:
    definition = read_definition(GOOD)
    assert definition == TableDefinition("orders", "pk", "S", "sk", "N")
    assert definition.key_schema() == GOOD["KeySchema"]
    assert definition.attribute_definitions() == GOOD["AttributeDefinitions"]


def test_provisioned_units_and_a_stream_are_kept() -> None:
    definition = read_definition(
        {
            **GOOD,
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": UNITS,
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        }
    )
    assert (definition.read_units, definition.write_units, definition.stream) == (1, 2, "KEYS_ONLY")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"AttributeDefinitions": [PK]},
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: "
            f"[sk], AttributeDefinitions: [pk]",
        ),
        (
            {"KeySchema": [HASH]},
            f"{INVALID}Number of attributes in KeySchema does not exactly match number of attributes "
            f"defined in AttributeDefinitions",
        ),
        (
            {"KeySchema": [RANGE, HASH]},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            {"KeySchema": [HASH, {**HASH, "AttributeName": "sk"}]},
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            {"KeySchema": [HASH, {**RANGE, "AttributeName": "pk"}]},
            "Invalid KeySchema: Some key elements in the KeySchema have the same name",
        ),
        (
            {"BillingMode": "PROVISIONED"},
            f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when "
            f"BillingMode is PROVISIONED",
        ),
        (
            {"ProvisionedThroughput": UNITS},
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
            f"BillingMode is PAY_PER_REQUEST",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": True}},
            f"{INVALID}Table is being created with a stream enabled, UpdateViewType is required",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}},
            f"{INVALID}Table is being created with a stream disabled, UpdateViewType should not be specified",
        ),
        ({"GlobalSecondaryIndexes": []}, f"{INVALID}List of GlobalSecondaryIndexes is empty"),
    ],
)
def test_a_wrong_table_is_refused_in_awss_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_definition({**GOOD, **changes})
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "),
        (
            {"StreamSpecification": {"StreamEnabled": True}},
            f"{INVALID}If stream is being enabled then UpdateViewType is required",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
            f"{INVALID}If stream is being disabled, then UpdateViewType must not be specified",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False}, "ProvisionedThroughput": UNITS},
            f"{INVALID}You cannot modify stream status while updating table IOPS",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False}, "GlobalSecondaryIndexUpdates": [{}]},
            f"{INVALID}You cannot create or delete index while changing stream status",
        ),
        (
            {"DeletionProtectionEnabled": True, "BillingMode": "PAY_PER_REQUEST"},
            f"{INVALID}DeletionProtection modification must be the only operation in the request",
        ),
        (
            {"TableClass": "STANDARD", "DeletionProtectionEnabled": True},
            f"{INVALID}DeletionProtection modification must be the only operation in the request",
        ),
    ],
)
def test_a_wrong_change_is_refused_in_awss_words(payload: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_change({"TableName": "orders", **payload})
    assert str(refused.value.message).startswith(message)


def test_a_change_keeps_only_what_was_asked() -> None:
    change = read_change({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}})
    assert change == TableChange(stream_enabled=True, stream_view="NEW_IMAGE")
