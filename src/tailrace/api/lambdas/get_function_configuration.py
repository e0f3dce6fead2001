"""GetFunctionConfiguration: what GetFunction tells, without the code and the tags.

Behaviour:     one version, $LATEST, always Active.
Limits:        none.
Not emulated:  versions and aliases.
Source:        AWS API Reference, GetFunctionConfiguration.
"""

from tailrace.api.lambdas.names import configuration, registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "GetFunctionConfiguration")
async def get_function_configuration(service: LambdaService, payload: Payload) -> Members:
    """Describe a function. Raises: ApiError."""
    function = registered(service, payload["FunctionName"], payload.get("Qualifier"))
    return configuration(service, function)
