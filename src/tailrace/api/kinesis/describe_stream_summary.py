"""DescribeStreamSummary: a data stream without its shards.

Behaviour:     ConsumerCount counts registered consumers.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DescribeStreamSummary; fleet §4.2.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "DescribeStreamSummary")
def describe_stream_summary(engine: Engine, payload: Payload) -> Result:
    """Describe a stream. Raises: ApiError."""
    stream = engine.kinesis.streams.named(*name_and_arn(payload))
    return {"StreamDescriptionSummary": engine.kinesis.descriptions.summary(stream)}
