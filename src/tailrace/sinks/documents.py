"""Values and changes as JSON documents: what leaves for queues, buses and webhooks.

Rules of this file: lossless where JSON is: a Decimal is a number with every digit, a set a sorted list, bytes
base64, a datetime RFC 3339. An Item is its fields. Used by messages.py.
"""

import dataclasses
from base64 import b64encode
from decimal import Decimal
from typing import Any, Final

import orjson

from tailrace.app.entity import Entity
from tailrace.app.item import Item
from tailrace.app.models import model_of
from tailrace.app.plain import to_plain_item
from tailrace.errors import SinkError
from tailrace.ports import StreamRef
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ChangeRecord, image

OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS
FORMAT: Final = 1
"""Of the document of a change. Source: docs/formats/documents.md."""


def to_json(value: object) -> bytes:
    """Any plain value, Item or dataclass as JSON. Raises: SinkError for what JSON has no place for.

    >>> to_json({"total": Decimal("10.50"), "tags": {"b", "a"}})
    b'{"total":10.50,"tags":["a","b"]}'
    """
    try:
        return orjson.dumps(value, default=_other, option=OPTIONS)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise SinkError(f"{type(value).__name__} is no JSON: {error}") from error


def _other(value: Any) -> Any:
    match value:
        case Decimal() if value.is_finite():
            return orjson.Fragment(str(value))
        case set() | frozenset():
            return sorted(value, key=str)
        case bytes():
            return b64encode(value).decode()
        case Item() if (model := model_of(type(value))) is not None:
            return {name: getattr(value, name) for name in model.fields}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        case _ if callable(dump := getattr(value, "model_dump", None)):  # pydantic's models
            return dump()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def change_document(
    record: ChangeRecord, stream: StreamRef, entity: Entity[Any] | None = None
) -> dict[str, Any]:
    """A change as a document: what happened to which item, both images, and the id that makes a repetition
    harmless.

    Shape:   `old` and `new` are plain values, or an entity's fields; absent where the record has no such
             image.
    """
    images = {"old": image(record.old), "new": image(record.new)}
    document: dict[str, Any] = {
        "v": FORMAT,
        "event_id": event_id(record),
        "event_name": record.event_name,
        "table": stream.table,
        "keys": to_plain_item(image(record.keys) or {}),
        "sequence_number": record.sequence_number.wire,
        "at_ms": record.created_ms,
        "by_ttl": record.by_ttl,
    }
    for name, item in images.items():
        if item is not None:
            document[name] = to_plain_item(item) if entity is None else entity.decode(item)
    return document
