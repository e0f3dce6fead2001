"""A mirror as it is compared with its table: rows, digests, what a scan has not seen, repairs, forgetting.

Theory of operation: a digest is of the item as its row shows it, whatever kinds its columns have: a column
that becomes wider changes none. What changes many rows at once has the sink's tables alone, in pages.
Rules of this file: steps of a transaction.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tailrace.columns.naming import EXTRA
from tailrace.columns.reading import digest_of, item_of_row
from tailrace.columns.schema import TableColumns
from tailrace.ports import SinkRow
from tailrace.sinks.sql.catalog import KEYS, SinkCatalog
from tailrace.sinks.sql.changes import KeyedChange
from tailrace.sinks.sql.dialect import ALWAYS, CHANGED, DELETED, KEY, STAGED, VERSION, SqlDialect
from tailrace.sinks.sql.statements import Ask, Load, StagedColumn, Steps
from tailrace.sinks.sql.writing import put
from tailrace.streams.version import Version
from tailrace.values.types import Item


def digest(dialect: SqlDialect, item: Item | None) -> bytes:
    """The digest of the row that shows this item; empty for a deleted one."""
    return b"" if item is None else digest_of(dialect.shown_item(item))


def rows_after(catalog: SinkCatalog, after: bytes, limit: int) -> Steps[list[SinkRow]]:
    """The next rows in the order of their keys, deleted ones too."""
    rows = yield from shown_after(catalog, after, limit)
    return [
        SinkRow(row.key, row.version, row.item is None, digest(catalog.dialect, row.item)) for row in rows
    ]


class ShownRow(Struct, frozen=True):
    """A row as its item. Shape: `item` as `columns/reading.py` reads it, None for a deleted one."""

    key: bytes
    version: Version
    item: Item | None


def shown_after(catalog: SinkCatalog, after: bytes, limit: int) -> Steps[list[ShownRow]]:
    """The next rows as items, in the order of their keys; of a key that several tables have the newest."""
    kept = yield from catalog.kept()
    newest: dict[bytes, ShownRow] = {}
    for table in kept.tables.values():
        for row in (yield from _page(catalog, table, after, limit)):
            there = newest.get(row.key)
            if there is None or (row.version, row.item is not None) > (there.version, there.item is not None):
                newest[row.key] = row
    return [newest[key] for key in sorted(newest)[:limit]]


def _page(catalog: SinkCatalog, table: TableColumns, after: bytes, limit: int) -> Steps[list[ShownRow]]:
    dialect = catalog.dialect
    shown = [dialect.asked(column.name, column.kind.family) for column in table.stored]
    names = ", ".join([KEY, VERSION, DELETED, dialect.asked(EXTRA, "json"), *shown])
    mark = dialect.mark
    page = yield Ask(
        f"SELECT {names} FROM {dialect.rows(table)} WHERE {KEY} > {mark} ORDER BY {KEY} LIMIT {mark}",
        [after, limit],
    )
    rows = []
    for key, version, is_deleted, extra, *values in page:
        read = [
            dialect.read(column.kind.family, value)
            for column, value in zip(table.stored, values, strict=True)
        ]
        item = None if is_deleted else item_of_row(table, read, dialect.read("json", extra))
        rows.append(ShownRow(dialect.read("binary", key), Version.from_text(version), item))
    return rows


def swept(
    catalog: SinkCatalog,
    keys: tuple[bytes, bytes | None],
    below: Version,
    tombstone: Version,
    limit: int,
    now_us: int,
) -> Steps[int]:
    """Delete what is shown below a version, of keys from the first to before the last one; needs to be alone.
    Returns: how many.
    """
    kept = yield from catalog.kept()
    dialect, mark, gone = catalog.dialect, catalog.dialect.mark, 0
    for table in kept.tables.values():
        rows = dialect.rows(table)
        inside, bounds = f"{KEY} >= {mark}", [keys[0]]
        if keys[1] is not None:
            inside, bounds = f"{inside} AND {KEY} < {mark}", [keys[0], keys[1]]
        old = f"NOT {DELETED} AND {VERSION} < {mark}"
        page = yield from _first_keys(
            dialect, rows, f"{inside} AND {old}", [*bounds, below.text], limit - gone
        )
        if not page:
            continue
        yield from dialect.swept(table, page, below, tombstone, now_us)
        if not catalog.name:
            yield from _staged_keys(catalog, page)
            yield Ask(
                f"UPDATE {dialect.place(KEYS)} SET {VERSION} = {mark}, entity = '', before = NULL "
                f"WHERE {KEY} IN (SELECT {KEY} FROM {STAGED}_0)",
                [tombstone.text],
            )
        gone += len(page)
        if gone == limit:
            break
    return gone


def mended(
    catalog: SinkCatalog, rows: Sequence[KeyedChange], seen: Sequence[Version | None], source: str
) -> Steps[list[bool]]:
    """Write rows whose version there is the one that was seen; needs to be alone. Returns: which."""
    kept = yield from catalog.kept()
    there: dict[bytes, Version] = {}
    dialect, keys = catalog.dialect, [row.key for row in rows]
    for table in kept.tables.values():
        for key, text in (yield from dialect.versions(dialect.rows(table), keys)):
            version = Version.from_text(text)
            there[key] = max(version, there.get(key, version))
    matching = [there.get(row.key) == version for row, version in zip(rows, seen, strict=True)]
    chosen = [row for row, matches in zip(rows, matching, strict=True) if matches]
    yield from put(catalog, sorted(chosen, key=lambda row: row.key), source, alone=True, guard=ALWAYS)
    return matching


def forgotten(catalog: SinkCatalog, before_us: int, limit: int) -> Steps[int]:
    """Take away rows that were deleted before then; needs to be alone. Returns: how many."""
    kept = yield from catalog.kept()
    dialect, mark, gone = catalog.dialect, catalog.dialect.mark, 0
    for table in kept.tables.values():
        rows = dialect.rows(table)
        old = f"{DELETED} AND {CHANGED} < {mark}"
        page = yield from _first_keys(dialect, rows, old, [before_us], limit - gone)
        if not page:
            continue
        yield Ask(
            f"DELETE FROM {rows} WHERE {KEY} >= {mark} AND {KEY} <= {mark} AND {old}",
            [page[0], page[-1], before_us],
        )
        gone += len(page)
        if not catalog.name:
            yield from _staged_keys(catalog, page)
            yield from _forget_keys(catalog, list(kept.tables.values()))
        if gone == limit:
            break
    return gone


def _forget_keys(catalog: SinkCatalog, tables: Sequence[TableColumns]) -> Steps[None]:
    """Of the staged keys those that no table has any more."""
    dialect = catalog.dialect
    there = "".join(
        f" AND {KEY} NOT IN (SELECT {KEY} FROM {dialect.rows(table)} WHERE {KEY} IN "
        f"(SELECT {KEY} FROM {STAGED}_0))"
        for table in tables
    )
    yield Ask(
        f"DELETE FROM {dialect.place(KEYS)} WHERE entity = '' AND {KEY} IN "
        f"(SELECT {KEY} FROM {STAGED}_0){there}"
    )


def _first_keys(
    dialect: SqlDialect, rows: str, condition: str, values: Sequence[Any], limit: int
) -> Steps[list[bytes]]:
    """The first keys of rows of which a condition holds, in their order."""
    mark = dialect.mark
    page = yield Ask(
        f"SELECT {KEY} FROM {rows} WHERE {condition} ORDER BY {KEY} LIMIT {mark}", [*values, limit]
    )
    return [dialect.read("binary", key) for (key,) in page]


def _staged_keys(catalog: SinkCatalog, keys: Sequence[bytes]) -> Steps[None]:
    yield Load(f"{STAGED}_0", [[StagedColumn(KEY, catalog.dialect.key_type, "binary", keys)]])
