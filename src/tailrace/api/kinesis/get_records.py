"""GetRecords: records behind an iterator, and the iterator that goes on.

Behaviour:     durable records only. At the end of a closed shard NextShardIterator is null and ChildShards
               tells the shards that continue it, exactly then.
Limits:        10,000 records or 10 MiB; with --shard-limits 5 calls and 2 MiB a second and shard: after
               10 MiB the next one waits five seconds.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, GetRecords; semantics §5.2.
"""

from typing import Any

from tailrace.api.kinesis.requests import INVALID, refuse_dry_run
from tailrace.api.listed import Listed
from tailrace.api.registry import KINESIS, Members, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.describing import described_child, described_record
from tailrace.engine.slices import Slices
from tailrace.errors import ApiError
from tailrace.streams.kinesis.throughput import PAGE_BYTES, RECORDS_A_PAGE
from tailrace.streams.kinesis.tokens import DataIterator, read_data_iterator


@operation(KINESIS, "GetRecords")
def get_records(engine: Engine, payload: Payload) -> Slices[Listed]:
    """Read a page of a shard. Raises: ApiError."""
    kinesis, wall_ms = engine.kinesis, engine.clock.now().wall_ms
    iterator = read_data_iterator(payload["ShardIterator"], wall_ms)
    stream = kinesis.streams.usable(None, iterator.stream_arn)
    if payload.get("StreamARN", stream.arn) != stream.arn:
        raise ApiError(INVALID, f"ShardIterator is not of the stream {payload['StreamARN']}.")
    place = kinesis.reader.place_of(iterator.shard)
    if place is None:
        raise ApiError(
            "ResourceNotFoundException",
            f"The shard of the ShardIterator in {stream} does not exist",
        )
    refuse_dry_run(payload)
    kinesis.rates.ask(stream, place.shard)
    chunks: list[list[Members]] = []
    size = 0
    for page in kinesis.reader.pieces(
        place, iterator.after, payload.get("Limit", RECORDS_A_PAGE), PAGE_BYTES
    ):
        if chunks:
            yield
        size += sum(len(record.data) for record in page.records)
        chunks.append([described_record(record) for record in page.records])
    kinesis.rates.read(place.shard, size)
    rest: dict[str, Any] = {"MillisBehindLatest": page.millis_behind}
    if page.closed:
        rest["NextShardIterator"] = None
        rest["ChildShards"] = [described_child(child) for child in page.children]
    else:
        following = DataIterator(stream.arn, iterator.shard, page.next_after, wall_ms)
        rest["NextShardIterator"] = following.text
    return Listed("Records", chunks, rest)
