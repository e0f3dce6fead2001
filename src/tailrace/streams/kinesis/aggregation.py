"""The aggregated format of the Kinesis Producer Library: many user records in one record of a stream.

Theory of operation: an aggregate is four magic bytes, a message in protocol buffers, and the MD5 of that
message. The message has a table of partition keys (field 1), one of explicit hash keys (2), and the user
records (3), each with an index into the first table (1), maybe one into the second (2), and its data (3). A
user record is named by the sequence number of its aggregate and its place in it, the sub-sequence number.
What is no aggregate to the last byte is a plain record with those bytes as its data: nobody can tell a
damaged one from data that begins alike, and nothing is lost that way.
Rules of this file: pure, and no library of protocol buffers, of which two kinds of fields are used. Fields
that are not known are passed over, as protocol buffers want it: records may have tags. Groups, which were
given up long ago, make a record a plain one. Source: fleet §4.3; AWS's description of the format; ADR 95.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import md5
from typing import Final

from msgspec import Struct

from tailrace.errors import ApiError
from tailrace.streams.kinesis.hash_ranges import hash_of, read_hash_key

MAGIC: Final = bytes.fromhex("f3899ac2")
DIGEST_BYTES: Final = 16
PARTITION_KEYS, EXPLICIT_HASH_KEYS, RECORDS = 1, 2, 3
"""The fields of an aggregate."""
PARTITION_KEY_INDEX, EXPLICIT_HASH_KEY_INDEX, DATA = 1, 2, 3
"""The fields of a user record."""
VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5
"""The kinds of fields on the wire."""
KIND_BITS: Final = 3
MOST_TAG: Final = (1 << 32) - 1
MOST_VARINT: Final = (1 << 64) - 1
VARINT_BYTES: Final = 10
HASH_KEY: Final = "ExplicitHashKey"
SHARED_PARTITION_KEY: Final = "a"
"""What the Producer Library puts an aggregate with: where it goes is said by its explicit hash key."""


class UserRecord(Struct, frozen=True, gc=False):
    """A record as its producer wrote it.

    Shape: `explicit_hash_key` in decimal digits, None where the partition key says it all.
    """

    partition_key: str
    data: bytes
    explicit_hash_key: str | None = None

    @property
    def hash_key(self) -> int:
        """Where it belongs in the stream's hash space.

        >>> UserRecord("a", b"", "7").hash_key
        7
        """
        return hash_of(self.partition_key) if self.explicit_hash_key is None else int(self.explicit_hash_key)


class AggregatedPut(Struct, frozen=True, gc=False):
    """What PutRecord and an entry of PutRecords are given. Shape: the hash key in decimal digits, or None."""

    partition_key: str
    data: bytes
    explicit_hash_key: str | None


# ---- reading -----------------------------------------------------------------------------------------------


def read_aggregate(data: bytes) -> tuple[UserRecord, ...] | None:
    """The user records in a record's data, in order: a place is a sub-sequence number. None: it is a plain
    record. Guarantee: all of an aggregate or nothing.

    >>> read_aggregate(b"hello") is None
    True
    """
    if not data.startswith(MAGIC) or len(data) <= len(MAGIC) + DIGEST_BYTES:
        return None
    message, digest = data[len(MAGIC) : -DIGEST_BYTES], data[-DIGEST_BYTES:]
    if _digest_of(message) != digest:
        return None
    try:
        return _read_message(message)
    except (ValueError, ApiError):  # texts that are no UTF-8, and hash keys that are none
        return None


def _digest_of(message: bytes) -> bytes:
    return md5(message, usedforsecurity=False).digest()


def _read_message(message: bytes) -> tuple[UserRecord, ...]:
    fields: dict[int, list[bytes]] = {PARTITION_KEYS: [], EXPLICIT_HASH_KEYS: [], RECORDS: []}
    for number, value in _fields(message):
        if number in fields and isinstance(value, bytes):
            fields[number].append(value)
    partition_keys = [key.decode() for key in fields[PARTITION_KEYS]]
    hash_keys = [key.decode() for key in fields[EXPLICIT_HASH_KEYS]]
    return tuple(_read_record(record, partition_keys, hash_keys) for record in fields[RECORDS])


def _read_record(message: bytes, partition_keys: list[str], hash_keys: list[str]) -> UserRecord:
    indexes: dict[int, int] = {}
    data: bytes | None = None
    for number, value in _fields(message):
        if isinstance(value, int):
            indexes[number] = value
        elif number == DATA:
            data = value
    if data is None or PARTITION_KEY_INDEX not in indexes:
        raise ValueError("a user record without data or partition key")
    hash_key_index = indexes.get(EXPLICIT_HASH_KEY_INDEX)
    hash_key = None if hash_key_index is None else _at(hash_keys, hash_key_index)
    if hash_key is not None:
        read_hash_key(hash_key, HASH_KEY)
    return UserRecord(_at(partition_keys, indexes[PARTITION_KEY_INDEX]), data, hash_key)


def _at(keys: list[str], index: int) -> str:
    if index >= len(keys):
        raise ValueError(f"a table of {len(keys)} keys has no key {index}")
    return keys[index]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: varints as numbers, delimited ones as bytes; those of fixed widths are passed
    over. Raises: ValueError for what is no message.
    """
    place = 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        number, kind = tag >> KIND_BITS, tag & (1 << KIND_BITS) - 1
        if not number or tag > MOST_TAG:
            raise ValueError(f"no field has the tag {tag}")
        if kind == VARINT:
            value, place = _read_varint(message, place)
            yield number, value
            continue
        length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind)
        if kind == DELIMITED:
            length, place = _read_varint(message, place)
        if length is None or place + length > len(message):
            raise ValueError(f"field {number} ends after its message, or is of no kind that is read")
        if kind == DELIMITED:
            yield number, message[place : place + length]
        place += length


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(message[place : place + VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            if value > MOST_VARINT:
                break
            return value, place + shift + 1
    raise ValueError("a number that does not end, or is too large")


# ---- writing -----------------------------------------------------------------------------------------------


def write_aggregate(records: Sequence[UserRecord]) -> bytes:
    """The data of the record that has these in it: each key stands in its table once. Raises: ApiError for an
    explicit hash key that is none.

    >>> read_aggregate(write_aggregate([UserRecord("a", b"1"), UserRecord("b", b"2")]))[1].data
    b'2'
    """
    partition_keys = _places(one.partition_key for one in records)
    hash_keys = _places(one.explicit_hash_key for one in records if one.explicit_hash_key is not None)
    for key in hash_keys:
        read_hash_key(key, HASH_KEY)
    parts = [_delimited(PARTITION_KEYS, key.encode()) for key in partition_keys]
    parts += [_delimited(EXPLICIT_HASH_KEYS, key.encode()) for key in hash_keys]
    for one in records:
        body = [_number(PARTITION_KEY_INDEX, partition_keys[one.partition_key])]
        if one.explicit_hash_key is not None:
            body.append(_number(EXPLICIT_HASH_KEY_INDEX, hash_keys[one.explicit_hash_key]))
        body.append(_delimited(DATA, one.data))
        parts.append(_delimited(RECORDS, b"".join(body)))
    message = b"".join(parts)
    return MAGIC + message + _digest_of(message)


def _places(keys: Iterable[str]) -> dict[str, int]:
    return {key: place for place, key in enumerate(dict.fromkeys(keys))}


def put_entry(records: Sequence[UserRecord]) -> AggregatedPut:
    """What the Producer Library puts for records of one shard: one of them as it is, several as an aggregate
    whose explicit hash key is that of the first.

    >>> put_entry([UserRecord("a", b"1")])
    AggregatedPut(partition_key='a', data=b'1', explicit_hash_key=None)
    """
    first = records[0]
    if len(records) == 1:
        return AggregatedPut(first.partition_key, first.data, first.explicit_hash_key)
    return AggregatedPut(SHARED_PARTITION_KEY, write_aggregate(records), str(first.hash_key))


def _number(field: int, value: int) -> bytes:
    return _varint(field << KIND_BITS | VARINT) + _varint(value)


def _delimited(field: int, value: bytes) -> bytes:
    return _varint(field << KIND_BITS | DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
