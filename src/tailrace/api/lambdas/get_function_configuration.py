"""GetFunctionConfiguration: what GetFunction tells, without the code and the tags.

Behaviour:     one version, $LATEST, always Active.
Limits:        none.
Not emulated:  versions and aliases.
Source:        AWS API Reference, GetFunctionConfiguration.
"""

import orjson

from tailrace.api.lambdas.names import configuration, registered
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("GetFunctionConfiguration", "GET", "functions/{FunctionName}/configuration")
async def get_function_configuration(service: LambdaService, ask: Ask) -> Told:
    """Describe a function. Raises: ApiError."""
    function = registered(service, ask.names["FunctionName"], ask.query.get("Qualifier"))
    return Told(200, orjson.dumps(configuration(service, function)))
