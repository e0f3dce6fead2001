"""Images → columns without an item in between: the fast way of a batch in which nothing is new.

Theory of operation: for columns that are known a decoder is made once that reads an image as a struct, a
member a column, and takes nothing else: an attribute without a column, or a value of another type than its
column's, is an error. Then, or when a number needs a wider column, all images are decoded and looked at value
by value (batches.py), which says the same and takes five times as long. Images are taken a few at a time and
their values put in columns at once, while the processor has them in its cache: that alone halves the time.
Rules of this file: an answer here is the one that `columnise` gives for the decoded images.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
import orjson
from msgspec import Meta, Raw, Struct, defstruct
from msgspec.structs import astuple

from tailrace.columns.batches import READERS, TYPES, ColumnBatch, columnise, decode_items
from tailrace.columns.kinds import Family, Kind, largest_int64
from tailrace.columns.schema import Column, TableColumns
from tailrace.columns.values import json_text

READY: Final = 64
"""Decoders that are kept, by columns."""
AT_ONCE: Final = 64
"""Images whose values are in the processor's cache together."""


class _Text(Struct, gc=False, forbid_unknown_fields=True):
    S: str | None = None
    NULL: bool | None = None


class _Number(Struct, gc=False, forbid_unknown_fields=True):
    N: str | None = None
    NULL: bool | None = None


class _Binary(Struct, gc=False, forbid_unknown_fields=True):
    B: bytes | None = None
    NULL: bool | None = None


class _Bool(Struct, gc=False, forbid_unknown_fields=True):
    BOOL: bool | None = None
    NULL: bool | None = None


class _Null(Struct, gc=False, forbid_unknown_fields=True):
    NULL: bool


SHAPES: Final[dict[Family, Any]] = {
    "text": _Text,
    "decimal": _Number,
    "digits": _Number,
    "binary": _Binary,
    "bool": _Bool,
    "nothing": _Null,
}
CONTENTS: Final = {family: attrgetter(type_) for family, type_ in TYPES.items()}
ABSENT: Final = Raw(b"")
"""Stands for JSON that an image has not."""


def columnise_images(table: TableColumns, images: Sequence[bytes]) -> ColumnBatch:
    """The columns of canonical images (DynamoDB JSON) of one entity; as `columnise` of the items."""
    columns = [
        (place, column) for place, column in enumerate(table.columns) if column.kind.family != "nothing"
    ]
    values: list[list[Any]] = [[] for _ in columns]
    try:
        decode = _decoder(table)
        for first in range(0, len(images), AT_ONCE):
            rows = map(decode, images[first : first + AT_ONCE])
            members = list(zip(*map(astuple, rows), strict=True))
            for (place, column), column_values in zip(columns, values, strict=True):
                column_values += _values(members[place], column)
    except (msgspec.MsgspecError, ValueError):
        return columnise(table, decode_items(images))
    return ColumnBatch(table, tuple(values), [None] * len(images), {})


@lru_cache(READY)
def _decoder(table: TableColumns) -> Callable[[bytes], Any]:
    fields = [
        (f"c{place}", Raw, ABSENT)
        if column.kind.family == "json"
        else (f"c{place}", _shape(column.kind) | None, None)
        for place, column in enumerate(table.columns)
    ]
    names = {f"c{place}": column.attribute for place, column in enumerate(table.columns)}
    made = defstruct("ImageRow", fields, gc=False, rename=names, forbid_unknown_fields=True)
    # Not strict: the texts of numbers are read as integers.
    return msgspec.json.Decoder(made, strict=False).decode


def _shape(kind: Kind) -> Any:
    """What is read of an attribute. The decoder itself tells an integer that needs a wider kind."""
    if kind.family != "int64":
        return SHAPES[kind.family]
    bound = largest_int64(kind)
    number = Annotated[int, Meta(ge=-bound, le=bound)] | None
    fields = [("N", number, None), ("NULL", bool | None, None)]
    return defstruct("Int64", fields, gc=False, forbid_unknown_fields=True)


def _values(members: Sequence[Any], column: Column) -> list[Any]:
    """A column's values. Raises: ValueError when it must become wider."""
    family = column.kind.family
    if family == "json":
        return [None if raw is ABSENT else _json_text(raw) for raw in members]
    content = CONTENTS[family]
    try:
        contents = list(map(content, members))
    except AttributeError:  # an image has none; to look for it first takes longer than all the rest
        contents = [None if member is None else content(member) for member in members]
    if family != "decimal":
        return contents
    there = [number for number in contents if number is not None]
    numbers = iter(READERS[family](there, column.kind))
    return [None if number is None else next(numbers) for number in contents]


def _json_text(raw: Raw) -> str | None:
    value = orjson.loads(bytes(raw))
    return None if "NULL" in value else json_text(value)
