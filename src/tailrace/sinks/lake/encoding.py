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
from tailrace.columns.batches import columnise
from tailrace.columns.schema import TableColumns
from tailrace.errors import ApiError, SettingsError, SinkError
from tailrace.ports import Failure, RecordBatch
from tailrace.sinks.lake.layout import DAY, DAY_US, LakeLayout
from tailrace.sinks.lake.parquet import parquet_bytes
from tailrace.sinks.lake.rows import DELETED, OPS, SCANNED, rows_of
from tailrace.sinks.messages import Failures
from tailrace.streams.record import ChangeRecord, image
from tailrace.values.types import Item


class LakeRow(Struct, frozen=True, gc=False):
    """A change that becomes a row of an entity. Shape: `item` of a deletion is its key."""

    record: ChangeRecord
    item: Item
    op: str


NO_IMAGE: Final = "a lake needs the new image: the stream's view type has none"
Rows: TypeAlias = dict[str, list[LakeRow]]
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
        rows_of_all = _images(batch, failures)
        return {layout.entity_of({}): rows_of_all} if rows_of_all else {}
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
        for entity, row in _rows(batch, layout, record, new, known):
            rows.setdefault(entity, []).append(row)
    return rows


def _images(batch: RecordBatch, failures: Failures) -> list[LakeRow]:
    """The rows of changes of one entity as they are: what most batches are."""
    loads, snapshot = orjson.loads, batch.is_snapshot
    rows: list[LakeRow] = []
    for place, record in enumerate(batch.records):
        new = record.new
        if record.event_name == "REMOVE":
            if not failures.holds_back(record):
                rows.append(LakeRow(record, loads(record.keys), DELETED))
        elif new is None:
            failures.add_record(place, record, Failure(error=NO_IMAGE))
        elif not failures.holds_back(record):
            rows.append(LakeRow(record, loads(new), SCANNED if snapshot else OPS[record.event_name]))
    return rows


def _rows(
    batch: RecordBatch, layout: LakeLayout, record: ChangeRecord, new: Item | None, known: Sequence[str]
) -> Iterator[tuple[str, LakeRow]]:
    keys = image(record.keys) or {}
    op = SCANNED if batch.is_snapshot and new is not None else OPS[record.event_name]
    old = None if layout.entities is None else image(record.old)
    if new is not None:
        yield layout.entity_of(new), LakeRow(record, new, op)
    elif old is not None or layout.entities is None or layout.entities.is_told_by_keys():
        yield layout.entity_of(old or keys), LakeRow(record, keys, op)
    left = layout.left(record, old, new, known) if new is not None or old is None else ()
    for entity in left:
        yield entity, LakeRow(record, keys, DELETED)


def encoded_files(rows: Rows, layout: LakeLayout, tables: Mapping[str, TableColumns]) -> list[EncodedFile]:
    """The files of these rows, over columns that have grown as they need. Blocks."""
    known = dict(tables)
    files: list[EncodedFile] = []
    for entity, entity_rows in rows.items():
        if entity not in known:
            keys = tuple(orjson.loads(entity_rows[0].record.keys))
            known[entity] = layout.new_columns(entity, keys, known)
        batch = columnise(known[entity], [row.item for row in entity_rows])
        known[entity] = batch.table
        table = rows_of([row.record for row in entity_rows], [row.op for row in entity_rows], batch)
        for partition, part in _partitioned(table, entity_rows, layout):
            name = layout.log_part(batch.table, partition)
            files.append(EncodedFile(name, parquet_bytes(part, is_sorted=False), part.num_rows, batch.table))
    return files


def _partitioned(
    table: pa.Table, rows: Sequence[LakeRow], layout: LakeLayout
) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each partition, in their order."""
    if layout.is_merged or not layout.settings.partition_by:
        yield "", table
        return
    places: dict[str, list[int]] = {}
    if layout.settings.partition_by == (DAY,) and len({row.record.created_us // DAY_US for row in rows}) == 1:
        places[layout.partition(rows[0].record, rows[0].item)] = []
    else:
        for place, row in enumerate(rows):
            places.setdefault(layout.partition(row.record, row.item), []).append(place)
    if len(places) == 1:
        yield next(iter(places)), table
        return
    for partition, chosen in places.items():
        yield partition, table.take(pa.array(chosen))
