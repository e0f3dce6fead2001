"""DeregisterStreamConsumer: remove a consumer of a data stream.

Behaviour:     its subscriptions end; gone at once (with --aws-delays DELETING for AWS's
               time).
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DeregisterStreamConsumer.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "DeregisterStreamConsumer")
def deregister_stream_consumer(engine: Engine, payload: Payload) -> Result:
    """Remove a consumer. Raises: ApiError."""
    consumers = engine.kinesis.consumers
    consumers.deregister(
        consumers.named(payload.get("StreamARN"), payload.get("ConsumerName"), payload.get("ConsumerARN"))
    )
    return b""
