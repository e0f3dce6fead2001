"""The forms in which a change record travels: log rows, GetRecords' JSON, Lambda's event.

Rules of this file: images are spliced as the bytes they are, never decoded. What a view type hides is left out here and
nowhere else. Layout of the header: docs/formats/log.md. Source: semantics §1.3, §2.10.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from tailrace.errors import StoreError
from tailrace.streams.record import MILLISECOND, ChangeRecord, EventName, ViewType
from tailrace.streams.sequence import PREFIX

FORMAT: Final = 1
FORMAT_BYTE: Final = bytes([FORMAT])
WITH_ANCESTRY: Final = 2
"""The format of a record that has an ancestry: its length and its text stand before the key bytes."""
ANCESTRY_BYTE: Final = bytes([WITH_ANCESTRY])
HEADER: Final = struct.Struct(">BBBxQIIIQH")
"""Format, event name, flags, created_ms, size, size of keys, size of new image, partition hash, length of the key bytes."""
LENGTH: Final = struct.Struct(">H")
EVENT_NAMES: Final[tuple[EventName, ...]] = ("INSERT", "MODIFY", "REMOVE")
BY_TTL: Final = 1
MASK: Final = (1 << 64) - 1
SCRAMBLE: Final = 0x9E37_79B9_7F4A_7C15
DIGITS: Final = frozenset("0123456789abcdef")
UNSCRAMBLE: Final = pow(SCRAMBLE, -1, 1 << 64)
NEW_VIEWS: Final = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")
OLD_VIEWS: Final = ("NEW_AND_OLD_IMAGES", "OLD_IMAGE")
NAME_BYTES: Final = {"INSERT": b"INSERT", "MODIFY": b"MODIFY", "REMOVE": b"REMOVE"}
TTL_API: Final = b',"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}'
TTL_LAMBDA: Final = b',"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}'


class LogParts(NamedTuple):
    """The columns of one log row."""

    shard: int
    sequence: int
    header: bytes
    old: bytes | None
    new: bytes | None


def log_row(record: ChangeRecord) -> LogParts:
    """A record as the log keeps it: a header and, separately, both images."""
    head = HEADER.pack(
        FORMAT, EVENT_NAMES.index(record.event_name), BY_TTL if record.by_ttl else 0, record.created_us // MILLISECOND,
        record.size_bytes, record.keys_size, record.new_size, record.partition, len(record.key),
    )  # fmt: skip
    if record.ancestry:
        ancestry = record.ancestry.encode()
        head = b"".join((ANCESTRY_BYTE, head[1:], LENGTH.pack(len(ancestry)), ancestry))
    return LogParts(record.shard, record.sequence, head + record.key + record.keys, record.old, record.new)


def read_log_row(
    shard: int, sequence: int, header: bytes, old: bytes | None, new: bytes | None
) -> ChangeRecord:
    """The record of a log row. Raises: StoreError for a format that this version does not know, or a damaged row."""
    ancestry = ""
    if header[:1] != FORMAT_BYTE:
        ancestry, header = _split_ancestry(shard, sequence, header)
    try:
        _, name, flags, created_ms, size, keys_size, new_size, partition, length = HEADER.unpack_from(header)
        event_name = EVENT_NAMES[name]
    except (struct.error, IndexError) as error:
        raise StoreError(
            f"record {sequence} of shard {shard} is damaged: {error}",
            hint="stop tailrace, keep a copy of the directory, and start with another --data",
        ) from error
    end = HEADER.size + length
    return ChangeRecord(
        sequence, shard, event_name, created_ms * MILLISECOND, size, partition, header[HEADER.size : end], header[end:],
        old, new, bool(flags & BY_TTL), keys_size, new_size, ancestry,
    )  # fmt: skip


def _split_ancestry(shard: int, sequence: int, header: bytes) -> tuple[str, bytes]:
    """The ancestry of a header that has one, and the header without it. Raises: StoreError for another format."""
    if header[:1] != ANCESTRY_BYTE:
        raise StoreError(
            f"record {sequence} of shard {shard} has format {int.from_bytes(header[:1])}; "
            f"this version of tailrace reads formats {FORMAT} and {WITH_ANCESTRY}",
            hint="open the data directory with the version that wrote it",
        )
    start = HEADER.size + LENGTH.size
    end = start + int.from_bytes(header[HEADER.size : start])
    return header[start:end].decode(errors="replace"), header[: HEADER.size] + header[end:]


# ---- event ids ---------------------------------------------------------------------------------------------------


def event_id(record: ChangeRecord) -> str:
    """32 hex digits, unique in a data directory. They look like nothing, but `locate` reads them."""
    scrambled = record.sequence * SCRAMBLE & MASK
    return f"{scrambled:016x}{(record.shard ^ scrambled):016x}"


def locate(event_id: str) -> tuple[int, int]:
    """The shard's number and the sequence number behind an event id. Raises: ValueError when it is none of ours.

    >>> from tailrace.streams.record import ChangeRecord
    >>> locate(event_id(ChangeRecord(5, 3, "INSERT", 0, 0, 0, b"", b"{}")))
    (3, 5)
    """
    if len(event_id) != 32 or not DIGITS.issuperset(event_id):
        raise ValueError(f"{event_id!r} is no event id: those have 32 lower-case hexadecimal digits")
    scrambled, shard = int(event_id[:16], 16), int(event_id[16:], 16)
    return shard ^ scrambled, scrambled * UNSCRAMBLE & MASK


# ---- JSON ----------------------------------------------------------------------------------------------------------


def view_size(record: ChangeRecord, view_type: ViewType) -> int:
    """SizeBytes as this view type counts it: the keys and the images that are shown. Units: bytes."""
    match view_type:
        case "NEW_AND_OLD_IMAGES":
            return record.size_bytes
        case "KEYS_ONLY":
            return record.keys_size
        case "NEW_IMAGE":
            return record.keys_size + record.new_size
        case "OLD_IMAGE":
            return record.size_bytes - record.new_size


@lru_cache(maxsize=64)
def _layout(region: str, view_type: ViewType, fraction: bytes, origin: bytes) -> bytes:
    """A record's JSON with a place for everything that differs from record to record: one formatting a record is all it costs."""

    def literal(text: bytes) -> bytes:
        return text.replace(b"%", b"%%")

    return b"".join((
        b'{"eventID":"%016x%016x","eventName":"%b","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"',
        literal(region.encode()), b'","dynamodb":{"ApproximateCreationDateTime":%d', fraction, b',"Keys":%b%b%b%b%b,"SequenceNumber":"',
        PREFIX.encode(), b'%019d","SizeBytes":%d,"StreamViewType":"', view_type.encode(), b'"}', literal(origin), b"%b}",
    ))  # fmt: skip


