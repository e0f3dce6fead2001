"""Billing, throughput, encryption, class and limits on demand through boto3. Source: semantics §6.11."""

from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tests.conformance.client import Conformance
from tests.conformance.test_create_table import definition

INVALID = "One or more parameter values were invalid: "


def units(reads: int, writes: int) -> dict[str, int]:
    return {"ReadCapacityUnits": reads, "WriteCapacityUnits": writes}


def provisioned(api: Conformance, reads: int = 5, writes: int = 5, **more: Any) -> None:
    api.dynamodb.create_table(
        **definition(BillingMode="PROVISIONED", ProvisionedThroughput=units(reads, writes), **more)
    )


def update(api: Conformance, **parameters: Any) -> dict[str, Any]:
    api.dynamodb.update_table(TableName="things", **parameters)
    description: dict[str, Any] = api.dynamodb.describe_table(TableName="things")["Table"]
    return description


def test_throughput_goes_up_and_down_and_tells_when(api: Conformance) -> None:
    provisioned(api)
    up = update(api, ProvisionedThroughput=units(6, 5))["ProvisionedThroughput"]
    assert "LastIncreaseDateTime" in up
    assert "LastDecreaseDateTime" not in up
    down = update(api, ProvisionedThroughput=units(6, 4))["ProvisionedThroughput"]
    assert (down["NumberOfDecreasesToday"], "LastDecreaseDateTime" in down) == (1, True)


