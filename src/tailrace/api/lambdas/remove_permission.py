"""RemovePermission: take a statement away that AddPermission added.

Behaviour:     answers 204; without its last statement a function has no policy.
Limits:        none.
Not emulated:  versions and aliases.
Source:        AWS API Reference, RemovePermission.
"""

from tailrace.api.lambdas.policy import permitted, with_statements
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, operation
from tailrace.api.wire import Payload
from tailrace.errors import ApiError


@operation(LAMBDA, "RemovePermission")
async def remove_permission(service: LambdaService, payload: Payload) -> None:
    """Remove a statement. Raises: ApiError."""
    function, name = permitted(service, payload), payload["StatementId"]
    before = function.configured.statements
    if not before:
        raise ApiError(
            "ResourceNotFoundException", "No policy is associated with the given resource.", status=404
        )
    after = [statement for statement in before if statement["Sid"] != name]
    if len(after) == len(before):
        raise ApiError(
            "ResourceNotFoundException", f"Statement {name} is not found in resource policy.", status=404
        )
    await service.keep(with_statements(function.configured, after))
