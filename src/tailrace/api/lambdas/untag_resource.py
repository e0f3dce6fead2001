"""UntagResource: fewer tags for a function or an event source mapping.

Behaviour:     answers 204, also for keys that are not there.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, UntagResource.
"""

from tailrace.api.lambdas.constraints import Violations
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import keep_tags, tagged


@lambda_operation("UntagResource", "DELETE", "tags/{Resource}")
async def untag_resource(service: LambdaService, ask: Ask) -> Told:
    """Remove tags. Raises: ApiError."""
    keys = ask.several("tagKeys")
    violations = Violations()
    violations.given("tagKeys", keys or None)
    violations.refuse()
    found = await tagged(service, ask.names["Resource"])
    await keep_tags(service, found, {key: value for key, value in found.tags.items() if key not in keys})
    return Told(204, b"")
