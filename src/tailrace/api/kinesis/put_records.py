"""PutRecords: write several records.

Behaviour:     in their order; those whose shards are too busy are told in their places, and the others are
               written. A request with a wrong entry writes nothing.
Limits:        500 records, 10 MiB of data and partition keys together; each as in PutRecord.
Not emulated:  keys of KMS: whatever encrypts a stream is only told.
Source:        AWS API Reference, Kinesis, PutRecords; semantics §5.1.
"""

from tailrace.api.kinesis.requests import encryption_of, name_and_arn, read_entry, refuse_dry_run
from tailrace.api.registry import KINESIS, Members, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.putting import PutEntry


@operation(KINESIS, "PutRecords")
def put_records(engine: Engine, payload: Payload) -> Result:
    """Write records. Raises: ApiError."""
    stream = engine.kinesis.streams.usable(*name_and_arn(payload))
    refuse_dry_run(payload)
    puts = engine.kinesis.puts.put(stream, [read_entry(entry) for entry in payload["Records"]])
    return {
        "FailedRecordCount": sum(put.error is not None for put in puts),
        "Records": [_told(put) for put in puts],
        **encryption_of(stream),
    }


def _told(put: PutEntry) -> Members:
    if put.error is not None:
        return {"ErrorCode": put.error.code, "ErrorMessage": put.error.message}
    return {"SequenceNumber": put.sequence_number, "ShardId": put.shard_id}
