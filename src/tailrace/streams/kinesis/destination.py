"""The record that DynamoDB puts into a Kinesis data stream: a change in AWS's JSON, and the change behind it.

Theory of operation. Such a record has no sequence number: the one that it is read with is the data stream's,
and says when it arrived there, not when the item was changed. What orders the changes of one item is when
they were written, in milliseconds or microseconds, and their images (mapping/holding.py). Both images are
always there where they exist; a write of a transaction that changes nothing has a record, too, whose images
are equal.
Rules of this file: pure. Binary values are base64 of the base64 text; everything else is spliced as the bytes
it is. A record that cannot be read is a SourceError that says what is wrong with it. Source: semantics §5.5.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any, Final, Literal, Self, TypeAlias

import orjson
from msgspec import Struct

from tailrace.errors import ApiError, SourceError
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import EVENT_NAMES, MILLISECOND, ChangeRecord, EventName, image
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item

Precision: TypeAlias = Literal["MILLISECOND", "MICROSECOND"]
"""In what a destination tells the time of a change."""
UNITS_US: Final[Mapping[Precision, int]] = {"MILLISECOND": MILLISECOND, "MICROSECOND": 1}
SOURCE: Final = "aws:dynamodb"
FORMAT: Final = "application/json"
SERVICE: Final = {"principalId": "dynamodb.amazonaws.com", "type": "Service"}
"""Who deletes what has outlived its TTL attribute."""
BINARIES: Final = (b'"B"', b'"BS"')


def has_record(old: Item | None, new: Item | None, *, is_in_transaction: bool) -> bool:
    """Whether a write has a record in a data stream. That of a stream of the table differs: there nothing
    that leaves an item as it is has one.

    >>> has_record({"a": {"N": "1"}}, {"a": {"N": "1"}}, is_in_transaction=True)
    True
    >>> has_record(None, None, is_in_transaction=True)
    False
    """
    return old != new or (is_in_transaction and new is not None)


def partition_key(key: bytes) -> str:
    """The partition key of an item's records, of the bytes of its whole key: one item, one shard at a time.
    Shape: 32 upper-case hexadecimal digits.
    """
    return md5(key, usedforsecurity=False).hexdigest().upper()


def encode(record: ChangeRecord, table: str, region: str, precision: Precision = "MILLISECOND") -> bytes:
    """The data of a change's record. A time that is known to less than the precision is told as it is."""
    is_exact = precision == "MICROSECOND"
    created = record.created_us // UNITS_US[precision]
    return b"".join(
        (
            b'{"awsRegion":', orjson.dumps(region),
            b',"eventID":', orjson.dumps(event_id(record)),
            b',"eventName":"', record.event_name.encode(),
            b'","userIdentity":', orjson.dumps(SERVICE if record.by_ttl else None),
            b',"recordFormat":"application/json","tableName":', orjson.dumps(table),
            b',"dynamodb":{"ApproximateCreationDateTime":', b"%d" % created,
            b',"ApproximateCreationDateTimePrecision":"MICROSECOND"' if is_exact else b"",
            b',"Keys":', _doubled(record.keys),
            b"" if record.new is None else b',"NewImage":' + _doubled(record.new),
            b"" if record.old is None else b',"OldImage":' + _doubled(record.old),
            b',"SizeBytes":', b"%d" % record.size_bytes,
            b'},"eventSource":"aws:dynamodb"}',
        )
    )  # fmt: skip


