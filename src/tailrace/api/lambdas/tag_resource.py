"""TagResource: further tags for a function or an event source mapping.

Behaviour:     answers 204; a key that is there gets the new value.
Limits:        50 tags; keys of 1 to 128 characters that do not begin with aws:, values of at most 256.
Not emulated:  nothing.
Source:        AWS API Reference, TagResource.
"""

from tailrace.api.lambdas.constraints import Violations, tags
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import keep_tags, tagged


@lambda_operation("TagResource", "POST", "tags/{Resource}")
async def tag_resource(service: LambdaService, ask: Ask) -> Told:
    """Add tags. Raises: ApiError."""
    given = ask.payload().get("Tags")
    violations = Violations()
    violations.given("Tags", given)
    violations.refuse()
    found = await tagged(service, ask.names["Resource"])
    await keep_tags(service, found, tags(given, found.tags))
    return Told(204, b"")
