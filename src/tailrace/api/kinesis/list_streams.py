"""ListStreams: the data streams of an account and region, by name.

Behaviour:     pages go on behind a name or by NextToken, which lives five minutes.
Limits:        100 streams a page at most, as on AWS whatever Limit says.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, ListStreams.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.describing import STREAMS_A_PAGE
from tailrace.streams.kinesis.tokens import read_list_token


@operation(KINESIS, "ListStreams")
def list_streams(engine: Engine, payload: Payload) -> Result:
    """List streams. Raises: ApiError."""
    after = payload.get("ExclusiveStartStreamName", "")
    if "NextToken" in payload:
        after = read_list_token(payload["NextToken"], "streams", engine.clock.now().wall_ms).after
    return engine.kinesis.descriptions.listed(
        after, min(payload.get("Limit", STREAMS_A_PAGE), STREAMS_A_PAGE)
    )
