"""Batches of records for the tests of sinks."""

from collections.abc import Sequence

import orjson

from tailrace.ports import RecordBatch, StreamRef
from tailrace.streams.record import ChangeRecord, change_record

STREAM = StreamRef(
    "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000",
    "orders",
    "2026-01-01T00:00:00.000",
    "NEW_AND_OLD_IMAGES",
)


def record(sequence: int, key: str) -> ChangeRecord:
    """An INSERT of one item."""
    keys = {"id": {"S": key}}
    new = orjson.dumps({**keys, "n": {"N": str(sequence)}})
    return change_record(
        sequence=sequence,
        shard=3,
        created_ms=1_700_000_000_000 + sequence,
        partition=hash(key) % 1000,
        key=key.encode(),
        keys=keys,
        old=None,
        new=new,
        size_bytes=len(new),
    )


def batch(keys: Sequence[str], mapping_id: str = "note", attempt: int = 1) -> RecordBatch:
    """A batch with one record a key, numbered from 1."""
    records = [record(number, key) for number, key in enumerate(keys, 1)]
    return RecordBatch(records, mapping_id, STREAM, "shardId-00000000000000000001-00000001", attempt, "3-1")
