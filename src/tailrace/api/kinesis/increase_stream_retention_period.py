"""IncreaseStreamRetentionPeriod: keep the records of a data stream for longer.

Behaviour:     what has passed the shorter time does not come back. The stream is UPDATING
               only with --aws-delays.
Limits:        8,760 hours.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, IncreaseStreamRetentionPeriod; semantics §5.3.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "IncreaseStreamRetentionPeriod")
def increase_stream_retention_period(engine: Engine, payload: Payload) -> Result:
    """Keep records for longer. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    engine.kinesis.settings.lengthen(stream, payload["RetentionPeriodHours"])
    return b""
