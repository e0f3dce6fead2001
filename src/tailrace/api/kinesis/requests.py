"""What requests of Kinesis have in common: which stream they name, where they begin to read, dry runs.

Rules of this file: members of requests in, what the engine takes out. Called by the operations.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from tailrace.api.validation import read_blob
from tailrace.api.wire import Payload
from tailrace.engine.kinesis.catalog import DataStreamState
from tailrace.engine.kinesis.putting import DataEntry
from tailrace.errors import ApiError
from tailrace.streams.iterators import IteratorStart

INVALID: Final = "InvalidArgumentException"
NUMBERED: Final = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
EITHER: Final = (
    "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
    "TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {0} and {1}."
)
NO_TIME: Final = (
    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no "
    "timestamp parameter."
)


def name_and_arn(payload: Payload) -> tuple[str | None, str | None]:
    """How a request names its stream."""
    return payload.get("StreamName"), payload.get("StreamARN")


def read_entry(members: Payload) -> DataEntry:
    """A record that is to be put. Raises: ApiError SerializationException for data that is no base64."""
    return DataEntry(read_blob(members["Data"]), members["PartitionKey"], members.get("ExplicitHashKey"))


def read_start(kind: Any, number: str | None, seconds: float | None) -> IteratorStart:
    """Where to begin in a shard: a type, and what belongs to it. Raises: ApiError."""
    if kind in NUMBERED and number is None:
        raise ApiError(INVALID, EITHER.format(kind, "no StartingSequenceNumber"))
    if kind not in NUMBERED and number is not None:
        raise ApiError(INVALID, EITHER.format(kind, "also a StartingSequenceNumber"))
    if kind != "AT_TIMESTAMP":
        return IteratorStart(kind, number)
    if seconds is None:
        raise ApiError(INVALID, NO_TIME)
    return IteratorStart(kind, None, milliseconds(seconds))


def milliseconds(seconds: float) -> int:
    """The first whole millisecond at or after a moment; one before the epoch is as good as the epoch.

    >>> milliseconds(1791316726.480), milliseconds(0.0001), milliseconds(-1e300)
    (1791316726480, 1, 0)
    """
    return math.ceil(round(min(max(seconds, 0.0), 1e15) * 1_000, 3))


def refuse_dry_run(payload: Payload) -> None:
    """A request that was only to be tried has come to where it would be done. Raises: ApiError."""
    if payload.get("DryRun"):
        raise ApiError("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")


def encryption_of(stream: DataStreamState) -> Mapping[str, str]:
    """What an answer about records says of their encryption: nothing where there is none."""
    return {} if stream.document.key_id is None else {"EncryptionType": "KMS"}
