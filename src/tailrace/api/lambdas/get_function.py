"""GetFunction: the configuration of a function that the server was started with.

Behaviour:     the functions of `tailrace serve --function NAME=module:attribute`; one version, $LATEST,
               always Active.
Limits:        none.
Not emulated:  versions, aliases, Concurrency; a Location of the code, which never comes over the wire.
Source:        AWS API Reference, GetFunction.
"""

from typing import Any

from tailrace.api.lambdas.names import configuration, registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "GetFunction")
async def get_function(service: LambdaService, payload: Payload) -> Members:
    """Describe a function. Raises: ApiError."""
    function = registered(service, payload["FunctionName"], payload.get("Qualifier"))
    answer: dict[str, Any] = {
        "Configuration": configuration(service, function),
        "Code": {"RepositoryType": "local"},
    }
    if function.configured.tags:
        answer["Tags"] = dict(function.configured.tags)
    return answer
