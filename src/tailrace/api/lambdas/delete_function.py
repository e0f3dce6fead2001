"""DeleteFunction: no more invocations of a function, until it is created again.

Behaviour:     answers 204. Its event source mappings stay, as on AWS: they hand nothing over and keep their places until the function is there again.
Limits:        none.
Not emulated:  versions: there is $LATEST, which cannot be deleted alone.
Source:        AWS API Reference, DeleteFunction; semantics §2.1.
"""

from msgspec.structs import replace

from tailrace.api.lambdas.constraints import invalid
from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("DeleteFunction", "DELETE", "functions/{FunctionName}")
async def delete_function(service: LambdaService, ask: Ask) -> Told:
    """Delete a function. Raises: ApiError."""
    function = registered(service, ask.names["FunctionName"], ask.query.get("Qualifier"))
    if ask.query.get("Qualifier") or ask.names["FunctionName"].endswith(":$LATEST"):
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    await service.configure(replace(function.configured, deleted=True, created=False, tags={}))
    return Told(204, b"")
