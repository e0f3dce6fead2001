"""DescribeStreamConsumer: a consumer of a data stream.

Behaviour:     by its ARN, or by its stream's and its name, or by all where they agree.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DescribeStreamConsumer.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.consumers import described_consumer


@operation(KINESIS, "DescribeStreamConsumer")
def describe_stream_consumer(engine: Engine, payload: Payload) -> Result:
    """Describe a consumer. Raises: ApiError."""
    consumer = engine.kinesis.consumers.named(
        payload.get("StreamARN"), payload.get("ConsumerName"), payload.get("ConsumerARN")
    )
    return {"ConsumerDescription": {**described_consumer(consumer), "StreamARN": consumer.stream.arn}}
