"""A batch → the files that hold its rows.

Theory of operation: of each record is known whether it can be written, as which entity, and what happened;
the items of one entity are put in columns together, so that the columns grow once, and one file is made for
each part of the table. The same batch over the same columns gives the same names and bytes.
Rules of this file: nothing is written here. What blocks is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import orjson
import pyarrow as pa
from msgspec import Struct

from tailrace.app.plain import to_item, to_plain_item
from tailrace.columns.schema import TableColumns
from tailrace.errors import ApiError, SettingsError, SinkError
from tailrace.ports import Failure, RecordBatch
from tailrace.sinks.lake.layout import DAY, DAY_US, LakeLayout
from tailrace.sinks.lake.parquet import parquet_bytes
from tailrace.sinks.lake.rows import DELETED, OPS, SCANNED, EntityRows, rows_of
from tailrace.sinks.messages import Failures
from tailrace.streams.record import ChangeRecord, image
from tailrace.values.types import Item

NO_IMAGE: Final = "a lake needs the new image: the stream's view type has none"
SCAN_OPS: Final = {"INSERT": SCANNED, "MODIFY": SCANNED, "REMOVE": DELETED}
Rows: TypeAlias = dict[str, EntityRows]
"""By entity."""


class EncodedFile(Struct, frozen=True):
    """A file that can be written.

    Shape:   `columns` are those of its entity, as the file has them; `first` and `last` its keys in hex,
             where it is sorted.
    """

    part: str
    data: bytes
    rows: int
    columns: TableColumns
    first: str = ""
    last: str = ""


def item_of(batch: RecordBatch, place: int) -> Item | None:
    """The item that a change leaves, None for a removal. Raises: SinkError, SettingsError, ApiError for what
    cannot be written.
    """
    record = batch.records[place]
    if record.event_name == "REMOVE":
        return None
    if batch.values is not None:
        value = batch.values[place]
        if not isinstance(value, Mapping):
            raise SinkError(f"a lake writes dictionaries, not {type(value).__name__}")
        return to_item({**to_plain_item(image(record.keys) or {}), **value})
    item = image(record.new)
    if item is None:
        raise SinkError(NO_IMAGE)
    return item


def rows_by_entity(batch: RecordBatch, layout: LakeLayout, known: Sequence[str], failures: Failures) -> Rows:
    """The rows of a batch, those of items that have left an entity among them."""
    if batch.values is None and layout.entities is None:
        as_they_are = _images(batch, failures)
        return {layout.entity_of({}): as_they_are} if as_they_are.records else {}
    rows: Rows = {}
    seen: set[tuple[bytes, int]] = set()
    for place, record in enumerate(batch.records):
        if failures.holds_back(record):
            continue
        try:
            new = item_of(batch, place)
        except (SinkError, SettingsError, ApiError) as error:
            failures.add_record(place, record, Failure(error=str(error)))
            continue
        if batch.values is not None and layout.is_merged:
            if (record.key, record.sequence) in seen:
                text = "a merged table has one row an item, and the transform made several of one change"
                failures.add_record(place, record, Failure(error=text, final=True))
                continue
            seen.add((record.key, record.sequence))
        for entity, item, op in _rows(batch, layout, record, new, known):
            rows.setdefault(entity, EntityRows()).add(record, item, op)
    return rows


def _images(batch: RecordBatch, failures: Failures) -> EntityRows:
    """The rows of changes of one entity as they are: what most batches are."""
    records = list(batch.records)
    images = [_image(record) for record in records]
    if None in images:
        records = []
        for place, record in enumerate(batch.records):
            if images[place] is None:
                failures.add_record(place, record, Failure(error=NO_IMAGE))
            elif not failures.holds_back(record):
                records.append(record)
        images = [_image(record) for record in records]
    ops = SCAN_OPS if batch.is_snapshot else OPS
    return EntityRows(
        records,
        [ops[record.event_name] for record in records],
        images=[content for content in images if content is not None],
    )


def _image(record: ChangeRecord) -> bytes | None:
    """What a row is of: of a deletion the key."""
    return record.keys if record.event_name == "REMOVE" else record.new


def _rows(
    batch: RecordBatch, layout: LakeLayout, record: ChangeRecord, new: Item | None, known: Sequence[str]
) -> Iterator[tuple[str, Item, str]]:
    """Entity, item and op of each row of a change."""
    keys = image(record.keys) or {}
    op = SCANNED if batch.is_snapshot and new is not None else OPS[record.event_name]
    old = None if layout.entities is None else image(record.old)
    if new is not None:
        yield layout.entity_of(new), new, op
    elif old is not None or layout.entities is None or layout.entities.is_told_by_keys():
        yield layout.entity_of(old or keys), keys, op
    left = layout.left(record, old, new, known) if new is not None or old is None else ()
    for entity in left:
        yield entity, keys, DELETED


def encoded_files(rows: Rows, layout: LakeLayout, tables: Mapping[str, TableColumns]) -> list[EncodedFile]:
    """The files of these rows, over columns that have grown as they need. Blocks."""
    files: list[EncodedFile] = []
    for columns, entity_rows, table in tables_of(rows, layout, tables):
        keys = {column.name for column in columns.columns if column.attribute in columns.keys}
        for partition, part in _partitioned(table, entity_rows, layout):
            name, data = layout.log_part(columns, partition), parquet_bytes(part, is_sorted=False, keys=keys)
            files.append(EncodedFile(name, data, part.num_rows, columns))
    return files


def tables_of(
    rows: Rows, layout: LakeLayout, tables: Mapping[str, TableColumns]
) -> Iterator[tuple[TableColumns, EntityRows, pa.Table]]:
    """The rows of each entity in columns that have grown as they need. Blocks."""
    known = dict(tables)
    for entity, entity_rows in rows.items():
        if entity not in known:
            keys = tuple(orjson.loads(entity_rows.records[0].keys))
            known[entity] = layout.new_columns(entity, keys, known)
        known[entity], table = rows_of(entity_rows, known[entity])
        yield known[entity], entity_rows, table


def _partitioned(table: pa.Table, rows: EntityRows, layout: LakeLayout) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each partition, in their order."""
    if layout.is_merged or not layout.settings.partition_by:
        yield "", table
        return
    places: dict[str, list[int]] = {}
    days = {record.created_us // DAY_US for record in rows.records}
    if layout.settings.partition_by == (DAY,) and len(days) == 1:
        places[layout.partition(rows.records[0], {})] = []
    else:
        for place, record in enumerate(rows.records):
            places.setdefault(layout.partition(record, rows.item(place)), []).append(place)
    if len(places) == 1:
        yield next(iter(places)), table
        return
    for partition, chosen in places.items():
        yield partition, table.take(pa.array(chosen))
