"""DescribeStream: a data stream and its shards.

Behaviour:     shards that can still be read, closed ones included, in the order of their ids; none while the
               stream is CREATING.
Limits:        100 shards a page unless told otherwise.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DescribeStream; semantics §5.1.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.describing import SHARDS_A_DESCRIPTION


@operation(KINESIS, "DescribeStream")
def describe_stream(engine: Engine, payload: Payload) -> Result:
    """Describe a stream. Raises: ApiError."""
    stream = engine.kinesis.streams.named(*name_and_arn(payload))
    limit, start = payload.get("Limit", SHARDS_A_DESCRIPTION), payload.get("ExclusiveStartShardId")
    return {"StreamDescription": engine.kinesis.descriptions.stream(stream, limit, start)}
