"""Tags, policies, backups, limits and endpoints through boto3. Source: semantics §6.2, §6.3."""

from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tests.conformance.client import Conformance
from tests.conformance.test_create_table import definition

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/things"
NOWHERE = "arn:aws:dynamodb:us-east-1:000000000000:table/nothing"
NOT_FOUND = "ResourceNotFoundException"
TAG_CHARACTER = "One or more parameter values were invalid: Tag {} contains an invalid character: "
POLICY = '{"Version": "2012-10-17", "Statement": []}'


def tags_of(api: Conformance, arn: str = ARN) -> dict[str, str]:
    answer = api.dynamodb.list_tags_of_resource(ResourceArn=arn)
    assert "NextToken" not in answer
    return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}


def tags(*names: str) -> list[dict[str, str]]:
    return [{"Key": name, "Value": name.upper()} for name in names]


# ---- tags --------------------------------------------------------------------------------------------------


def test_tags_come_with_the_table_change_and_go(api: Conformance) -> None:
    api.dynamodb.create_table(**definition(Tags=tags("a", "b")))
    assert tags_of(api) == {"a": "A", "b": "B"}
    api.dynamodb.tag_resource(ResourceArn=ARN, Tags=[{"Key": "b", "Value": ""}, *tags("c")])
    assert tags_of(api) == {"a": "A", "b": "", "c": "C"}
    api.dynamodb.untag_resource(ResourceArn=ARN, TagKeys=["a", "x"])
    assert tags_of(api) == {"b": "", "c": "C"}
    api.dynamodb.delete_table(TableName="things")
    api.dynamodb.create_table(**definition())
    assert tags_of(api) == {}


def test_fifty_tags_fit_and_one_more_does_not(things: Conformance) -> None:
    things.dynamodb.tag_resource(ResourceArn=ARN, Tags=tags(*(f"t{number}" for number in range(50))))
    message = "Number of Tags exceed the current limit for the provided ResourceArn"
    assert things.invalid("TagResource", ResourceArn=ARN, Tags=tags("one more")) == message
    things.dynamodb.tag_resource(ResourceArn=ARN, Tags=tags("t49"))
    assert len(tags_of(things)) == 50
    many = tags(*(f"t{number}" for number in range(51)))
    assert things.invalid("CreateTable", **definition(TableName="more", Tags=many)) == message


@pytest.mark.parametrize(
    ("operation", "parameters", "answer"),
    [
        ("TagResource", {"Tags": []}, "Atleast one Tag needs to be provided as Input."),
        ("UntagResource", {"TagKeys": []}, "Atleast one Tag Key needs to be provided as Input."),
        ("ListTagsOfResource", {"ResourceArn": "x"},
         "Invalid TableArn: Invalid ResourceArn provided as input x"),
        ("ListTagsOfResource", {"NextToken": "x"}, "Invalid NextToken"),
        ("TagResource", {"ResourceArn": "", "Tags": tags("a")},
         "1 validation error detected: Value '' at 'resourceArn'"),
        ("TagResource", {"Tags": tags("k" * 129)}, "1 validation error detected: Value"),
        *(("TagResource", {"Tags": [{"Key": f"a{letter}", "Value": ""}]},
           f"{TAG_CHARACTER.format('key')}a{letter}") for letter in "!#,;<>&*\t\u0301"),
        *(("TagResource", {"Tags": [{"Key": "a", "Value": f"a{letter}"}]},
           f"{TAG_CHARACTER.format('value')}a{letter}") for letter in "!#,;<>&*\t\u0301"),
        ("TagResource", {"Tags": tags("aws:x")},
         "One or more parameter values were invalid: Tag key prefix aws:"),
    ],
)  # fmt: skip
def test_tags_are_refused(
    things: Conformance, operation: str, parameters: dict[str, Any], answer: str
) -> None:
    assert things.invalid(operation, **{"ResourceArn": ARN, **parameters}).startswith(answer)


