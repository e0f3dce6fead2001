"""TagResource: put tags on a table.

Behaviour:     a tag that is there is replaced.
Limits:        50 tags a table; keys of 1–128 characters that do not begin with `aws:`, values of 0–256;
               letters, digits, spaces and `+-=._:/@`.
Not emulated:  tags of anything but tables.
Source:        AWS API Reference, TagResource; semantics §6.3.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error


@operation(DYNAMODB, "TagResource")
def tag_resource(engine: Engine, payload: Payload) -> Result:
    """Tag a table. Raises: ApiError."""
    if not payload["Tags"]:
        raise validation_error("Atleast one Tag needs to be provided as Input.")  # AWS's spelling
    engine.resources.tag(payload["ResourceArn"], {tag["Key"]: tag["Value"] for tag in payload["Tags"]})
    return b""
