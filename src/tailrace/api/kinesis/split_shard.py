"""SplitShard: one shard becomes two.

Behaviour:     the shard is closed and two children share its hashes, in one commit; the stream is UPDATING
               only with --aws-delays, and takes records meanwhile.
Limits:        the new hash is within the shard, with a hash of room at both ends; shards as in CreateStream.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, SplitShard; semantics §5.3.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "SplitShard")
def split_shard(engine: Engine, payload: Payload) -> Result:
    """Split a shard. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    engine.kinesis.resharding.split(stream, payload["ShardToSplit"], payload["NewStartingHashKey"])
    return b""
