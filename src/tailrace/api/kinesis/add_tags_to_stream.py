"""AddTagsToStream: put tags on a data stream.

Behaviour:     a tag that is there is replaced.
Limits:        50 tags a stream; keys of 1–128 characters that do not begin with `aws:`, values of 0–256;
               letters, digits, spaces and `_./=+-%@:`.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, AddTagsToStream.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "AddTagsToStream")
def add_tags_to_stream(engine: Engine, payload: Payload) -> Result:
    """Tag a stream. Raises: ApiError."""
    stream = engine.kinesis.streams.usable(*name_and_arn(payload))
    engine.kinesis.resources.put_tags(stream, payload["Tags"])
    return b""
