"""ListTagsOfResource: the tags of a table.

Behaviour:     all of them in one page, in the order in which they came; of what is another account's or
               absent, access is denied.
Limits:        none.
Not emulated:  tags of anything but tables; there is never a NextToken, so that one that is given is invalid.
Source:        AWS API Reference, ListTagsOfResource.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error


@operation(DYNAMODB, "ListTagsOfResource")
def list_tags_of_resource(engine: Engine, payload: Payload) -> Result:
    """List tags. Raises: ApiError."""
    if "NextToken" in payload:
        raise validation_error("Invalid NextToken")
    tags = engine.resources.tags(payload["ResourceArn"])
    return {"Tags": [{"Key": name, "Value": value} for name, value in tags.items()]}
