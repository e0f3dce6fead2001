"""UntagResource: take tags off a table.

Behaviour:     a key that is not there is no error.
Limits:        none.
Not emulated:  tags of anything but tables.
Source:        AWS API Reference, UntagResource.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error


@operation(DYNAMODB, "UntagResource")
def untag_resource(engine: Engine, payload: Payload) -> Result:
    """Untag a table. Raises: ApiError."""
    if not payload["TagKeys"]:
        raise validation_error("Atleast one Tag Key needs to be provided as Input.")  # AWS's spelling
    engine.resources.untag(payload["ResourceArn"], payload["TagKeys"])
    return b""
