"""Shard iterators: a place in a shard as an opaque text that expires.

Rules of this file: an iterator is a position, not a cursor with state: it may be used again. A token carries
a format version and a checksum, so that garbage is told from age. Layout: docs/formats/tokens.md. Source:
semantics §1.6.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Struct

from tailrace.errors import ApiError, validation_error
from tailrace.streams.dates import spoken
from tailrace.streams.moment import Now

FORMAT: Final = 1
LIFE_MS: Final = 900_000
CHECKSUM_BYTES: Final = 8
StartKind: TypeAlias = Literal[
    "TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"
]


class IteratorStart(Struct, frozen=True):
    """Where in a shard a client wants to begin.

    Shape:   `sequence_number`, as it stands on the wire, with AT_ and AFTER_SEQUENCE_NUMBER and only with
             them; `timestamp_ms` with AT_TIMESTAMP and only with it.
    """

    kind: StartKind
    sequence_number: str | None = None
    timestamp_ms: int | None = None


class Iterator(msgspec.Struct, frozen=True, array_like=True):
    """A place in a shard: the next record read is the first one after `after`. Units: created_ms since the
    epoch.
    """

    stream_arn: str
    shard_id: str
    after: int
    created_ms: int
    format: int = FORMAT

    def token(self) -> str:
        """The text clients hold."""
        body = msgspec.msgpack.encode(self)
        return urlsafe_b64encode(_checksum(body) + body).decode()

    @classmethod
    def from_token(cls, text: str) -> Self:
        """The iterator behind a text. Raises: ApiError (ValidationException)."""
        try:
            data = urlsafe_b64decode(text.encode("ascii"))
            checksum, body = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
            if checksum == _checksum(body):
                iterator = msgspec.msgpack.decode(body, type=cls)
                # The decoder skips what is not of its alphabet; only the text that was handed out is a token.
                if iterator.format == FORMAT and urlsafe_b64encode(data) == text.encode():
                    return iterator
        except (binascii.Error, UnicodeEncodeError, ValueError, msgspec.MsgspecError):
            pass  # garbage of any kind gets the one answer below
        raise validation_error("Invalid ShardIterator")


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=CHECKSUM_BYTES, person=b"iterator").digest()


def read_token(text: str, now: Now) -> Iterator:
    """The iterator behind a text. Raises: ApiError (ValidationException, ExpiredIteratorException)."""
    iterator = Iterator.from_token(text)
    if now.wall_ms - iterator.created_ms > LIFE_MS:
        raise ApiError(
            "ExpiredIteratorException",
            f"Iterator expired. The iterator was created at time {spoken(iterator.created_ms)} while "
            "right now it is "
            f"{spoken(now.wall_ms)} which is further in the future than the tolerated delay of "
            f"{LIFE_MS} milliseconds.",
        )
    return iterator
