"""GetShardIterator: a position in a shard, as a token.

Behaviour:     a token is a position, not state: it may be used again; it lives 15 minutes.
Limits:        none.
Not emulated:  AT_TIMESTAMP with its Timestamp.
Source:        AWS API Reference, DynamoDB Streams, GetShardIterator; semantics §1.6, §1.7.
"""

from typing import Final

from tailrace.engine.engine import Engine
from tailrace.errors import validation_error
from tailrace.server.registry import STREAMS, Result, operation
from tailrace.server.shapes import SHARD_ID, STREAM_ARN, Anything, Input, Text, structure
from tailrace.server.validation import not_emulated
from tailrace.server.wire import Payload

WITH_NUMBER: Final = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
INPUT: Final = Input(
    structure(
        "GetShardIteratorInput", "StreamArn", "ShardId", "ShardIteratorType",
        StreamArn=STREAM_ARN, ShardId=SHARD_ID,
        ShardIteratorType=Text(choices=("TRIM_HORIZON", "LATEST", *WITH_NUMBER, "AT_TIMESTAMP")), SequenceNumber=Text(21, 40), Timestamp=Anything(),
    ),
    {"Timestamp": None},
)  # fmt: skip


@operation(STREAMS, "GetShardIterator", INPUT)
def get_shard_iterator(engine: Engine, payload: Payload) -> Result:
    """Make a token. Raises: ApiError."""
    kind, number = payload["ShardIteratorType"], payload.get("SequenceNumber")
    if kind == "AT_TIMESTAMP":
        raise not_emulated("ShardIteratorType=AT_TIMESTAMP")
    if kind in WITH_NUMBER and number is None:
        raise validation_error(
            f"One or more parameter values were invalid: ShardIteratorType {kind} requires a SequenceNumber"
        )
    if kind not in WITH_NUMBER and number is not None:
        raise validation_error(
            f"One or more parameter values were invalid: ShardIteratorType {kind} does not allow a SequenceNumber"
        )
    return {
        "ShardIterator": engine.get_shard_iterator(payload["StreamArn"], payload["ShardId"], kind, number)
    }