def test_the_fifth_decrease_of_a_day_waits_an_hour(api: Conformance, clock: ManualClock) -> None:
    provisioned(api, 100, 100)
    for number in range(4):
        update(api, ProvisionedThroughput=units(99 - number, 100))
    code, message = api.refusal("UpdateTable", TableName="things", ProvisionedThroughput=units(1, 1))
    assert code == "LimitExceededException"
    assert message.startswith(
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC "
        "day. After the first 4 decreases, each subsequent decrease in the same UTC day can be "
        "performed at most once every 3600 seconds. Number of decreases today: 4. Last decrease at "
    )
    update(api, ProvisionedThroughput=units(200, 200))
    clock.advance(3_600_000)
    throughput = update(api, ProvisionedThroughput=units(90, 90))["ProvisionedThroughput"]
    assert throughput["NumberOfDecreasesToday"] == 5
    clock.advance(24 * 3_600_000)
    described = api.dynamodb.describe_table(TableName="things")["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] == 0
    update(api, ProvisionedThroughput=units(80, 80))
    update(api, ProvisionedThroughput=units(70, 70))


def test_the_same_throughput_is_refused(api: Conformance) -> None:
    provisioned(api, 5, 6)
    assert api.invalid("UpdateTable", TableName="things", ProvisionedThroughput=units(5, 6)) == (
        "The provisioned throughput for the table will not change. The requested value equals the "
        "current value. Current ReadCapacityUnits provisioned for the table: 5. Requested "
        "ReadCapacityUnits: 5. Current WriteCapacityUnits provisioned for the table: 6. Requested "
        "WriteCapacityUnits: 6. Refer to the Amazon DynamoDB Developer Guide for current limits and "
        "how to request higher limits."
    )


def test_billing_changes_both_ways_and_remembers(api: Conformance) -> None:
    provisioned(api)
    assert "BillingModeSummary" not in api.dynamodb.describe_table(TableName="things")["Table"]
    description = update(api, BillingMode="PAY_PER_REQUEST")
    assert description["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert description["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    back = update(api, BillingMode="PROVISIONED", ProvisionedThroughput=units(3, 4))
    assert back["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert "LastUpdateToPayPerRequestDateTime" in back["BillingModeSummary"]
    assert back["ProvisionedThroughput"]["WriteCapacityUnits"] == 4


@pytest.mark.parametrize(
    ("mode", "parameters", "message"),
    [
        ("PAY_PER_REQUEST", {"ProvisionedThroughput": units(1, 1)},
         "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
         "PAY_PER_REQUEST"),
        ("PAY_PER_REQUEST", {"BillingMode": "PROVISIONED"},
         "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
        ("PAY_PER_REQUEST", {"TableClass": "STANDARD", "DeletionProtectionEnabled": True},
         "DeletionProtection modification must be the only operation in the request"),
        ("PAY_PER_REQUEST", {"SSESpecification": {"Enabled": True}, "BillingMode": "PAY_PER_REQUEST"},
         "SSE modification must be the only operation in the request"),
        ("PAY_PER_REQUEST", {"SSESpecification": {"Enabled": False}},
         "Table is already encrypted by default"),
        ("PAY_PER_REQUEST", {"WarmThroughput": {"ReadUnitsPerSecond": 11_999}},
         "Requested ReadUnitsPerSecond for"),
        ("PAY_PER_REQUEST", {"WarmThroughput": {}}, "One of ReadUnitsPerSecond or"),
        ("PAY_PER_REQUEST", {"OnDemandThroughput": {"MaxReadRequestUnits": 0}},
         "MaxReadRequestUnits must be"),
        ("PROVISIONED", {"OnDemandThroughput": {"MaxReadRequestUnits": 5}}, "OnDemandThroughput can not be"),
    ],
)  # fmt: skip
def test_what_does_not_go_is_refused(
    api: Conformance, mode: str, parameters: dict[str, Any], message: str
) -> None:
    if mode == "PROVISIONED":
        provisioned(api)
    else:
        api.table()
    assert api.invalid("UpdateTable", TableName="things", **parameters).startswith(INVALID + message)


@pytest.mark.parametrize(("reads", "is_allowed"), [(1_000_000_000_000, True), (1_000_000_000_001, False)])
def test_throughput_has_a_bound(api: Conformance, reads: int, is_allowed: bool) -> None:
    parameters = definition(BillingMode="PROVISIONED", ProvisionedThroughput=units(reads, 1))
    if is_allowed:
        api.dynamodb.create_table(**parameters)
    else:
        text = f"Given value {reads} for ReadCapacityUnits is out of bounds"
        assert api.invalid("CreateTable", **parameters) == text


def test_encryption_is_told_and_the_same_is_refused(api: Conformance) -> None:
    api.table()
    assert "SSEDescription" not in api.dynamodb.describe_table(TableName="things")["Table"]
    encryption = update(api, SSESpecification={"Enabled": True, "SSEType": "KMS"})["SSEDescription"]
    managed = "arn:aws:kms:us-east-1:000000000000:alias/aws/dynamodb"
    assert encryption == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": managed}
    own = {"Enabled": True, "KMSMasterKeyId": "1234"}
    assert update(api, SSESpecification=own)["SSEDescription"]["KMSMasterKeyArn"].endswith(":key/1234")
    assert api.invalid("UpdateTable", TableName="things", SSESpecification=own) == (
        f"{INVALID}Table is already encrypted with given KMSMasterKeyId"
    )
    assert "SSEDescription" not in update(api, SSESpecification={"Enabled": False})


def test_limits_on_demand_and_warm_throughput_are_told(api: Conformance) -> None:
    api.dynamodb.create_table(**definition(OnDemandThroughput={"MaxReadRequestUnits": 7}))
    throughput = update(api, OnDemandThroughput={"MaxWriteRequestUnits": 8})["OnDemandThroughput"]
    assert throughput == {"MaxReadRequestUnits": 7, "MaxWriteRequestUnits": 8}
    lifted = update(api, OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1})
    assert "OnDemandThroughput" not in lifted
    warm = update(api, WarmThroughput={"ReadUnitsPerSecond": 20_000})["WarmThroughput"]
    assert (warm["ReadUnitsPerSecond"], warm["WriteUnitsPerSecond"]) == (20_000, 4_000)
    lower = api.invalid("UpdateTable", TableName="things", WarmThroughput={"ReadUnitsPerSecond": 19_999})
    assert "decreasing WarmThroughput is not supported" in lower


def test_the_class_tells_when_it_changed(api: Conformance) -> None:
    api.dynamodb.create_table(**definition(TableClass="STANDARD"))
    described = api.dynamodb.describe_table(TableName="things")["Table"]["TableClassSummary"]
    assert described == {"TableClass": "STANDARD"}
    table_class = update(api, TableClass="STANDARD_INFREQUENT_ACCESS")["TableClassSummary"]
    assert (table_class["TableClass"], "LastUpdateDateTime" in table_class) == (
        "STANDARD_INFREQUENT_ACCESS",
        True,
    )
