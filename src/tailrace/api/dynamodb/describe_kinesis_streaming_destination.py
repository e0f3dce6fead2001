"""DescribeKinesisStreamingDestination: the data streams that changes of a table are copied to, or were.

Behaviour:     the oldest first, those that are DISABLED or failed included; the precision is left out until
               it was told, and one that failed says why.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DescribeKinesisStreamingDestination; semantics §5.5.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DescribeKinesisStreamingDestination")
def describe_kinesis_streaming_destination(engine: Engine, payload: Payload) -> Result:
    """Describe the destinations of a table. Raises: ApiError."""
    return engine.destinations.describe(payload["TableName"])
