"""Shard iterators: a place in a shard as an opaque text that expires.

Rules of this file: an iterator is a position, not a cursor with state: it may be used again. A token carries
a format version and a checksum, so that garbage is told from age. Layout: docs/formats/tokens.md. Source:
semantics §1.6.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final, Literal, Self, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from tailrace.errors import ApiError, validation_error
from tailrace.streams.dates import spoken
from tailrace.streams.moment import Now

FORMAT: Final = 1
LIFE_MS: Final = 900_000
CHECKSUM_BYTES: Final = 8
SealedT = TypeVar("SealedT", bound=msgspec.Struct)
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
        return sealed(self)

    @classmethod
    def from_token(cls, text: str) -> Self:
        """The iterator behind a text. Raises: ApiError (ValidationException)."""
        iterator = unsealed(text, cls)
        if iterator is None or iterator.format != FORMAT:
            raise validation_error("Invalid ShardIterator")
        return iterator


def read_token(text: str, now: Now) -> Iterator:
    """The iterator behind a text. Raises: ApiError (ValidationException, ExpiredIteratorException)."""
    iterator = Iterator.from_token(text)
    if now.wall_ms - iterator.created_ms > LIFE_MS:
        raise expired_iterator(iterator.created_ms, now.wall_ms, LIFE_MS)
    return iterator


def expired_iterator(created_ms: int, wall_ms: int, life_ms: int) -> ApiError:
    """What is told of an iterator that is older than its life."""
    return ApiError(
        "ExpiredIteratorException",
        f"Iterator expired. The iterator was created at time {spoken(created_ms)} while right now it is "
        f"{spoken(wall_ms)} which is further in the future than the tolerated delay of "
        f"{life_ms} milliseconds.",
    )


# ---- texts that only we can have made ----------------------------------------------------------------------


def sealed(value: msgspec.Struct) -> str:
    """A value as a text with a checksum."""
    body = msgspec.msgpack.encode(value)
    return urlsafe_b64encode(_checksum(body) + body).decode()


def unsealed(text: str, kind: type[SealedT]) -> SealedT | None:
    """The value behind a text; None for whatever was not handed out so."""
    try:
        data = urlsafe_b64decode(text.encode("ascii"))
        checksum, body = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
        # The decoder skips what is not of its alphabet; only the text that was handed out is a token.
        if checksum == _checksum(body) and urlsafe_b64encode(data) == text.encode():
            return msgspec.msgpack.decode(body, type=kind)
    except (binascii.Error, UnicodeEncodeError, ValueError, msgspec.MsgspecError):
        pass  # garbage of any kind gets the one answer below
    return None


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=CHECKSUM_BYTES, person=b"iterator").digest()
