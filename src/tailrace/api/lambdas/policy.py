"""The resource policy of a function: who may invoke it, as Lambda keeps and tells it. No call is checked.

Rules of this file: values in, values out; a function's row keeps the statements. Called by its operations.
Source: AWS Lambda API Reference, AddPermission, GetPolicy, RemovePermission; Lambda Developer Guide,
        "resource-based policies".
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec.structs import replace

from tailrace.api.lambdas.functions import Configured, DeployedFunction
from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.errors import ApiError, invalid_parameter

LARGEST: Final = 20_480
"""Units: bytes of the whole policy. Source: Lambda Developer Guide, "Lambda quotas"."""
ACCOUNT: Final = re.compile("[0-9]{12}")
ALL: Final = "*"
CONDITIONS: Final = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
}
"""What members of AddPermission become in a statement."""


def permitted(service: LambdaService, payload: Mapping[str, Any]) -> DeployedFunction:
    """The function that a permission is about. Raises: ApiError, for a qualifier and for a revision that is
    not the last one.
    """
    function = registered(service, payload["FunctionName"], payload.get("Qualifier"))
    if payload.get("Qualifier"):
        raise invalid_parameter("We currently do not support adding policies for $LATEST.")
    revision_id = payload.get("RevisionId")
    if revision_id is not None and revision_id != revision(function.configured.statements):
        raise ApiError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API "
            "to retrieve the latest "
            "Revision Id",
            status=412,
        )
    return function


def statement_of(payload: Mapping[str, Any], arn: str) -> dict[str, Any]:
    """The statement that AddPermission asks for."""
    conditions: dict[str, dict[str, str]] = {}
    for member, (operator, key) in CONDITIONS.items():
        if member in payload:
            value = payload[member]
            conditions.setdefault(operator, {})[key] = (
                str(value).lower() if isinstance(value, bool) else value
            )
    statement = {
        "Sid": payload["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(payload["Principal"]),
        "Action": payload["Action"],
        "Resource": arn,
    }
    return {**statement, "Condition": conditions} if conditions else statement


def _principal(principal: str) -> str | dict[str, str]:
    """A principal as policies write it: a service, an account's root user, or what an ARN names."""
    if principal == ALL:
        return principal
    if ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    return {"AWS" if principal.startswith("arn:") else "Service": principal}


def policy_of(statements: Sequence[Mapping[str, Any]]) -> str:
    """The policy as text. Raises: ApiError for one that is too large."""
    text = orjson.dumps({"Version": "2012-10-17", "Id": "default", "Statement": list(statements)})
    if len(text) > LARGEST:
        raise ApiError(
            "PolicyLengthExceededException",
            f"The final policy size ({len(text)}) is bigger than the limit ({LARGEST}).",
        )
    return text.decode()


def revision(statements: Sequence[Mapping[str, Any]]) -> str:
    """What changes with every change of the policy."""
    digits = hashlib.sha256(orjson.dumps(list(statements), option=orjson.OPT_SORT_KEYS)).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def with_statements(configured: Configured, statements: Sequence[Mapping[str, Any]]) -> Configured:
    """The function with another policy."""
    return replace(configured, statements=tuple(statements))
