"""Staged rows as files that COPY reads: Parquet, or JSON lines.

Theory of operation: columns of a Parquet file must have the types of the table's, in its order: texts for
VARCHAR, also where a value is JSON or the digits of a binary, and 128-bit decimals for DECIMAL. In JSON lines
what goes into SUPER stands as it is, of any size; decimals are texts with all their digits.
Rules of this file: pure. Parquet needs the extra `redshift`. Called by sinks/redshift/staging.py.
"""

import gzip
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from tailrace.columns.kinds import Family
from tailrace.columns.values import json_without_nul, plain_number, without_nul
from tailrace.sinks.sql.statements import StagedColumn

GZIP_LEVEL: Final = 3


def parquet(columns: Sequence[StagedColumn]) -> bytes:
    """The rows as Parquet. Raises: ImportError without pyarrow."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    arrays = [pa.array(_texts(column), _type_of(pa, column.type)) for column in columns]
    table = pa.Table.from_arrays(arrays, names=[column.name for column in columns])
    file = io.BytesIO()
    write_table(table, file, compression="snappy")
    return file.getvalue()


def json_lines(columns: Sequence[StagedColumn]) -> bytes:
    """The rows as JSON lines, compressed."""
    names = [column.name for column in columns]
    values = [_of_json(column) for column in columns]
    lines = [orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]
    return gzip.compress(b"\n".join(lines), GZIP_LEVEL, mtime=0)


def _type_of(pa: Any, type_: str) -> Any:
    """Arrow's type for one of Redshift's."""
    match type_.partition("(")[0]:
        case "BIGINT":
            return pa.int64()
        case "BOOLEAN":
            return pa.bool_()
        case "DECIMAL":
            digits, scale = type_.partition("(")[2].rstrip(")").split(",")
            return pa.decimal128(int(digits), int(scale))
    return pa.string()


def _texts(column: StagedColumn) -> list[Any]:
    """The values for Parquet: texts but for numbers and booleans."""
    write = AS_TEXT.get(column.family)
    if column.family == "decimal" and not column.type.startswith("DECIMAL"):
        write = plain_number
    if write is None:
        return list(column.values)
    return [None if value is None else write(value) for value in column.values]


def _of_json(column: StagedColumn) -> list[Any]:
    """The values for JSON lines."""
    if column.family == "decimal":
        return [None if value is None else plain_number(value) for value in column.values]
    texts = _texts(column)
    if column.type != "SUPER":
        return texts
    return [None if text is None else orjson.Fragment(text) for text in texts]


AS_TEXT: Final[dict[Family, Callable[[Any], Any]]] = {
    "text": without_nul,
    "json": json_without_nul,
    "binary": bytes.hex,
}
