"""DeleteFunction: no more invocations of a function, until it is created again.

Behaviour:     answers 204. Its event source mappings stay, as on AWS: they hand nothing over and keep their
               places until the function is there again.
Limits:        none.
Not emulated:  versions: there is $LATEST, which cannot be deleted alone.
Source:        AWS API Reference, DeleteFunction; semantics §2.1.
"""

from msgspec.structs import replace

from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.protocols import HttpAnswer
from tailrace.api.registry import LAMBDA, operation
from tailrace.api.wire import Payload
from tailrace.errors import invalid_parameter


@operation(LAMBDA, "DeleteFunction")
async def delete_function(service: LambdaService, payload: Payload) -> HttpAnswer:
    """Delete a function. Raises: ApiError."""
    function = registered(service, payload["FunctionName"], payload.get("Qualifier"))
    if payload.get("Qualifier") or payload["FunctionName"].endswith(":$LATEST"):
        raise invalid_parameter("$LATEST version cannot be deleted without deleting the function.")
    await service.configure(replace(function.configured, deleted=True, created=False, tags={}, statements=()))
    return HttpAnswer(204, b"")
