"""Every failure document of semantics §2.8, byte for byte: each condition and each cause, as a queue or topic
and as a bucket gets it.

Rules of this file: the bytes are written out, nothing of them is made by the code that they judge. Used by
test_document.py and by tests/unit/sinks/test_destinations.py.
"""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from tailrace.deadletters.core.document import InvocationFailure, object_body, object_name, queue_body
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.streams.windows import WindowInvoke

EVENT: Final = rb'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"caf\u00e9 \"1\""}}}}]}'
"""What the function was given: with quotes and an escape, which the payload must escape once more."""
PAYLOAD: Final = (
    r'"{\"Records\":[{\"eventName\":\"INSERT\",'
    r'\"dynamodb\":{\"Keys\":{\"id\":{\"S\":\"caf\\u00e9 \\\"1\\\"\"}}}}]}"'
)
STREAM: Final = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
FUNCTION: Final = "arn:aws:lambda:us-east-1:000000000000:function:tally"
REQUEST: Final = "0a1b2c3d-0000-4000-8000-00000000000f"
SHARD: Final = "shardId-00000001767225600000-6a094964"
TOLD: Final = InvocationFailure(
    REQUEST, FUNCTION, "RetryAttemptsExhausted", 2, SHARD, STREAM, 1_767_323_045_678
)
WINDOW: Final = WindowInvoke(1_767_323_040_000, 1_767_323_100_000, b'{"n":1}')
NAME: Final = (
    f"aws/lambda/5aa83b94-0000-4000-8000-000000000001/{SHARD}/2026/01/02/2026-01-02T03.04.05-{REQUEST}"
)


def record(sequence: int, created_ms: int) -> ChangeRecord:
    """An INSERT. Its image is in no document: the event is given as it is."""
    return change_record(
        sequence=sequence,
        shard=3,
        created_ms=created_ms,
        partition=0,
        key=b"k",
        keys={"id": {"S": "1"}},
        old=None,
        new=b"{}",
        size_bytes=5,
    )


ONE: Final = (record(1, 1_767_323_040_999),)
TWO: Final = (record(1, 1_767_323_040_000), record(12, 1_767_323_041_001))


@dataclass(frozen=True, slots=True)
class Case:
    """One document. Shape: `message` are the bytes of SQS and SNS; in S3 the payload
    follows the last member.
    """

    why: str
    told: InvocationFailure
    records: tuple[ChangeRecord, ...]
    message: str

    @property
    def object(self) -> bytes:
        """The bytes of S3."""
        return f'{self.message[:-1]},"payload":{PAYLOAD}}}'.encode()


def _context(condition: str, count: int) -> str:
    return (
        '{"requestContext":{"requestId":"0a1b2c3d-0000-4000-8000-00000000000f",'
        '"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:tally",'
        f'"condition":"{condition}","approximateInvokeCount":{count}}},'
    )


UNHANDLED: Final = (
    '"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},'
)
REPORTED: Final = '"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":null},'
AT: Final = '"version":"1.0","timestamp":"2026-01-02T03:04:05.678Z",'
BATCH_OF_ONE: Final = (
    '"DDBStreamBatchInfo":{"shardId":"shardId-00000001767225600000-6a094964",'
    '"startSequenceNumber":"1000000000000000000001","endSequenceNumber":"1000000000000000000001",'
    '"approximateArrivalOfFirstRecord":"2026-01-02T03:04:00Z","approximateArrivalOfLastRecord":"2026-01-02T03:04:00Z",'
    '"batchSize":1,'
    '"streamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"}'
)
BATCH_OF_TWO: Final = (
    '"DDBStreamBatchInfo":{"shardId":"shardId-00000001767225600000-6a094964",'
    '"startSequenceNumber":"1000000000000000000001","endSequenceNumber":"1000000000000000000012",'
    '"approximateArrivalOfFirstRecord":"2026-01-02T03:04:00Z","approximateArrivalOfLastRecord":"2026-01-02T03:04:01Z",'
    '"batchSize":2,'
    '"streamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"}'
)
NO_BATCH: Final = (
    '"DDBStreamBatchInfo":{"shardId":"shardId-00000001767225600000-6a094964",'
    '"streamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"}'
)
INSIDE: Final = ',"timeWindowInfo":{"start":"2026-01-02T03:04:00Z","end":"2026-01-02T03:05:00Z"}'
EXHAUSTED, TOO_OLD = "RetryAttemptsExhausted", "RecordAgeExceeded"
FINAL: Final = replace(WINDOW, is_final=True)

CASES: Final = (
    Case("an exception", TOLD, ONE, _context(EXHAUSTED, 2) + UNHANDLED + AT + BATCH_OF_ONE + "}"),
    Case("an exception, several records", replace(TOLD, invoke_count=4), TWO,
         _context(EXHAUSTED, 4) + UNHANDLED + AT + BATCH_OF_TWO + "}"),
    Case("a partial response", replace(TOLD, is_unhandled=False), TWO,
         _context(EXHAUSTED, 2) + REPORTED + AT + BATCH_OF_TWO + "}"),
    Case("too old, never invoked", replace(TOLD, condition=TOO_OLD, invoke_count=0), TWO,
         _context(TOO_OLD, 1) + AT + BATCH_OF_TWO + "}"),
    Case("too old, invoked once", replace(TOLD, condition=TOO_OLD, invoke_count=1), ONE,
         _context(TOO_OLD, 1) + AT + BATCH_OF_ONE + "}"),
    Case("too old in the middle of retries", replace(TOLD, condition=TOO_OLD, invoke_count=8), ONE,
         _context(TOO_OLD, 8) + AT + BATCH_OF_ONE + "}"),
    Case("an exception in a window", replace(TOLD, window=WINDOW), ONE,
         _context(EXHAUSTED, 2) + UNHANDLED + AT + BATCH_OF_ONE + INSIDE + "}"),
    Case("no state in a window", replace(TOLD, window=WINDOW, is_unhandled=False), ONE,
         _context(EXHAUSTED, 2) + REPORTED + AT + BATCH_OF_ONE + INSIDE + "}"),
    Case("too old in a window", replace(TOLD, window=WINDOW, condition=TOO_OLD, invoke_count=3), TWO,
         _context(TOO_OLD, 3) + AT + BATCH_OF_TWO + INSIDE + "}"),
    Case("a final invoke", replace(TOLD, window=FINAL), (),
         _context(EXHAUSTED, 2) + UNHANDLED + AT + NO_BATCH + INSIDE + "}"),
    Case("a final invoke too old", replace(TOLD, window=FINAL, condition=TOO_OLD, invoke_count=5), (),
         _context(TOO_OLD, 5) + AT + NO_BATCH + INSIDE + "}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """A case as the code makes it, in both forms."""

    case: Case

    @property
    def message(self) -> bytes:
        """Of queues and topics."""
        return queue_body(self.case.told, self.case.records)

    @property
    def object(self) -> bytes:
        """Of buckets."""
        return object_body(self.case.told, self.case.records, EVENT)

    @property
    def object_name(self) -> str:
        """Of buckets."""
        return object_name("5aa83b94-0000-4000-8000-000000000001", self.case.told, REQUEST)
