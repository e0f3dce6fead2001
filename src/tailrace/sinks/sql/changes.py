"""A batch as the rows that it makes: of each key the newest change, in the order of the keys.

Theory of operation: without a transform a row is an item's, and its key is the record's. A transform's
dictionaries are rows with the key attributes of the change that they come from, or with their own; the key is
made of those, as the engine makes it of an item's, so that it is the record's where they are the item's.
Rules of this file: pure. What has no row fails by its place, and nothing of its item follows in this batch.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from json import loads
from math import isfinite
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tailrace.app.plain import to_attribute
from tailrace.columns.values import plain_number
from tailrace.errors import SettingsError, SinkError
from tailrace.ports import Failure, RecordBatch
from tailrace.sinks.documents import to_json
from tailrace.sinks.law import applies, newest
from tailrace.sinks.messages import Failures
from tailrace.streams.record import ChangeRecord, image
from tailrace.values.canonical import ordered_bytes, terminated
from tailrace.values.types import AttributeValue, Item

HASH_BYTES: Final = 8
ItemOf: TypeAlias = Callable[[RecordBatch, int], Item | None]


class KeyedChange(Struct, frozen=True, gc=False):
    """What becomes of one row.

    Shape:   `place` is the record's in its batch. `item` is None for a deletion, and where `is_image` is
             true: the record's new image is the item then, not decoded yet.
    """

    key: bytes
    record: ChangeRecord
    item: Item | None
    place: int
    is_image: bool = False

    @property
    def is_deletion(self) -> bool:
        """Whether there is no item afterwards."""
        return self.item is None and not self.is_image

    def decoded(self) -> "KeyedChange":
        """With its item."""
        if not self.is_image:
            return self
        return KeyedChange(self.key, self.record, image(self.record.new), self.place)

    @property
    def keys(self) -> Item:
        """The key attributes."""
        return image(self.record.keys) or {}


def item_of(batch: RecordBatch, place: int) -> Item | None:
    """The item of one change, None for a deletion. Raises: SinkError for a change that shows none."""
    record = batch.records[place]
    if batch.values is not None:
        value = batch.values[place]
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise SinkError(f"a table's rows are dictionaries, not {type(value).__name__}")
        return {**(image(record.keys) or {}), **{str(name): attribute(value[name]) for name in value}}
    if record.event_name == "REMOVE":
        return None
    item = image(record.new)
    if item is None:
        raise SinkError("a mirror needs the new image: the stream's view type has none")
    return item


def rows_of(batch: RecordBatch, read: ItemOf | None, failures: Failures) -> list[KeyedChange]:
    """The rows of a batch; what has none joins the failures.

    Shape:   `read` gives the item of a change; None: it is the record's image, which is left as it is.
    """
    if read is None and batch.values is None and _have_rows(batch.records):
        records = batch.records
        return [
            KeyedChange((record := records[place]).key, record, None, place, record.event_name != "REMOVE")
            for place in newest(records)
        ]
    read = read or item_of
    rows: dict[bytes, KeyedChange] = {}
    for place, record in enumerate(batch.records):
        if failures.holds_back(record):
            continue
        try:
            item = read(batch, place)
            key = record.key
            if batch.values is not None:
                names = image(record.keys) or {}
                key = key_of([(item or names)[name] for name in names])
        except (SinkError, SettingsError, ValueError) as error:
            failures.add_record(place, record, Failure(error=str(error), final=True))
            continue
        there = rows.get(key)
        # Of one change's rows with one key the last one counts.
        if there is None or there.record is record or applies(record.version, there.record.version):
            rows[key] = KeyedChange(key, record, item, place)
    return [rows[key] for key in sorted(rows)]


def are_new(batch: RecordBatch, rows: Sequence[KeyedChange]) -> bool:
    """Whether all rows of a batch are new ones, as far as the batch says: each item was inserted in it. A
    target that has older or repeated changes of one knows better.
    """
    if batch.values is not None:
        return False
    inserted = {record.key for record in batch.records if record.event_name == "INSERT"}
    return len(inserted) == len(rows) and not any(row.is_deletion for row in rows)


def _have_rows(records: Sequence[ChangeRecord]) -> bool:
    without = [record for record in records if record.new is None]
    return all(record.event_name == "REMOVE" for record in without)


def key_of(values: Sequence[AttributeValue]) -> bytes:
    """The order-preserving bytes of a row's key attributes, as those of an item that has them.

    Source: tables/schema.py. Here a key may have any values: those that have no order count as their text.
    """
    data = [_ordered(value) for value in values]
    first = data[0] if data else b""
    return blake2b(first, digest_size=HASH_BYTES).digest() + terminated(first) + b"\0".join(data[1:])


def _ordered(value: AttributeValue) -> bytes:
    try:
        return ordered_bytes(value)
    except ValueError:
        return str(value).encode()


def attribute(value: Any) -> AttributeValue:
    """A value of a transform as an attribute's; numbers are exact, a float is the number that it is shown as.

    >>> attribute({"mean": 0.1, "tags": {"b"}}), attribute([])
    ({'M': {'mean': {'N': '0.1'}, 'tags': {'SS': ['b']}}}, {'L': []})
    """
    match value:
        case bool() | str() | bytes() | None:
            return to_attribute(value)
        case float() if isfinite(value):
            return {"N": plain_number(Decimal(repr(value)))}
        case int():
            return {"N": str(value)}
        case Decimal() if value.is_finite():
            return {"N": plain_number(value)}
        case float() | Decimal():
            return {"S": str(value)}
        case Mapping():
            return {"M": {str(name): attribute(inside) for name, inside in value.items()}}
        case list() | tuple():
            return {"L": [attribute(inside) for inside in value]}
        case set() | frozenset():
            try:
                return to_attribute(value)
            except SettingsError:  # an empty one, or of several types
                return {"L": [attribute(inside) for inside in sorted(value, key=str)]}
    return attribute(loads(to_json(value), parse_float=Decimal))
