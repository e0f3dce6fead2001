"""UpdateKinesisStreamingDestination: tell the times of changes in milliseconds or microseconds.

Behaviour:     records that are delivered from now on have the other precision, those that wait included.
Limits:        with --aws-delays UPDATING for two seconds. The clock knows milliseconds: the last three digits
               of microseconds are zeros.
Not emulated:  nothing.
Source:        AWS API Reference, UpdateKinesisStreamingDestination; semantics §5.5.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "UpdateKinesisStreamingDestination")
def update_kinesis_streaming_destination(engine: Engine, payload: Payload) -> Result:
    """Update a destination. Raises: ApiError."""
    wanted = payload.get("UpdateKinesisStreamingConfiguration")
    return engine.destinations.update(payload["TableName"], payload["StreamArn"], wanted)
