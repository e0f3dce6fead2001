"""TagResource: further tags for a function or an event source mapping.

Behaviour:     answers 204; a key that is there gets the new value.
Limits:        50 tags; keys of 1 to 128 characters that do not begin with aws:, values of at most 256.
Not emulated:  nothing.
Source:        AWS API Reference, TagResource.
"""

from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import checked_tags, keep_tags, tagged
from tailrace.api.registry import LAMBDA, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "TagResource")
async def tag_resource(service: LambdaService, payload: Payload) -> None:
    """Add tags. Raises: ApiError."""
    resource = await tagged(service, payload["Resource"])
    await keep_tags(service, resource, checked_tags(payload["Tags"], resource.tags))
