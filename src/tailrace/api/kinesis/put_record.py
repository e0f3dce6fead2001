"""PutRecord: write one record.

Behaviour:     to the open shard of the partition key's MD5, or of ExplicitHashKey. Numbers always rise, so
               SequenceNumberForOrdering is only checked for its form.
Limits:        data and partition key together as large as the stream's records may be, 1 MiB unless told
               otherwise; with --shard-limits 1,000 records and 1 MiB a second and shard.
Not emulated:  keys of KMS: whatever encrypts a stream is only told.
Source:        AWS API Reference, Kinesis, PutRecord; semantics §5.1.
"""

from tailrace.api.kinesis.requests import INVALID, encryption_of, name_and_arn, read_entry, refuse_dry_run
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError
from tailrace.streams.kinesis.sequence_numbers import read_sequence_number


@operation(KINESIS, "PutRecord")
def put_record(engine: Engine, payload: Payload) -> Result:
    """Write a record. Raises: ApiError."""
    stream = engine.kinesis.streams.usable(*name_and_arn(payload))
    minimum = payload.get("SequenceNumberForOrdering")
    if minimum is not None and read_sequence_number(minimum) is None:
        raise ApiError(
            INVALID,
            f"ExclusiveMinimumSequenceNumber {minimum} used in PutRecord on stream {stream.name} under "
            f"account {stream.document.account} is invalid.",
        )
    refuse_dry_run(payload)
    (put,) = engine.kinesis.puts.put(stream, [read_entry(payload)])
    if put.error is not None:
        raise put.error
    return {"ShardId": put.shard_id, "SequenceNumber": put.sequence_number, **encryption_of(stream)}
