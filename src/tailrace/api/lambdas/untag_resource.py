"""UntagResource: fewer tags for a function or an event source mapping.

Behaviour:     answers 204, also for keys that are not there.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, UntagResource.
"""

from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import keep_tags, tagged
from tailrace.api.registry import LAMBDA, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "UntagResource")
async def untag_resource(service: LambdaService, payload: Payload) -> None:
    """Remove tags. Raises: ApiError."""
    keys = payload["TagKeys"]
    resource = await tagged(service, payload["Resource"])
    await keep_tags(
        service, resource, {key: value for key, value in resource.tags.items() if key not in keys}
    )