def test_a_tag_has_letters_digits_spaces_and_eight_signs(things: Conformance) -> None:
    text = "Größe 2 数字٣ +-=._:/@"
    things.dynamodb.tag_resource(ResourceArn=ARN, Tags=[{"Key": text, "Value": text}])
    assert tags_of(things) == {text: text}
    wrong = [{"Key": "a", "Value": "!"}]
    refused = things.invalid("CreateTable", **definition(TableName="more", Tags=wrong))
    assert refused.startswith(TAG_CHARACTER.format("value"))


@pytest.mark.parametrize("arn", [NOWHERE, ARN.replace("000000000000", "111111111111")])
def test_the_tags_of_what_is_absent_or_anothers_are_denied(things: Conformance, arn: str) -> None:
    code, message = things.refusal("ListTagsOfResource", ResourceArn=arn)
    assert code == "AccessDeniedException"
    assert message.endswith(f"is not authorized to perform: dynamodb:ListTagsOfResource on resource: {arn}")


def test_nothing_that_is_absent_can_be_tagged(api: Conformance) -> None:
    assert api.refusal("TagResource", ResourceArn=NOWHERE, Tags=tags("a"))[0] == NOT_FOUND
    assert api.refusal("UntagResource", ResourceArn=NOWHERE, TagKeys=["a"])[0] == NOT_FOUND


def test_the_answers_of_tagging_have_no_body(things: Conformance) -> None:
    from tests.conformance.client import SIGNED

    headers = {
        **SIGNED,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.UntagResource",
    }
    body = b'{"ResourceArn":"%s","TagKeys":["a"]}' % ARN.encode()
    answer = things.server.call(headers, body)
    assert (answer.status, answer.body) == (200, b"")


# ---- policies ----------------------------------------------------------------------------------------------


def test_a_policy_is_kept_as_it_was_put_until_it_goes(things: Conformance) -> None:
    stream = things.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    for arn in (ARN, stream):
        assert things.refusal("GetResourcePolicy", ResourceArn=arn)[0] == "PolicyNotFoundException"
        first = things.dynamodb.put_resource_policy(ResourceArn=arn, Policy=POLICY)["RevisionId"]
        answer = things.dynamodb.get_resource_policy(ResourceArn=arn)
        assert (answer["Policy"], answer["RevisionId"]) == (POLICY, first)
        assert things.dynamodb.put_resource_policy(ResourceArn=arn, Policy=POLICY)["RevisionId"] == first
        second = things.dynamodb.put_resource_policy(ResourceArn=arn, Policy="{}")["RevisionId"]
        assert second != first
        assert things.dynamodb.delete_resource_policy(ResourceArn=arn)["RevisionId"] == second
        assert "RevisionId" not in things.dynamodb.delete_resource_policy(ResourceArn=arn)


@pytest.mark.parametrize("operation", ["GetResourcePolicy", "DeleteResourcePolicy"])
def test_a_policy_of_no_table_is_not_found(api: Conformance, operation: str) -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/unknown"
    assert api.refusal(operation, ResourceArn=arn) == (
        NOT_FOUND,
        "Requested resource not found: Table: unknown not found",
    )


def test_a_revision_may_be_insisted_on(things: Conformance) -> None:
    put = {"ResourceArn": ARN, "Policy": POLICY}
    assert things.refusal("PutResourcePolicy", **put, ExpectedRevisionId="1")[0] == "PolicyNotFoundException"
    revision = things.dynamodb.put_resource_policy(**put, ExpectedRevisionId="NO_POLICY")["RevisionId"]
    wrong = {**put, "Policy": "{}"}
    stale = (
        "PolicyNotFoundException",
        "Resource-based policy not found for the provided ResourceArn: Requested update for policy "
        "with revision id 1, but "
        f"the policy associated to target table things has revision id {revision}.",
    )
    assert things.refusal("PutResourcePolicy", **wrong, ExpectedRevisionId="NO_POLICY") == (
        "PolicyNotFoundException",
        "Resource-based policy not found for the provided ResourceArn: Requested policy update "
        "expecting none to be present "
        f"for table things, but a policy exists with revision id {revision}.",
    )
    assert things.refusal("PutResourcePolicy", **wrong, ExpectedRevisionId="1") == stale
    assert things.refusal("DeleteResourcePolicy", ResourceArn=ARN, ExpectedRevisionId="1") == stale
    things.dynamodb.put_resource_policy(**wrong, ExpectedRevisionId=revision)