def _filled(layout: bytes, record: ChangeRecord, view_type: ViewType, identity: bytes) -> bytes:
    scrambled = record.sequence * SCRAMBLE & MASK
    new = record.new if view_type in NEW_VIEWS else None
    old = record.old if view_type in OLD_VIEWS else None
    return layout % (
        scrambled, record.shard ^ scrambled, NAME_BYTES[record.event_name], record.created_us // 1_000_000, record.keys,
        b"" if new is None else b',"NewImage":', new or b"", b"" if old is None else b',"OldImage":', old or b"",
        record.sequence, view_size(record, view_type), identity if record.by_ttl else b"",
    )  # fmt: skip


def api_record(record: ChangeRecord, view_type: ViewType, region: str) -> bytes:
    """One record of GetRecords, as JSON. The creation time is floored to whole seconds."""
    return _filled(_layout(region, view_type, b"", b""), record, view_type, TTL_API)


def lambda_record(record: ChangeRecord, stream_arn: str, view_type: ViewType, region: str) -> bytes:
    """One record of a Lambda event, as JSON: the stream record and where it comes from."""
    return _filled(_lambda_layout(stream_arn, view_type, region), record, view_type, TTL_LAMBDA)


@lru_cache(maxsize=64)
def _lambda_layout(stream_arn: str, view_type: ViewType, region: str) -> bytes:
    return _layout(region, view_type, b".0", b',"eventSourceARN":' + orjson.dumps(stream_arn))


def lambda_event(records: Iterable[ChangeRecord], stream_arn: str, view_type: ViewType, region: str) -> bytes:
    """The event that a Lambda function gets: `{"Records": [...]}` as JSON bytes."""
    layout = _lambda_layout(stream_arn, view_type, region)
    return b'{"Records":[%b]}' % b",".join(
        [_filled(layout, record, view_type, TTL_LAMBDA) for record in records]
    )
