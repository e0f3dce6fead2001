"""UntagResource: take tags off a table.

Behaviour:     a key that is not there is no error.
Limits:        none.
Not emulated:  tags of anything but tables.
Source:        AWS API Reference, UntagResource.
"""

from typing import Final

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.shapes import RESOURCE_ARN, Input, Many, Text, structure
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error

INPUT: Final = Input(
    structure(
        "UntagResourceInput", "ResourceArn", "TagKeys",
        ResourceArn=RESOURCE_ARN, TagKeys=Many(Text(1, 128)),
    )
)  # fmt: skip


@operation(DYNAMODB, "UntagResource", INPUT)
def untag_resource(engine: Engine, payload: Payload) -> Result:
    """Untag a table. Raises: ApiError."""
    if not payload["TagKeys"]:
        raise validation_error("Atleast one Tag Key needs to be provided as Input.")  # AWS's spelling
    engine.resources.untag(payload["ResourceArn"], payload["TagKeys"])
    return b""
