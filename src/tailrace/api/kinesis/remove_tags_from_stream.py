"""RemoveTagsFromStream: take tags from a data stream.

Behaviour:     a tag that is not there is no error.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, RemoveTagsFromStream.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "RemoveTagsFromStream")
def remove_tags_from_stream(engine: Engine, payload: Payload) -> Result:
    """Take tags. Raises: ApiError."""
    stream = engine.kinesis.streams.usable(*name_and_arn(payload))
    engine.kinesis.resources.remove_tags(stream, payload["TagKeys"])
    return b""
