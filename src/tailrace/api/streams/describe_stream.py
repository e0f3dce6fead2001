"""DescribeStream: a stream and its shards.

Behaviour:     an ExclusiveStartShardId that does not exist gives no shards; ShardFilter gives the children of
               a shard, open or closed.
Limits:        100 shards a page.
Not emulated:  nothing.
Source:        AWS API Reference, DynamoDB Streams, DescribeStream; semantics §1.1.
"""

from tailrace.api.registry import STREAMS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error


@operation(STREAMS, "DescribeStream")
def describe_stream(engine: Engine, payload: Payload) -> Result:
    """Describe a stream. Raises: ApiError."""
    chosen = payload.get("ShardFilter")
    if chosen is not None and len(chosen) < 2:
        raise validation_error("ShardFilter must have both Type and ShardId")
    return {
        "StreamDescription": engine.describe_stream(
            payload["StreamArn"], payload.get("Limit"), payload.get("ExclusiveStartShardId"), chosen
        )
    }
