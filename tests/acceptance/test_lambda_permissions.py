"""What tools ask of a function beside its configuration: its policy, its versions, its code's signatures.

Rules of this file: boto3 against a real server, in the order in which Terraform, CDK and SAM call.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.lambda_shop import Shop, opened, refused

FROM_S3 = {
    "FunctionName": "echo",
    "StatementId": "from-s3",
    "Action": "lambda:InvokeFunction",
    "Principal": "s3.amazonaws.com",
    "SourceArn": "arn:aws:s3:::pictures",
    "SourceAccount": "123456789012",
}
ARN = "arn:aws:lambda:us-east-1:000000000000:function:echo"
STATEMENT = {
    "Sid": "from-s3",
    "Effect": "Allow",
    "Principal": {"Service": "s3.amazonaws.com"},
    "Action": "lambda:InvokeFunction",
    "Resource": ARN,
    "Condition": {
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::pictures"},
        "StringEquals": {"AWS:SourceAccount": "123456789012"},
    },
}
NOT_FOUND = "ResourceNotFoundException"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all."""
    with opened(tmp_path_factory.mktemp("lambda")) as made:
        yield made


@pytest.fixture
def shop(serving: Shop) -> Iterator[Shop]:
    """The server, its functions without policies after each test."""
    yield serving
    for one in statements(serving):
        serving.client.remove_permission(FunctionName="echo", StatementId=one["Sid"])


def statements(shop: Shop) -> list[dict[str, Any]]:
    """What the policy of `echo` says."""
    try:
        policy = json.loads(shop.client.get_policy(FunctionName="echo")["Policy"])
    except shop.client.exceptions.ResourceNotFoundException:
        return []
    assert (policy["Version"], policy["Id"]) == ("2012-10-17", "default")
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def test_terraform_reads_a_function(shop: Shop) -> None:
    """The calls of its aws_lambda_function, in their order."""
    client = shop.client
    function = client.get_function(FunctionName="echo")["Configuration"]
    versions = client.list_versions_by_function(FunctionName="echo", MaxItems=10_000)["Versions"]
    signing = client.get_function_code_signing_config(FunctionName="echo")
    assert versions == [{**function, "FunctionArn": f"{ARN}:$LATEST"}]
    assert (signing["FunctionName"], signing.get("CodeSigningConfigArn")) == ("echo", None)


def test_a_permission_is_added_told_and_removed(shop: Shop) -> None:
    client = shop.client
    assert refused(client.get_policy, FunctionName="echo") == (
        NOT_FOUND,
        "The resource you requested does not exist.",
        404,
    )
    assert json.loads(client.add_permission(**FROM_S3)["Statement"]) == STATEMENT
    assert statements(shop) == [STATEMENT]
    client.remove_permission(FunctionName="echo", StatementId="from-s3")
    assert statements(shop) == []


def test_a_policy_outlives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    shop = Shop(tmp_path)
    try:
        shop.client.add_permission(**FROM_S3)
        shop.node.kill()
        shop.start()
        assert statements(shop) == [STATEMENT]
    finally:
        shop.node.kill()


@pytest.mark.parametrize(
    ("principal", "written"),
    [
        ("*", "*"),
        ("123456789012", {"AWS": "arn:aws:iam::123456789012:root"}),
        ("arn:aws:iam::123456789012:role/any", {"AWS": "arn:aws:iam::123456789012:role/any"}),
        ("apigateway.amazonaws.com", {"Service": "apigateway.amazonaws.com"}),
    ],
)
def test_a_principal_is_written_as_policies_write_it(shop: Shop, principal: str, written: object) -> None:
    shop.client.add_permission(
        FunctionName="echo", StatementId="one", Action="lambda:InvokeFunction", Principal=principal
    )
    assert statements(shop)[0]["Principal"] == written
    assert "Condition" not in statements(shop)[0]


def test_a_revision_that_is_not_the_last_one_is_refused(shop: Shop) -> None:
    shop.client.add_permission(**FROM_S3)
    revision = shop.client.get_policy(FunctionName="echo")["RevisionId"]
    second = {**FROM_S3, "StatementId": "second"}
    code, _, status = refused(shop.client.add_permission, **second, RevisionId="other")
    assert (code, status) == ("PreconditionFailedException", 412)
    shop.client.add_permission(**second, RevisionId=revision)
    assert shop.client.get_policy(FunctionName="echo")["RevisionId"] != revision


@pytest.mark.parametrize(
    ("changes", "code", "words", "status"),
    [
        ({}, "ResourceConflictException",
         "The statement id (from-s3) provided already exists. Please provide a new statement id, or "
         "remove the existing statement.", 409),
        ({"FunctionName": "nobody"}, NOT_FOUND,
         "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody", 404),
        ({"StatementId": "two", "Qualifier": "$LATEST"}, "InvalidParameterValueException",
         "We currently do not support adding policies for $LATEST.", 400),
        ({"StatementId": "a b"}, "ValidationException",
         "1 validation error detected: Value 'a b' at 'statementId' failed to satisfy constraint: "
         "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)", 400),
        ({"StatementId": "two", "SourceArn": "arn:aws:s3:::" + "x" * 9_900, "Principal": "s"},
         "PolicyLengthExceededException", "", 400),
    ],
)  # fmt: skip
def test_a_permission_is_refused(
    shop: Shop, changes: dict[str, Any], code: str, words: str, status: int
) -> None:
    shop.client.add_permission(**FROM_S3)
    if not words:
        shop.client.add_permission(**{**FROM_S3, **changes, "StatementId": "first"})
    refusal = refused(shop.client.add_permission, **{**FROM_S3, **changes})
    assert (refusal[0], refusal[2]) == (code, status)
    assert refusal[1] == words or (not words and refusal[1].endswith("is bigger than the limit (20480)."))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "No policy is associated with the given resource."),
        (["other"], "Statement one is not found in resource policy."),
    ],
)
def test_a_statement_that_is_not_there_cannot_be_removed(shop: Shop, given: list[str], words: str) -> None:
    for name in given:
        shop.client.add_permission(**{**FROM_S3, "StatementId": name})
    refusal = refused(shop.client.remove_permission, FunctionName="echo", StatementId="one")
    assert refusal == (NOT_FOUND, words, 404)


def test_an_operation_that_is_not_there_is_named(shop: Shop) -> None:
    refusal = refused(shop.client.list_layers)
    assert refusal == (
        "UnknownOperationException",
        "Tailrace does not emulate ListLayers yet. `tailrace coverage` lists what it does.",
        404,
    )
