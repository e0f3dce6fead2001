"""TagResource: put tags on a data stream or a consumer.

Behaviour:     a tag that is there is replaced.
Limits:        as in AddTagsToStream.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, TagResource.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "TagResource")
def tag_resource(engine: Engine, payload: Payload) -> Result:
    """Tag a stream or a consumer. Raises: ApiError."""
    engine.kinesis.resources.tag(payload["ResourceARN"], payload["Tags"])
    return b""
