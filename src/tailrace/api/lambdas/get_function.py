"""GetFunction: the configuration of a function that the server was started with.

Behaviour:     the functions of `tailrace serve --function NAME=module:attribute`; one version, $LATEST, always Active.
Limits:        none.
Not emulated:  versions, aliases, Concurrency; a Location of the code, which never comes over the wire.
Source:        AWS API Reference, GetFunction.
"""

from typing import Any

import orjson

from tailrace.api.lambdas.names import configuration, registered
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("GetFunction", "GET", "functions/{FunctionName}")
async def get_function(service: LambdaService, ask: Ask) -> Told:
    """Describe a function. Raises: ApiError."""
    function = registered(service, ask.names["FunctionName"], ask.query.get("Qualifier"))
    found: dict[str, Any] = {
        "Configuration": configuration(service, function),
        "Code": {"RepositoryType": "local"},
    }
    if function.configured.tags:
        found["Tags"] = dict(function.configured.tags)
    return Told(200, orjson.dumps(found))