class DestinationRecord(Struct, frozen=True):
    """What a record of a data stream says of a change.

    Shape:   items in the one form in which equal ones are equal. Units: created_us since the epoch, known to
             within precision_us; size_bytes as AWS counts keys and both images together.
    """

    event_id: str
    event_name: EventName
    table: str
    region: str
    created_us: int
    precision_us: int
    keys: Item
    old: Item | None
    new: Item | None
    size_bytes: int
    by_ttl: bool

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """What the data of a record say. Raises: SourceError when they are not of DynamoDB, or damaged."""
        try:
            return cls._read(orjson.loads(data))
        except (ApiError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise SourceError(
                f"a record of the data stream is no change of a DynamoDB table: {reason}",
                hint="read a stream that only DynamoDB writes to, or plain records with app.function",
            ) from error

    @classmethod
    def _read(cls, members: Mapping[str, Any]) -> Self:
        if members["eventSource"] != SOURCE or members.get("recordFormat", FORMAT) != FORMAT:
            raise ValueError(f"its eventSource is {members['eventSource']!r}")
        body = members["dynamodb"]
        unit = UNITS_US[body.get("ApproximateCreationDateTimePrecision", "MILLISECOND")]
        keys, old, new = (_image(body.get(name)) for name in ("Keys", "OldImage", "NewImage"))
        if keys is None:
            raise KeyError("Keys")
        name = _event_name(members["eventName"], old, new)
        created, told = body["ApproximateCreationDateTime"], body.get("SizeBytes")
        if type(created) is not int or created < 0:
            raise ValueError(f"its ApproximateCreationDateTime is {created!r}")
        return cls(
            str(members["eventID"]),
            name,
            str(members["tableName"]),
            str(members.get("awsRegion", "")),
            created * unit,
            unit,
            keys,
            old,
            new,
            sum(size_bytes(item or {}) for item in (keys, old, new)) if told is None else int(told),
            members.get("userIdentity") == SERVICE,
        )

    def change(self, sequence: int, shard: int, partition: int, key: bytes) -> ChangeRecord:
        """The change, as it was read under a number of the data stream.

        Shape:   `partition` is the hash that chose its shard, `key` the bytes of the item's whole key, which
                 its table's schema makes of `keys`.
        """
        return ChangeRecord(
            sequence=sequence,
            shard=shard,
            event_name=self.event_name,
            created_us=self.created_us,
            size_bytes=self.size_bytes,
            partition=partition,
            key=key,
            keys=dump_item(self.keys),
            old=None if self.old is None else dump_item(self.old),
            new=None if self.new is None else dump_item(self.new),
            by_ttl=self.by_ttl,
            keys_size=size_bytes(self.keys),
            new_size=0 if self.new is None else size_bytes(self.new),
            precision_us=self.precision_us,
            source_id=self.event_id,
        )


def _event_name(said: object, old: Item | None, new: Item | None) -> EventName:
    """What a record calls its change, if that is what its images are. Raises: ValueError."""
    for name, images in zip(EVENT_NAMES, ((False, True), (True, True), (True, False)), strict=True):
        if said == name and (old is not None, new is not None) == images:
            return name
    raise ValueError(f"its eventName is {said!r}, and its images are not those of such a change")


# ---- binaries ----------------------------------------------------------------------------------------------


def _doubled(item: bytes) -> bytes:
    """An item's JSON with base64 of the base64 text in place of it."""
    if not any(name in item for name in BINARIES):
        return item
    return orjson.dumps(_with_binaries(image(item) or {}, lambda text: b64encode(text.encode()).decode()))


def _image(raw: object) -> Item | None:
    """The item behind a member; absent stays absent. Raises: ApiError, ValueError."""
    return (
        None
        if raw is None
        else read_item(_with_binaries(raw, lambda text: b64decode(text, validate=True).decode("ascii")))
    )


def _with_binaries(item: Any, change: Callable[[str], str]) -> Any:
    """An item with each text of its binary values changed."""
    return {name: _value_with_binaries(value, change) for name, value in item.items()}


def _value_with_binaries(value: Any, change: Callable[[str], str]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            content = change(content)
        case "BS":
            content = [change(text) for text in content]
        case "L":
            content = [_value_with_binaries(inside, change) for inside in content]
        case "M":
            content = _with_binaries(content, change)
    return {kind: content}
