"""GetShardIterator: a position in a shard, as a text.

Behaviour:     it is a position, not state: it may be used again; it lives five minutes. A sequence number or
               a time before the trim horizon is the oldest record there is.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, GetShardIterator; semantics §5.2; fleet §4.1.
"""

from tailrace.api.kinesis.requests import name_and_arn, read_start, refuse_dry_run
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.streams.kinesis.tokens import DataIterator


@operation(KINESIS, "GetShardIterator")
def get_shard_iterator(engine: Engine, payload: Payload) -> Result:
    """Make an iterator. Raises: ApiError."""
    kinesis = engine.kinesis
    stream = kinesis.streams.usable(*name_and_arn(payload))
    place = kinesis.reader.place(stream, payload["ShardId"])
    start = read_start(
        payload["ShardIteratorType"], payload.get("StartingSequenceNumber"), payload.get("Timestamp")
    )
    after = kinesis.reader.after(place, start)
    refuse_dry_run(payload)
    made_ms = engine.clock.now().wall_ms
    return {"ShardIterator": DataIterator(stream.arn, place.shard.number, after, made_ms).text}
