"""ListStreamConsumers: the consumers of a data stream, by name.

Behaviour:     NextToken lives five minutes.
Limits:        100 consumers a page at most, as on AWS whatever MaxResults says.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, ListStreamConsumers.
"""

from tailrace.api.kinesis.requests import INVALID, milliseconds
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.consumers import CONSUMERS_A_PAGE
from tailrace.errors import ApiError
from tailrace.streams.kinesis.tokens import read_list_token


@operation(KINESIS, "ListStreamConsumers")
def list_stream_consumers(engine: Engine, payload: Payload) -> Result:
    """List consumers. Raises: ApiError."""
    streams, arn = engine.kinesis.streams, payload["StreamARN"]
    stream = streams.usable(None, arn)
    limit = min(payload.get("MaxResults", CONSUMERS_A_PAGE), CONSUMERS_A_PAGE)
    created = payload.get("StreamCreationTimestamp")
    if "NextToken" not in payload:
        if created is not None:
            streams.require_created(stream, milliseconds(created))
        return engine.kinesis.consumers.listed(stream, "", limit)
    if created is not None:
        raise ApiError(INVALID, "NextToken and StreamCreationTimestamp cannot be provided together.")
    token = read_list_token(payload["NextToken"], "consumers", engine.clock.now().wall_ms)
    if token.of != stream.arn:
        raise ApiError(INVALID, f"NextToken is not of the stream {arn}.")
    return engine.kinesis.consumers.listed(stream, token.after, limit)
