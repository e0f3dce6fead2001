"""AddPermission: let a principal invoke a function.

Behaviour:     the statement is kept with the function, told by GetPolicy, and never checked: every caller may
               invoke.
Limits:        20 KB for the whole policy.
Not emulated:  versions and aliases, the check that a principal exists.
Source:        AWS API Reference, AddPermission.
"""

import orjson

from tailrace.api.lambdas.policy import permitted, policy_of, statement_of, with_statements
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload
from tailrace.errors import ApiError
from tailrace.sinks.lambda_function import function_arn


@operation(LAMBDA, "AddPermission")
async def add_permission(service: LambdaService, payload: Payload) -> Members:
    """Add a statement. Raises: ApiError."""
    function = permitted(service, payload)
    before, settings = function.configured.statements, service.engine.settings
    if any(statement["Sid"] == payload["StatementId"] for statement in before):
        raise ApiError(
            "ResourceConflictException",
            f"The statement id ({payload['StatementId']}) provided already exists. Please provide a "
            "new statement id, or "
            "remove the existing statement.",
            status=409,
        )
    added = statement_of(payload, function_arn(settings.region, settings.account, function.name))
    policy_of((*before, added))
    await service.keep(with_statements(function.configured, (*before, added)))
    return {"Statement": orjson.dumps(added).decode()}
