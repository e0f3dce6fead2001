"""GetFunction: the configuration of a function that the server was started with.

Behaviour:     the functions of `tailrace serve --function NAME=module:attribute`; one version, $LATEST, always Active.
Limits:        none.
Not emulated:  CreateFunction and DeleteFunction (code comes with the command line, never over the wire), versions, aliases, Tags, Concurrency.
Source:        AWS API Reference, GetFunction.
"""

import orjson

from tailrace.server.lambda_names import configuration, registered
from tailrace.server.lambda_routes import Ask, Told, lambda_operation
from tailrace.server.lambda_service import LambdaService


@lambda_operation("GetFunction", "GET", "functions/{FunctionName}")
async def get_function(service: LambdaService, ask: Ask) -> Told:
    """Describe a function. Raises: ApiError."""
    found = configuration(service, registered(service, ask.names["FunctionName"]))
    return Told(200, orjson.dumps({"Configuration": found, "Code": {"RepositoryType": "local"}}))
