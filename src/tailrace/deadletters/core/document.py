"""The document that Lambda sends to an on-failure destination, and the name of its object in S3.

Rules of this file: bytes as AWS writes them; the records themselves are only in the S3 form, as escaped
JSON text. Called by deadletters/run/courier.py. Source: semantics §2.8.
"""

from collections.abc import Callable, Sequence

import orjson
from msgspec import Struct

from tailrace.streams.arns import label_of
from tailrace.streams.kinesis.names import is_data_stream, stream_arn_of
from tailrace.streams.record import ChangeRecord, SequenceNumber
from tailrace.streams.windows import WindowInvoke


class InvocationFailure(Struct, frozen=True):
    """What a document says. Shape: `is_unhandled`: the function raised, rather than naming failed records.
    Units: at_ms since the epoch; a data stream's `stream_arn` may be that of a consumer.
    """

    request_id: str
    function_arn: str
    condition: str
    invoke_count: int
    shard_id: str
    stream_arn: str
    at_ms: int
    is_unhandled: bool = True
    executed_version: str = "$LATEST"
    window: WindowInvoke | None = None


def document(failure: InvocationFailure, records: Sequence[ChangeRecord]) -> dict[str, object]:
    """The document as JSON members in AWS's order. RecordAgeExceeded has no responseContext, and counts at
    least one invoke.

    Shape:   without records (the final invoke of a window) the batch is only the shard and the stream; where
             AWS has `timeWindowInfo` is not known: it is the last member here.
    """
    is_age = failure.condition == "RecordAgeExceeded"
    members: dict[str, object] = {
        "requestContext": {
            "requestId": failure.request_id,
            "functionArn": failure.function_arn,
            "condition": failure.condition,
            "approximateInvokeCount": max(failure.invoke_count, 1),
        }
    }
    if not is_age:
        members["responseContext"] = {
            "statusCode": 200,
            "executedVersion": failure.executed_version,
            "functionError": "Unhandled" if failure.is_unhandled else None,
        }
    members["version"] = "1.0"
    members["timestamp"] = _milliseconds(failure.at_ms)
    is_data = is_data_stream(failure.stream_arn)
    members["KinesisBatchInfo" if is_data else "DDBStreamBatchInfo"] = {
        "shardId": failure.shard_id,
        **(_range(records, _milliseconds if is_data else _seconds) if records else {}),
        "streamArn": stream_arn_of(failure.stream_arn),
    }
    if failure.window is not None:
        members["timeWindowInfo"] = failure.window.span
    return members


def _range(records: Sequence[ChangeRecord], moment: Callable[[int], str]) -> dict[str, object]:
    return {
        "startSequenceNumber": SequenceNumber(records[0].sequence).wire,
        "endSequenceNumber": SequenceNumber(records[-1].sequence).wire,
        "approximateArrivalOfFirstRecord": moment(records[0].created_ms),
        "approximateArrivalOfLastRecord": moment(records[-1].created_ms),
        "batchSize": len(records),
    }


def queue_body(failure: InvocationFailure, records: Sequence[ChangeRecord]) -> bytes:
    """The message of SQS and SNS."""
    return orjson.dumps(document(failure, records))


def object_body(failure: InvocationFailure, records: Sequence[ChangeRecord], event: bytes) -> bytes:
    """The object of S3: the same, and the whole event as text."""
    return orjson.dumps({**document(failure, records), "payload": event.decode()})


def object_name(mapping_uuid: str, failure: InvocationFailure, name: str) -> str:
    """Where the object goes.

    >>> failure = InvocationFailure("r", "f", "c", 1, "shardId-1", "s", 1_780_000_000_000)
    >>> object_name("m", failure, "n")
    'aws/lambda/m/shardId-1/2026/05/28/2026-05-28T20.26.40-n'
    """
    moment = label_of(failure.at_ms)
    day, time = moment[:10], moment[11:19].replace(":", ".")
    return f"aws/lambda/{mapping_uuid}/{failure.shard_id}/{day.replace('-', '/')}/{day}T{time}-{name}"


def _seconds(created_ms: int) -> str:
    return f"{label_of(created_ms)[:19]}Z"


def _milliseconds(created_ms: int) -> str:
    return f"{label_of(created_ms)}Z"
