"""DecreaseStreamRetentionPeriod: keep the records of a data stream for a shorter time.

Behaviour:     what is older is gone at once, and does not come back. The stream is UPDATING
               only with --aws-delays.
Limits:        24 hours.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DecreaseStreamRetentionPeriod; semantics §5.3.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "DecreaseStreamRetentionPeriod")
def decrease_stream_retention_period(engine: Engine, payload: Payload) -> Result:
    """Keep records for a shorter time. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    engine.kinesis.settings.shorten(stream, payload["RetentionPeriodHours"])
    return b""
