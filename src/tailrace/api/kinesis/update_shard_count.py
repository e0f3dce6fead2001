"""UpdateShardCount: as many open shards of equal size as are asked for.

Behaviour:     splits and merges in one commit; shards that live for a moment only are listed as closed ones.
               The stream is UPDATING only with --aws-delays, and takes records meanwhile.
Limits:        at most double and at least half of the open shards, 10,000, ten times in 24 hours.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, UpdateShardCount; semantics §5.3.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "UpdateShardCount")
def update_shard_count(engine: Engine, payload: Payload) -> Result:
    """Scale a stream. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    target = payload["TargetShardCount"]
    before = engine.kinesis.resharding.scale(stream, target)
    return {
        "StreamName": stream.name,
        "CurrentShardCount": before,
        "TargetShardCount": target,
        "StreamARN": stream.arn,
    }
