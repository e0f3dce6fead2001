"""RegisterStreamConsumer: a consumer that may subscribe to the shards of a data stream.

Behaviour:     ACTIVE at once (with --aws-delays after AWS's time).
Limits:        20 consumers a stream, 50 of an on-demand stream of an account that has
               committed to a minimum throughput; 5 in CREATING.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, RegisterStreamConsumer; semantics §5.4.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.consumers import described_consumer


@operation(KINESIS, "RegisterStreamConsumer")
def register_stream_consumer(engine: Engine, payload: Payload) -> Result:
    """Register a consumer. Raises: ApiError."""
    consumer = engine.kinesis.consumers.register(
        payload["StreamARN"], payload["ConsumerName"], payload.get("Tags", {})
    )
    return {"Consumer": {**described_consumer(consumer), "ConsumerStatus": "CREATING"}}
