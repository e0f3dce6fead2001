"""ListTags: the tags of a function or an event source mapping.

Behaviour:     an object, empty when there are none.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, ListTags.
"""

import orjson

from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import tagged


@lambda_operation("ListTags", "GET", "tags/{Resource}")
async def list_tags(service: LambdaService, ask: Ask) -> Told:
    """Tell tags. Raises: ApiError."""
    return Told(200, orjson.dumps({"Tags": dict((await tagged(service, ask.names["Resource"])).tags)}))