def test_revisions_grow_whatever_the_clock_says_and_over_a_policy_that_went(
    things: Conformance, clock: ManualClock
) -> None:
    revisions = []
    for policy in (POLICY, "{}", POLICY):
        revisions.append(things.dynamodb.put_resource_policy(ResourceArn=ARN, Policy=policy)["RevisionId"])
    things.dynamodb.delete_resource_policy(ResourceArn=ARN)
    for policy in (POLICY, "{}"):
        revisions.append(things.dynamodb.put_resource_policy(ResourceArn=ARN, Policy=policy)["RevisionId"])
        clock.advance(1_000)
    assert len({*revisions}) == 5
    assert revisions == sorted(revisions, key=int)


def test_a_policy_is_json_of_at_most_twenty_kilobytes(things: Conformance) -> None:
    most = '{"a":"' + "x" * (20 * 1024 - 8) + '"}'
    things.dynamodb.put_resource_policy(ResourceArn=ARN, Policy=most)
    for policy in (most + " ", "no json", "[]"):
        assert things.invalid("PutResourcePolicy", ResourceArn=ARN, Policy=policy)
    assert things.refusal("PutResourcePolicy", ResourceArn=NOWHERE, Policy="{}")[0] == NOT_FOUND


def test_a_policy_comes_with_the_table_and_goes_with_it(api: Conformance) -> None:
    api.dynamodb.create_table(**definition(ResourcePolicy=POLICY))
    assert api.dynamodb.get_resource_policy(ResourceArn=ARN)["Policy"] == POLICY
    api.dynamodb.delete_table(TableName="things")
    api.dynamodb.create_table(**definition())
    assert api.refusal("GetResourcePolicy", ResourceArn=ARN)[0] == "PolicyNotFoundException"
    api.dynamodb.delete_table(TableName="things")
    assert api.invalid("CreateTable", **definition(ResourcePolicy="no"))
    assert api.dynamodb.list_tables()["TableNames"] == []


# ---- the rest ----------------------------------------------------------------------------------------------


def test_recovery_is_off_until_it_is_switched_on(things: Conformance) -> None:
    def recovery() -> dict[str, Any]:
        described = things.dynamodb.describe_continuous_backups(TableName="things")
        assert described["ContinuousBackupsDescription"]["ContinuousBackupsStatus"] == "ENABLED"
        recovery: dict[str, Any] = described["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        return recovery

    def switch(**specification: Any) -> None:
        things.dynamodb.update_continuous_backups(
            TableName="things", PointInTimeRecoverySpecification=specification
        )

    assert recovery() == {"PointInTimeRecoveryStatus": "DISABLED"}
    switch(PointInTimeRecoveryEnabled=True)
    assert recovery()["RecoveryPeriodInDays"] == 35
    assert recovery()["EarliestRestorableDateTime"] <= recovery()["LatestRestorableDateTime"]
    switch(PointInTimeRecoveryEnabled=True, RecoveryPeriodInDays=1)
    assert recovery()["RecoveryPeriodInDays"] == 1
    switch(PointInTimeRecoveryEnabled=False)
    assert recovery() == {"PointInTimeRecoveryStatus": "DISABLED"}
    for days in (0, 36):
        wrong = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days}
        assert things.invalid(
            "UpdateContinuousBackups", TableName="things", PointInTimeRecoverySpecification=wrong
        )
    assert things.refusal("DescribeContinuousBackups", TableName="nothing") == (
        "TableNotFoundException",
        "Table not found: nothing",
    )


def test_limits_and_the_address_are_told(api: Conformance) -> None:
    limits = api.dynamodb.describe_limits()
    assert (limits["AccountMaxReadCapacityUnits"], limits["TableMaxWriteCapacityUnits"]) == (80_000, 40_000)
    (endpoint,) = api.dynamodb.describe_endpoints()["Endpoints"]
    assert endpoint == {"Address": "localhost", "CachePeriodInMinutes": 1_440}
