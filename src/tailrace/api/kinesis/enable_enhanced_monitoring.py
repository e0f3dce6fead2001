"""EnableEnhancedMonitoring: metrics of single shards of a data stream are told.

Behaviour:     kept and told.
Limits:        none.
Not emulated:  metrics of CloudWatch.
Source:        AWS API Reference, Kinesis, EnableEnhancedMonitoring.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "EnableEnhancedMonitoring")
def enable_enhanced_monitoring(engine: Engine, payload: Payload) -> Result:
    """Add metrics. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    return engine.kinesis.settings.monitor(stream, payload["ShardLevelMetrics"], starts=True)
