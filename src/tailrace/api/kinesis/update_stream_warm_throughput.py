"""UpdateStreamWarmThroughput: what an on-demand data stream is to take at once.

Behaviour:     it is kept and told.
Limits:        on-demand streams of accounts that have committed to a minimum throughput;
               10,240 MiB a second.
Not emulated:  an effect: a stream takes what it takes.
Source:        AWS API Reference, Kinesis, UpdateStreamWarmThroughput.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.describing import warm_throughput


@operation(KINESIS, "UpdateStreamWarmThroughput")
def update_stream_warm_throughput(engine: Engine, payload: Payload) -> Result:
    """Change warm throughput. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    mibps = payload["WarmThroughputMiBps"]
    engine.kinesis.settings.warm(stream, mibps)
    return {"StreamARN": stream.arn, "StreamName": stream.name, "WarmThroughput": warm_throughput(mibps)}
