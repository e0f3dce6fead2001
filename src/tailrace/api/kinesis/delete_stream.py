"""DeleteStream: remove a data stream with all of its records.

Behaviour:     gone at once (with --aws-delays DELETING for AWS's time), in whatever state it was; its
               consumers go with it where EnforceConsumerDeletion says so.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DeleteStream.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "DeleteStream")
def delete_stream(engine: Engine, payload: Payload) -> Result:
    """Remove a stream. Raises: ApiError."""
    streams = engine.kinesis.streams
    stream = streams.named(*name_and_arn(payload))
    streams.delete(stream, with_consumers=payload.get("EnforceConsumerDeletion", False))
    return b""
