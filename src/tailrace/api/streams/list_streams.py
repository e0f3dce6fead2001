"""ListStreams: the streams there are, switched off and orphaned ones included while they can be read.

Behaviour:     LastEvaluatedStreamArn is answered only when more follow; paging goes on behind a stream that
               has gone.
Limits:        100 streams a page.
Not emulated:  nothing.
Source:        AWS API Reference, DynamoDB Streams, ListStreams; semantics §1.1.
"""

from tailrace.api.registry import STREAMS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(STREAMS, "ListStreams")
def list_streams(engine: Engine, payload: Payload) -> Result:
    """List streams. Raises: ApiError."""
    return engine.list_streams(
        payload.get("TableName"), payload.get("Limit"), payload.get("ExclusiveStartStreamArn")
    )
