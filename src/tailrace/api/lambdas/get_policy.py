"""GetPolicy: who may invoke a function, as AddPermission said.

Behaviour:     the statements in the order in which they were added; a function without any has no policy.
Limits:        none.
Not emulated:  versions and aliases; no caller is refused for want of a permission.
Source:        AWS API Reference, GetPolicy.
"""

from tailrace.api.lambdas.mappings import NOT_FOUND
from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.policy import policy_of, revision
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload
from tailrace.errors import ApiError


@operation(LAMBDA, "GetPolicy")
async def get_policy(service: LambdaService, payload: Payload) -> Members:
    """Tell a policy. Raises: ApiError."""
    function = registered(service, payload["FunctionName"], payload.get("Qualifier"))
    statements = function.configured.statements
    if not statements:
        raise ApiError("ResourceNotFoundException", NOT_FOUND, status=404)
    return {"Policy": policy_of(statements), "RevisionId": revision(statements)}
