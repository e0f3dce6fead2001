"""UpdateStreamMode: a data stream becomes on-demand or provisioned.

Behaviour:     its shards stay as they are. The stream is UPDATING only with --aws-delays.
Limits:        twice in 24 hours; on-demand streams and shards as in CreateStream.
Not emulated:  shards that are added and removed on demand.
Source:        AWS API Reference, Kinesis, UpdateStreamMode; semantics §5.3.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "UpdateStreamMode")
def update_stream_mode(engine: Engine, payload: Payload) -> Result:
    """Change the mode. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(None, payload["StreamARN"])
    mode = payload["StreamModeDetails"]["StreamMode"]
    engine.kinesis.settings.switch(stream, mode, payload.get("WarmThroughputMiBps"))
    return b""
