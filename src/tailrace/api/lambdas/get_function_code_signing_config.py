"""GetFunctionCodeSigningConfig: which signatures a function's code must have.

Behaviour:     none, as for every function on AWS without a configuration attached.
Limits:        none.
Not emulated:  code signing.
Source:        AWS API Reference, GetFunctionCodeSigningConfig.
"""

from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "GetFunctionCodeSigningConfig")
async def get_function_code_signing_config(service: LambdaService, payload: Payload) -> Members:
    """Tell of a configuration. Raises: ApiError."""
    return {"FunctionName": registered(service, payload["FunctionName"]).name}
