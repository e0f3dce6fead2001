"""EnableKinesisStreamingDestination: copy the changes of a table into a data stream of Kinesis.

Behaviour:     works at once, whether or not the table has a stream of its own: every change from then on is
               put into the data stream as AWS's record, at least once, those of one item in their order. A
               stream that is not there, not ACTIVE or in another region is admitted, and the status becomes
               ENABLE_FAILED with AWS's reason.
Limits:        one data stream a table; with --aws-delays ENABLING for six seconds. While the stream is away
               changes wait for 24 hours.
Not emulated:  the service-linked role; a stream of another account is never ACTIVE.
Source:        AWS API Reference, EnableKinesisStreamingDestination; semantics §5.5.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "EnableKinesisStreamingDestination")
def enable_kinesis_streaming_destination(engine: Engine, payload: Payload) -> Result:
    """Enable a destination. Raises: ApiError."""
    wanted = payload.get("EnableKinesisStreamingConfiguration")
    return engine.destinations.enable(payload["TableName"], payload["StreamArn"], wanted)
