"""DisableKinesisStreamingDestination: copy no more changes of a table into a data stream.

Behaviour:     what was written before is still delivered, also after the status is DISABLED; enabled again,
               the destination goes on behind it.
Limits:        with --aws-delays DISABLING for two seconds, in which writes are still copied.
Not emulated:  nothing.
Source:        AWS API Reference, DisableKinesisStreamingDestination; semantics §5.5.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DisableKinesisStreamingDestination")
def disable_kinesis_streaming_destination(engine: Engine, payload: Payload) -> Result:
    """Disable a destination. Raises: ApiError."""
    wanted = payload.get("EnableKinesisStreamingConfiguration")
    return engine.destinations.disable(payload["TableName"], payload["StreamArn"], wanted)
