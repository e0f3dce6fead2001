"""Changes → rows in columns, and the types that columns have in files.

Theory of operation: a row is one change: whose (`tailrace_key`), how new (`tailrace_version`, 28 bytes whose
order is that of versions), when, what happened (`tailrace_op`: c, u, d as a stream says it, r from a scan),
and the columns of the image, of a deletion those of the key. A decimal has exactly the digits that its column
has needed so far: readers that unite files of several precisions (DuckDB among them) then find a type that
holds them all, which for types of 38 digits and different scales there is none, and DuckDB rounds.
Rules of this file: exact; a column that grows is cast, and never loses a digit.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import orjson
import pyarrow as pa

from tailrace.columns.arrow import arrow_columns
from tailrace.columns.batches import columnise
from tailrace.columns.images import columnise_images
from tailrace.columns.kinds import INT64_DIGITS, Kind
from tailrace.columns.naming import EXTRA
from tailrace.columns.schema import TableColumns
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import GENERATION_BYTES, SEQUENCE_BYTES, Version, check_width
from tailrace.values.types import Item

KEY: Final = "tailrace_key"
VERSION: Final = "tailrace_version"
CHANGED_AT: Final = "tailrace_changed_at"
OP: Final = "tailrace_op"
DIGITS: Final = 38
SYSTEM: Final = pa.schema(
    [
        pa.field(KEY, pa.binary(), nullable=False),
        pa.field(VERSION, pa.binary(GENERATION_BYTES + SEQUENCE_BYTES), nullable=False),
        pa.field(CHANGED_AT, pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field(OP, pa.string(), nullable=False),
    ]
)
"""What every file has. The time is the record's `created_us`; for a row of a scan that is its page's."""
OPS: Final = {"INSERT": "c", "MODIFY": "u", "REMOVE": "d"}
SCANNED: Final = "r"
DELETED: Final = "d"
FIXED: Final[Mapping[str, pa.DataType]] = {
    "bool": pa.bool_(), "int64": pa.int64(), "text": pa.string(), "digits": pa.string(), "json": pa.string(),
    "binary": pa.binary(),
}  # fmt: skip


def type_of(kind: Kind) -> pa.DataType:
    """The type of a column.

    >>> type_of(Kind("decimal", 3, 2))
    Decimal128Type(decimal128(5, 2))
    """
    if kind.family == "decimal":
        return pa.decimal128(max(1, kind.whole + kind.scale), kind.scale)
    return FIXED[kind.family]


def schema_of(table: TableColumns) -> pa.Schema:
    """The columns of a file of this table."""
    fields = [pa.field(column.name, type_of(column.kind)) for column in table.stored]
    return pa.schema([*SYSTEM, *fields, pa.field(EXTRA, pa.string())])


def reading_schema(table: TableColumns) -> pa.Schema:
    """The columns for pyarrow's own readers, which cast int64 only to decimals that hold every int64: those
    with less than 20 digits behind the point do.
    """
    fields = []
    for field in schema_of(table):
        if pa.types.is_decimal(field.type):
            whole = max(INT64_DIGITS, field.type.precision - field.type.scale)
            field = field.with_type(pa.decimal128(min(DIGITS, whole + field.type.scale), field.type.scale))
        fields.append(field)
    return pa.schema(fields)


class EntityRows:
    """Changes that become rows of one entity, in order.

    Shape:   one op and one item a record: an item as the stream has it (`images`, DynamoDB JSON; of a
             deletion its key), or, where all had to be decoded, in `items`.
    """

    __slots__ = ("images", "items", "ops", "records")

    def __init__(
        self,
        records: Iterable[ChangeRecord] = (),
        ops: Iterable[str] = (),
        images: Iterable[bytes] = (),
    ) -> None:
        self.records = list(records)
        self.ops = list(ops)
        self.images = list(images)
        self.items: list[Item] = []

    def add(self, record: ChangeRecord, item: Item, op: str) -> None:
        """One more, decoded."""
        self.records.append(record)
        self.items.append(item)
        self.ops.append(op)

    def item(self, place: int) -> Item:
        """The item of a record."""
        if self.items:
            return self.items[place]
        item: Item = orjson.loads(self.images[place])
        return item


def rows_of(rows: EntityRows, table: TableColumns) -> tuple[TableColumns, pa.Table]:
    """The rows of changes, in their order, and their columns: those of the table, grown. Blocks."""
    arrays = None if rows.items else arrow_columns(table, rows.images)
    extra = pa.nulls(len(rows.records), pa.string())
    if arrays is None:
        batch = columnise(table, rows.items) if rows.items else columnise_images(table, rows.images)
        table = batch.table
        stored = zip(batch.values, table.stored, strict=True)
        arrays = [pa.array(values, type_of(column.kind)) for values, column in stored]
        extra = pa.array(batch.extra, pa.string())
    return table, pa.Table.from_arrays([*_system(rows), *arrays, extra], schema=schema_of(table))


def _system(rows: EntityRows) -> list[pa.Array]:
    """The columns that every file has."""
    records = rows.records
    keys = pa.array([record.key for record in records], pa.binary())
    created = pa.array([record.created_us for record in records], SYSTEM.field(CHANGED_AT).type)
    return [keys, _versions(records), created, pa.array(rows.ops, pa.string())]


def _versions(records: Sequence[ChangeRecord]) -> pa.Array:
    """As `Version.packed` of each, all in one piece. Raises: SourceError for one that is wider."""
    generations = {record.generation for record in records}
    numbers = [record.rank or record.sequence for record in records]
    check_width(Version(max(generations), max(numbers)))
    packed = {generation: generation.to_bytes(GENERATION_BYTES, "big") for generation in generations}
    data = b"".join(
        [
            packed[record.generation] + number.to_bytes(SEQUENCE_BYTES, "big")
            for record, number in zip(records, numbers, strict=True)
        ]
    )
    return pa.Array.from_buffers(SYSTEM.field(VERSION).type, len(records), [None, pa.py_buffer(data)])


def widened_to(rows: pa.Table, table: TableColumns) -> pa.Table:
    """Rows of a file that was written with older columns, with these: exact, None where it had none."""
    schema = schema_of(table)
    if rows.schema.equals(schema):
        return rows
    numbers = {column.name for column in table.stored if column.kind.family == "digits"}
    arrays = []
    for field in schema:
        place = rows.schema.get_field_index(field.name)
        if place < 0:
            arrays.append(pa.nulls(rows.num_rows, field.type))
        elif field.name in numbers and pa.types.is_decimal(rows.schema.field(place).type):
            texts = [None if value is None else digits_of(value) for value in rows.column(place).to_pylist()]
            arrays.append(pa.array(texts, field.type))
        else:
            arrays.append(_cast(rows.column(place), field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def tombstones_of(rows: pa.Table, table: TableColumns, version: Version, at_us: int) -> pa.Table:
    """The rows as deletions of that version and time: with their keys, and without all else."""
    kept = {KEY, *(column.name for column in table.stored if column.attribute in table.keys)}
    count = rows.num_rows
    made = {
        VERSION: pa.array([version.packed] * count, SYSTEM.field(VERSION).type),
        CHANGED_AT: pa.array([at_us] * count, SYSTEM.field(CHANGED_AT).type),
        OP: pa.array([DELETED] * count, pa.string()),
    }
    arrays = [
        rows.column(field.name) if field.name in kept else made.get(field.name, pa.nulls(count, field.type))
        for field in rows.schema
    ]
    return pa.Table.from_arrays(arrays, schema=rows.schema)


def _cast(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type) and pa.types.is_decimal(target):
        # pyarrow asks for a precision that holds every int64, whatever these are.
        values = [None if value is None else Decimal(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(values, target)])
    return column.cast(target)


def digits_of(value: Decimal) -> str:
    """A number as DynamoDB writes it.

    >>> digits_of(Decimal("1.50")), digits_of(Decimal("100")), digits_of(Decimal("1E-7"))
    ('1.5', '100', '0.0000001')
    """
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
