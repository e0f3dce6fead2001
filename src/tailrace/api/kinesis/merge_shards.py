"""MergeShards: two shards that are neighbours become one.

Behaviour:     both are closed and one child has the hashes of both, in one commit; the stream is UPDATING
               only with --aws-delays, and takes records meanwhile.
Limits:        their hashes touch.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, MergeShards; semantics §5.3.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "MergeShards")
def merge_shards(engine: Engine, payload: Payload) -> Result:
    """Merge two shards. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    engine.kinesis.resharding.merge(stream, payload["ShardToMerge"], payload["AdjacentShardToMerge"])
    return b""
