"""Of each key the newest row; and what a row's digest is.

Theory of operation: rows are sorted by key and version, and of each key the first one stays. What was there
before stands before what is new, and sorting is stable: of two rows of one version the older one stays, as
the law of sinks/law.py has it.
Rules of this file: equals the law (a test compares them). Blocks; run in a thread.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.columns.naming import EXTRA
from tailrace.columns.schema import TableColumns
from tailrace.sinks.lake.rows import DELETED, KEY, OP, SYSTEM, VERSION, digits_of, schema_of

DIGEST_BYTES: Final = 16


def newest_rows(parts: Sequence[pa.Table], table: TableColumns) -> pa.Table:
    """The newest row of each key, in the order of the keys. Shape: parts with the columns of the table, what
    was there first before the others.
    """
    rows = pa.concat_tables(parts) if parts else schema_of(table).empty_table()
    if not rows.num_rows:
        return rows
    order = pc.sort_indices(
        rows.select([KEY, VERSION]), sort_keys=[(KEY, "ascending"), (VERSION, "descending")]
    )
    keys = rows.column(KEY).take(order).combine_chunks()
    if len(keys) > 1:
        starts = pa.concat_arrays([pa.array([True]), pc.not_equal(keys[1:], keys[:-1])])
        order = order.filter(starts)
    return rows.take(order).combine_chunks()


def bucket_of(key: bytes, buckets: int) -> int:
    """Which part of a merged table a key is in.

    >>> bucket_of(b"o1", 16), bucket_of(b"o2", 16)
    (13, 7)
    """
    return crc32(key) % buckets


def by_bucket(rows: pa.Table, buckets: int) -> dict[int, pa.Table]:
    """The rows of each bucket that has some, in their order."""
    numbers = [crc32(key) % buckets for key in rows.column(KEY).to_pylist()]
    together = rows.take(pc.sort_indices(pa.array(numbers, pa.int32())))
    parts: dict[int, pa.Table] = {}
    start = 0
    for number, count in sorted(Counter(numbers).items()):
        parts[number] = together.slice(start, count)
        start += count
    return parts


def is_deleted(rows: pa.Table) -> list[bool]:
    """Of each row whether it is a deletion."""
    return [op == DELETED for op in rows.column(OP).to_pylist()]


def digests_of(rows: pa.Table, table: TableColumns) -> Iterator[bytes]:
    """The digest of what each row shows; empty for a deletion.

    Guarantee: a column that became wider changes none.
    """
    names = {column.name: column.attribute for column in table.stored}
    shown = rows.drop_columns(SYSTEM.names).to_pylist()
    for row, gone in zip(shown, is_deleted(rows), strict=True):
        yield b"" if gone else _digest(row, names)


def _digest(row: Mapping[str, Any], names: Mapping[str, str]) -> bytes:
    values = {names.get(name, EXTRA): _told(value) for name, value in row.items() if value is not None}
    return blake2b(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=DIGEST_BYTES).digest()


def _told(value: Any) -> Any:
    """A value so that it says the same in every type that its column has had."""
    match value:
        case bool():
            return value
        case Decimal():
            return digits_of(value)
        case int():
            return str(value)
        case bytes():
            return value.hex()
    return value
