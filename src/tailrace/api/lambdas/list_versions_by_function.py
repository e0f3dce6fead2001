"""ListVersionsByFunction: the versions of a function, of which there is one.

Behaviour:     $LATEST, under the ARN that names it.
Limits:        MaxItems from 1 to 10,000; Marker is behind everything.
Not emulated:  published versions.
Source:        AWS API Reference, ListVersionsByFunction.
"""

from tailrace.api.lambdas.names import configuration, page_size, registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "ListVersionsByFunction")
async def list_versions_by_function(service: LambdaService, payload: Payload) -> Members:
    """List versions. Raises: ApiError."""
    latest = configuration(service, registered(service, payload["FunctionName"]))
    latest["FunctionArn"] += ":$LATEST"
    versions = [] if payload.get("Marker") else [latest]
    return {"Versions": versions[: page_size(payload, 50)]}
