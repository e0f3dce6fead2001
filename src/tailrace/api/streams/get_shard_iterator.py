"""GetShardIterator: a position in a shard, as a token.

Behaviour:     a token is a position, not state: it may be used again; it lives 15 minutes. AT_TIMESTAMP is
               the first record written at that millisecond or later, and the oldest there is when that is
               older than the trim horizon.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DynamoDB Streams, GetShardIterator; semantics §1.6, §1.7.
"""

import math
from typing import Final

from tailrace.api.registry import STREAMS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import validation_error
from tailrace.streams.iterators import IteratorStart
from tailrace.tables.schema import INVALID

NEEDED: Final = {
    "TRIM_HORIZON": None,
    "LATEST": None,
    "AT_SEQUENCE_NUMBER": "SequenceNumber",
    "AFTER_SEQUENCE_NUMBER": "SequenceNumber",
    "AT_TIMESTAMP": "Timestamp",
}
"""Every type of iterator, and the one member that it takes."""


@operation(STREAMS, "GetShardIterator")
def get_shard_iterator(engine: Engine, payload: Payload) -> Result:
    """Make a token. Raises: ApiError."""
    return {
        "ShardIterator": engine.get_shard_iterator(
            payload["StreamArn"], payload["ShardId"], read_start(payload)
        )
    }


def read_start(payload: Payload) -> IteratorStart:
    """The start: its type, and the member that belongs to it. Raises: ApiError. Source: semantics §1.7."""
    kind = payload["ShardIteratorType"]
    for name in ("SequenceNumber", "Timestamp"):
        if name in payload and name != NEEDED[kind]:
            raise validation_error(f"{INVALID}ShardIteratorType {kind} does not allow a {name}")
        if name not in payload and name == NEEDED[kind]:
            raise validation_error(f"{INVALID}ShardIteratorType {kind} requires a {name}")
    seconds = payload.get("Timestamp")
    return IteratorStart(
        kind, payload.get("SequenceNumber"), None if seconds is None else _milliseconds(seconds)
    )


def _milliseconds(seconds: float) -> int:
    """The first whole millisecond at or after a moment; one before the epoch is as good as the epoch.

    >>> _milliseconds(1791316726.480), _milliseconds(0.0001), _milliseconds(-1e300)
    (1791316726480, 1, 0)
    """
    return math.ceil(round(min(max(seconds, 0.0), 1e15) * 1_000, 3))
