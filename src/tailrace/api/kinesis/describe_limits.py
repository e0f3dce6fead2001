"""DescribeLimits: how many shards and on-demand streams an account has, and may have.

Behaviour:     open shards of provisioned streams.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DescribeLimits.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.lifecycle import ON_DEMAND_STREAMS, SHARDS_AN_ACCOUNT


@operation(KINESIS, "DescribeLimits")
def describe_limits(engine: Engine, payload: Payload) -> Result:
    """Tell the limits."""
    streams = engine.kinesis.streams
    return {
        "ShardLimit": SHARDS_AN_ACCOUNT,
        "OpenShardCount": streams.open_shards(),
        "OnDemandStreamCount": streams.on_demand(),
        "OnDemandStreamCountLimit": ON_DEMAND_STREAMS,
        "ChannelCount": 0,
        "ChannelCountLimit": 0,
    }
