"""A record of GetRecords, and a shard of DescribeStream, as delivery knows them.

Theory of operation: what a record says is kept as it was said: its number, its id, its times, its size.
Items are brought into the one form in which equal ones are equal (decision 4): AWS writes the elements
of a set in any order. What the wire does not tell is computed from what it does: the key's bytes and
hash by the table's own rules, sizes by AWS's.
Rules of this file: pure; a record that cannot be read is a SourceError that names it, never one that is
left out. Called by dynamodb_streams.py; the core of a record (`images_of`, `change_of`) by entry/events.py,
too, for Lambda hands over the same. Source: semantics §1.3, §1.5.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final, NamedTuple

from msgspec import Struct

from tailrace.errors import ApiError, SourceError
from tailrace.ports import Shard, StreamRef
from tailrace.sources.dialects import Dialect, is_by_ttl
from tailrace.streams.record import EVENT_NAMES, VIEW_TYPES, ChangeRecord, EventName, ViewType
from tailrace.tables.schema import KeyType, TableSchema
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item

Members = Mapping[str, Any]
SECOND_US: Final = 1_000_000
IMAGES: Final = ("OldImage", "NewImage")


class DescribedStream(Struct):
    """A stream as it was described. Shape: `key_names` the partition key first; `schema` is known with
    the first record, which has the types.
    """

    stream: StreamRef
    key_names: tuple[str, ...]
    is_on: bool
    schema: TableSchema | None = None


def described_stream(members: Members, table: str, *, is_of_deleted: bool) -> DescribedStream:
    """What DescribeStream says of a stream. Raises: SourceError for what cannot be read."""
    try:
        arn = str(members["StreamArn"])
        view_type: ViewType = members["StreamViewType"]
        schema = sorted(members["KeySchema"], key=lambda key: key["KeyType"] != "HASH")
        names = tuple(str(key["AttributeName"]) for key in schema)
        label = str(members["StreamLabel"])
        is_on = members["StreamStatus"] in ("ENABLED", "ENABLING")
    except (KeyError, TypeError) as error:
        raise SourceError(f"a description of a stream of {table!r} without {error}") from error
    if view_type not in VIEW_TYPES or len(names) not in (1, 2):
        raise SourceError(f"stream {arn}: view type {view_type!r} and key {names} are none of DynamoDB's")
    words = arn.split(":")
    region = words[3] if len(words) > 3 and words[3] else "us-east-1"
    stream = StreamRef(arn, table, label, view_type, region, is_of_deleted)
    return DescribedStream(stream, names, is_on)


def described_shard(members: Members, stream: str, dialect: Dialect) -> Shard:
    """What DescribeStream says of a shard. Raises: SourceError for what cannot be read."""
    try:
        shard_id, numbers = str(members["ShardId"]), members["SequenceNumberRange"]
        ending = numbers.get("EndingSequenceNumber")
        parent = members.get("ParentShardId")
        return Shard(
            shard_id,
            dialect.number(numbers["StartingSequenceNumber"]),
            () if parent is None else (str(parent),),
            None if ending is None else dialect.last(ending),
            stream=stream,
            created_ms=dialect.created_ms(shard_id),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"a shard of stream {stream} that cannot be read: {dict(members)}") from error


def shard_number(shard: Shard) -> int:
    """What stands for a shard in its records: the same in every process. Units: 63 bits."""
    digest = blake2b("/".join(shard.place).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


class PageOfChanges(Struct):
    """Records of one answer. Shape: `reached` is the number of the last one, whatever became of it."""

    records: list[ChangeRecord]
    reached: int


def changes_of(
    answered: Sequence[Members], described: DescribedStream, shard: Shard, dialect: Dialect, after: int
) -> PageOfChanges:
    """The records of an answer that come after a position, in order. What stands there already, as in an
    answer that came twice, is left out, and so are records that are no change (Alternator). Raises:
    SourceError.
    """
    records: list[ChangeRecord] = []
    reached = after
    number = shard_number(shard)
    previous, place = "", 0
    for members in answered:
        try:
            text = members["dynamodb"]["SequenceNumber"]
            previous, place = text, place + 1 if text == previous and dialect.group_bits else 0
            sequence = dialect.number(text, place)
            if sequence <= after:
                continue
            record = _change(members, sequence, number, described, dialect)
        except (KeyError, TypeError, ValueError, AttributeError, ApiError) as error:
            shown = {name: members.get(name) for name in ("eventID", "eventName")}
            raise SourceError(
                f"a record of shard {shard.shard_id} cannot be read: {shown}: {type(error).__name__}: {error}"
            ) from error
        reached = max(reached, sequence)
        if record is not None:
            records.append(record)
    if any(first.sequence >= second.sequence for first, second in pairwise(records)):
        distinct = {record.sequence: record for record in records}
        records = [distinct[sequence] for sequence in sorted(distinct)]
    return PageOfChanges(records, reached)


def _change(
    members: Members, sequence: int, shard: int, described: DescribedStream, dialect: Dialect
) -> ChangeRecord | None:
    view_type, images = described.stream.view_type, images_of(members["dynamodb"])
    said = members["eventName"]
    if view_type == "NEW_AND_OLD_IMAGES":
        said = dialect.event_name(said, images.old, images.new)
        if said is None:
            return None
    name = event_name(said)
    schema = described.schema or _learn_schema(described, images.keys)
    place = RecordPlace(sequence, shard, schema, view_type)
    return change_of(members, name, images, place)


class RecordImages(NamedTuple):
    """The items of a record, in the one form in which equal ones are equal."""

    keys: Item
    old: Item | None
    new: Item | None


class RecordPlace(NamedTuple):
    """Where a record is: its number, what stands for its shard, its table's key, what its stream shows."""

    sequence: int
    shard: int
    schema: TableSchema
    view_type: ViewType


