"""Images → columns without an item in between: the fast way of a batch in which nothing is new.

Theory of operation: for columns that are known a decoder is made once that reads an image as a struct, a
member a column, and takes nothing else: an attribute without a column, or a value of another type than its
column's, is an error. Then, or when a number needs a wider column, all images are decoded and looked at value
by value (batches.py), which says the same and takes five times as long.
Rules of this file: an answer here is the one that `columnise` gives for the decoded images.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec
import orjson
from msgspec import Raw, Struct, defstruct

from tailrace.columns.batches import READERS, TYPES, ColumnBatch, columnise, decode_items
from tailrace.columns.kinds import Family
from tailrace.columns.schema import Column, TableColumns
from tailrace.columns.values import json_text

READY: Final = 64
"""Decoders that are kept, by columns."""


class _Text(Struct, gc=False, forbid_unknown_fields=True):
    S: str | None = None
    NULL: bool | None = None


class _Number(Struct, gc=False, forbid_unknown_fields=True):
    N: str | None = None
    NULL: bool | None = None


class _Binary(Struct, gc=False, forbid_unknown_fields=True):
    B: str | None = None
    NULL: bool | None = None


class _Bool(Struct, gc=False, forbid_unknown_fields=True):
    BOOL: bool | None = None
    NULL: bool | None = None


class _Null(Struct, gc=False, forbid_unknown_fields=True):
    NULL: bool


SHAPES: Final[dict[Family, Any]] = {
    "text": _Text,
    "int64": _Number,
    "decimal": _Number,
    "digits": _Number,
    "binary": _Binary,
    "bool": _Bool,
    "nothing": _Null,
}
ABSENT: Final = Raw(b"")
"""Stands for JSON that an image has not."""


def columnise_images(table: TableColumns, images: Sequence[bytes]) -> ColumnBatch:
    """The columns of canonical images (DynamoDB JSON) of one entity; as `columnise` of the items."""
    try:
        rows = list(map(_decoder(table), images))
        values = tuple(
            [
                _values(rows, place, column)
                for place, column in enumerate(table.columns)
                if column.kind.family != "nothing"
            ]
        )
    except (msgspec.MsgspecError, ValueError):
        return columnise(table, decode_items(images))
    return ColumnBatch(table, values, [None] * len(images), {})


@lru_cache(READY)
def _decoder(table: TableColumns) -> Callable[[bytes], Any]:
    fields = [
        (f"c{place}", Raw, ABSENT)
        if column.kind.family == "json"
        else (f"c{place}", SHAPES[column.kind.family] | None, None)
        for place, column in enumerate(table.columns)
    ]
    names = {f"c{place}": column.attribute for place, column in enumerate(table.columns)}
    made = defstruct("ImageRow", fields, gc=False, rename=names, forbid_unknown_fields=True)
    return msgspec.json.Decoder(made).decode


def _values(rows: Sequence[Any], place: int, column: Column) -> list[Any]:
    """A column's values. Raises: ValueError when it must become wider."""
    given = list(map(attrgetter(f"c{place}"), rows))
    if column.kind.family == "json":
        return [None if raw is ABSENT else _json_text(raw) for raw in given]
    type_ = TYPES[column.kind.family]
    contents = [None if value is None else getattr(value, type_) for value in given]
    read = READERS[column.kind.family]
    if None not in contents:
        return read(contents, column.kind)
    there = iter(read([content for content in contents if content is not None], column.kind))
    return [None if content is None else next(there) for content in contents]


def _json_text(raw: Raw) -> str | None:
    value = orjson.loads(bytes(raw))
    return None if "NULL" in value else json_text(value)
