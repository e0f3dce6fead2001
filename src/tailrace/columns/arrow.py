"""Images → Arrow arrays, without a Python value between: the fastest way of a batch in which nothing is new.

Theory of operation: pyarrow's own reader of JSON is told the columns, an attribute a struct with the one type
that its column has, and refuses whatever else an image says; numbers are then cast from their texts, and a
cast that would lose a digit is refused as well. A column with JSON inside has no such type: a table that has
one is put in columns by images.py, as is every batch that was refused here.
Stands alone because pyarrow is there only where a target takes Arrow.
Rules of this file: an answer here is the one that `columnise` gives for the decoded images. Blocks.
"""

from base64 import b64decode
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from tailrace.columns.batches import TYPES
from tailrace.columns.kinds import Kind
from tailrace.columns.schema import TableColumns

NULL: Final = b'"NULL"'
MOST_BYTES: Final = 2**31 - 1
"""Of a block, and of the texts of one array."""
READY: Final = 64
"""Schemas that are kept, by columns."""


def arrow_columns(table: TableColumns, images: Sequence[bytes]) -> list[pa.Array] | None:
    """The values of `table.stored`, one a row, of canonical images (DynamoDB JSON) of one entity: text and
    JSON as string, int64, decimal of the column's digits, digits as string, binary, bool. None when a column
    must grow or holds JSON, or a value has no place.
    """
    if not images or not table.columns or any(column.kind.family == "json" for column in table.columns):
        return None
    data = b"\n".join(images)
    if len(data) >= MOST_BYTES:
        return None
    reading = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pj.ParseOptions(
        explicit_schema=_schema(table, NULL in data),
        unexpected_field_behavior="error",
        newlines_in_values=False,
    )
    try:
        rows = pj.read_json(pa.BufferReader(data), read_options=reading, parse_options=parsing)
        if rows.num_rows != len(images):
            return None
        return [_cast(_content(rows, column.attribute), column.kind) for column in table.stored]
    except (pa.ArrowInvalid, ValueError):
        return None


@lru_cache(READY)
def _schema(table: TableColumns, has_null: bool) -> pa.Schema:
    nothing = [pa.field("NULL", pa.bool_())]
    fields = []
    for column in table.columns:
        type_ = TYPES.get(column.kind.family)
        inside = [] if type_ is None else [pa.field(type_, pa.bool_() if type_ == "BOOL" else pa.string())]
        fields.append(pa.field(column.attribute, pa.struct(inside + (nothing if has_null else []))))
    return pa.schema(fields)


def _content(rows: pa.Table, attribute: str) -> pa.Array:
    """What stands behind the type of an attribute's values."""
    (chunk,) = rows.column(rows.schema.get_field_index(attribute)).chunks
    return pc.struct_field(chunk, [0])


def _cast(content: pa.Array, kind: Kind) -> pa.Array:
    """A column's values. Raises: ArrowInvalid, ValueError when it must become wider."""
    if kind.family == "decimal":
        return content.cast(pa.decimal128(max(1, kind.whole + kind.scale), kind.scale))
    if kind.family == "int64":
        values = content.cast(pa.int64())
        bound, ends = 10**kind.whole, pc.min_max(values).as_py()
        if ends["min"] is not None and (ends["max"] >= bound or ends["min"] <= -bound):
            raise ValueError("a wider kind")
        return values
    if kind.family == "binary":
        texts = content.to_pylist()
        return pa.array([None if text is None else b64decode(text) for text in texts], pa.binary())
    return content
