"""ListTags: the tags of a function or an event source mapping.

Behaviour:     an object, empty when there are none.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, ListTags.
"""

from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import tagged
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "ListTags")
async def list_tags(service: LambdaService, payload: Payload) -> Members:
    """Tell tags. Raises: ApiError."""
    return {"Tags": dict((await tagged(service, payload["Resource"])).tags)}