def images_of(body: Members) -> RecordImages:
    """The items of a record's `dynamodb` member. Raises: KeyError, TypeError, ValueError, ApiError."""
    old, new = (None if image is None else read_item(image) for image in map(body.get, IMAGES))
    return RecordImages(read_item(body["Keys"]), old, new)


def change_of(members: Members, name: EventName, images: RecordImages, place: RecordPlace) -> ChangeRecord:
    """The change that a record of the wire tells. Raises: as `images_of`, where it does not fit its table."""
    body, (keys, old, new), schema = members["dynamodb"], images, place.schema
    target = schema.locate_key({key: keys[key] for key in schema.key_names if key in keys})
    size, keys_size, new_size = _sizes(body.get("SizeBytes"), place.view_type, keys, old, new)
    return ChangeRecord(
        sequence=place.sequence,
        shard=place.shard,
        event_name=name,
        created_us=round(float(body["ApproximateCreationDateTime"]) * SECOND_US),
        size_bytes=size,
        partition=target.partition,
        key=target.key_bytes,
        keys=dump_item(target.keys),
        old=None if old is None else dump_item(old),
        new=None if new is None else dump_item(new),
        by_ttl=is_by_ttl(members.get("userIdentity")),
        keys_size=keys_size,
        new_size=new_size,
        precision_us=SECOND_US,
        source_id=str(members.get("eventID", "")),
    )


def event_name(said: object) -> EventName:
    """What a record calls its change. Raises: ValueError for a name that AWS does not have."""
    for name in EVENT_NAMES:
        if said == name:
            return name
    raise ValueError(f"its eventName is {said!r}, which is none of {', '.join(EVENT_NAMES)}")


def _learn_schema(described: DescribedStream, keys: Item) -> TableSchema:
    """The key's types, from the first record that there is: they never change in a stream."""
    types: list[KeyType] = []
    for name in described.key_names:
        for kind in ("S", "N", "B"):
            if kind in keys[name]:
                types.append(kind)
    (hash_name, *ranges), (hash_type, *range_types) = described.key_names, types
    described.schema = TableSchema(
        described.stream.table,
        0,
        "",
        hash_name,
        hash_type,
        ranges[0] if ranges else None,
        range_types[0] if range_types else None,
    )
    return described.schema


def _sizes(
    told: int | None, view_type: ViewType, keys: Item, old: Item | None, new: Item | None
) -> tuple[int, int, int]:
    """The size of the whole record, of its keys and of its new image, so that the view type's size is what
    the wire said (streams/envelopes.py); computed where it said nothing. Parts that the view type never asks
    for are left at 0: to weigh images is a fifth of what it takes to read a record.
    """
    if told is None:
        keys_size, new_size = size_bytes(keys), 0 if new is None else size_bytes(new)
        return keys_size + new_size + (0 if old is None else size_bytes(old)), keys_size, new_size
    match view_type:
        case "NEW_AND_OLD_IMAGES" | "OLD_IMAGE":
            return told, 0, 0
        case "KEYS_ONLY":
            return told, told, 0
        case "NEW_IMAGE":
            keys_size = size_bytes(keys)
            return told, keys_size, max(0, told - keys_size)
