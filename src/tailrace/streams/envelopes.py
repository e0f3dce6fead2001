"""The forms in which a change record is answered: GetRecords' JSON, Lambda's event, event ids, and as people
see it.

Rules of this file: images are spliced as the bytes they are, never decoded. What a view type hides is left
out here and nowhere else. Source: semantics §1.3, §2.10.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import orjson

from tailrace.streams.arns import label_of
from tailrace.streams.record import PREFIX, ChangeRecord, ViewType

MASK: Final = (1 << 64) - 1
SCRAMBLE: Final = 0x9E37_79B9_7F4A_7C15
DIGITS: Final = frozenset("0123456789abcdef")
UNSCRAMBLE: Final = pow(SCRAMBLE, -1, 1 << 64)
NEW_VIEWS: Final = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")
OLD_VIEWS: Final = ("NEW_AND_OLD_IMAGES", "OLD_IMAGE")
NAME_BYTES: Final = {"INSERT": b"INSERT", "MODIFY": b"MODIFY", "REMOVE": b"REMOVE"}
TTL_API: Final = b',"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}'
TTL_LAMBDA: Final = b',"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}'


# ---- event ids ---------------------------------------------------------------------------------------------


def event_id(record: ChangeRecord) -> str:
    """32 hex digits, unique in a data directory. They look like nothing, but `locate` reads them. A record of
    another server has the id that it came with.
    """
    if record.source_id:
        return record.source_id
    scrambled = record.sequence * SCRAMBLE & MASK
    return f"{scrambled:016x}{(record.shard ^ scrambled):016x}"


def locate(event_id: str) -> tuple[int, int]:
    """The shard's number and the sequence number behind an event id. Raises: ValueError when it is none of
    ours.

    >>> from tailrace.streams.record import ChangeRecord
    >>> locate(event_id(ChangeRecord(5, 3, "INSERT", 0, 0, 0, b"", b"{}")))
    (3, 5)
    """
    if len(event_id) != 32 or not DIGITS.issuperset(event_id):
        raise ValueError(f"{event_id!r} is no event id: those have 32 lower-case hexadecimal digits")
    scrambled, shard = int(event_id[:16], 16), int(event_id[16:], 16)
    return shard ^ scrambled, scrambled * UNSCRAMBLE & MASK


# ---- JSON --------------------------------------------------------------------------------------------------


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
def _layout(region: str, view_type: ViewType, fraction: bytes, origin: bytes) -> tuple[bytes, bytes]:
    """A record's JSON with a place for everything that differs from record to record: one formatting a record
    is all it costs. The second is for records of another server, whose id and number are texts.
    """
    numbered = _with_places(region, view_type, fraction, origin)
    return numbered, numbered.replace(b"%016x%016x", b"%b%b").replace(PREFIX.encode() + b"%019d", b"%b")


def _with_places(region: str, view_type: ViewType, fraction: bytes, origin: bytes) -> bytes:

    def literal(text: bytes) -> bytes:
        return text.replace(b"%", b"%%")

    return b"".join(
        (
            b'{"eventID":"%016x%016x","eventName":"%b","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"',
            literal(region.encode()),
            b'","dynamodb":{"ApproximateCreationDateTime":%d',
            fraction,
            b',"Keys":%b%b%b%b%b,"SequenceNumber":"',
            PREFIX.encode(),
            b'%019d","SizeBytes":%d,"StreamViewType":"',
            view_type.encode(),
            b'"}',
            literal(origin),
            b"%b}",
        )
    )


def _filled(layout: tuple[bytes, bytes], record: ChangeRecord, view_type: ViewType, identity: bytes) -> bytes:
    scrambled = record.sequence * SCRAMBLE & MASK
    id_and_number: tuple[object, object, object] = (scrambled, record.shard ^ scrambled, record.sequence)
    if record.source_id:
        id_and_number = orjson.dumps(record.source_id)[1:-1], b"", record.sequence_number.wire.encode()
    new = record.new if view_type in NEW_VIEWS else None
    old = record.old if view_type in OLD_VIEWS else None
    return layout[bool(record.source_id)] % (
        *id_and_number[:2],
        NAME_BYTES[record.event_name],
        record.created_us // 1_000_000,
        record.keys,
        b"" if new is None else b',"NewImage":',
        new or b"",
        b"" if old is None else b',"OldImage":',
        old or b"",
        id_and_number[2],
        view_size(record, view_type),
        identity if record.by_ttl else b"",
    )


def api_record(record: ChangeRecord, view_type: ViewType, region: str) -> bytes:
    """One record of GetRecords, as JSON. The creation time is floored to whole seconds."""
    return _filled(_layout(region, view_type, b"", b""), record, view_type, TTL_API)


def lambda_record(record: ChangeRecord, stream_arn: str, view_type: ViewType, region: str) -> bytes:
    """One record of a Lambda event, as JSON: the stream record and where it comes from."""
    return _filled(_lambda_layout(stream_arn, view_type, region), record, view_type, TTL_LAMBDA)


@lru_cache(maxsize=64)
def _lambda_layout(stream_arn: str, view_type: ViewType, region: str) -> tuple[bytes, bytes]:
    return _layout(region, view_type, b".0", b',"eventSourceARN":' + orjson.dumps(stream_arn))


def lambda_event(records: Iterable[ChangeRecord], stream_arn: str, view_type: ViewType, region: str) -> bytes:
    """The event that a Lambda function gets of a table's stream: `{"Records": [...]}` as JSON bytes."""
    layout = _lambda_layout(stream_arn, view_type, region)
    return b'{"Records":[%b]}' % b",".join(
        [_filled(layout, record, view_type, TTL_LAMBDA) for record in records]
    )


# ---- for people --------------------------------------------------------------------------------------------


def change_value(record: ChangeRecord, table: str, shard_id: str) -> dict[str, Any]:
    """One change as the admin API shows it, with both images in DynamoDB JSON."""
    return {
        "event_id": event_id(record),
        "event_name": record.event_name,
        "at": f"{label_of(record.created_ms)}Z",
        "sequence_number": record.sequence_number.wire,
        "table": table,
        "shard": shard_id,
        "keys": orjson.loads(record.keys),
        "old": None if record.old is None else orjson.loads(record.old),
        "new": None if record.new is None else orjson.loads(record.new),
        "by_ttl": record.by_ttl,
        "size_bytes": record.size_bytes,
    }
