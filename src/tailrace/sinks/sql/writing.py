"""Writing rows: staged, and put where they are newer than what is there.

Theory of operation: the rows of a transaction are loaded into staging tables and put with one statement a
table, whose guard the database asks under the row's lock: so two writers of a key agree, whichever comes
first, and a scan's row never passes a deletion. Of several tables, one an entity, an item's row is in one:
`tailrace_keys` has the version of each key and says where its row is; a change is put there first, by the
same guard, and only what it took goes on. A row that leaves a table for another is deleted there as of the
change's version. Rows that are new are loaded into the table at once: its primary key is the guard.
Rules of this file: steps of a transaction. Tables in the order of their entities, rows in that of their keys.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tailrace.columns.batches import columnise
from tailrace.columns.entities import EntitySorter
from tailrace.columns.images import columnise_images
from tailrace.columns.naming import EXTRA, OTHER
from tailrace.columns.schema import TableColumns
from tailrace.sinks.sql.catalog import KEYS, Kept, SinkCatalog
from tailrace.sinks.sql.changes import KeyedChange
from tailrace.sinks.sql.dialect import CHANGED, DELETED, KEY, NEWER, NONE_THERE, STAGED, VERSION, SqlDialect
from tailrace.sinks.sql.statements import Ask, Load, LoadNew, MustBeAlone, Parts, StagedColumn, Steps
from tailrace.streams.version import GENERATION_DIGITS, SEQUENCE_DIGITS, Version, check_width

AT_ONCE: Final = 1_000
"""Rows that are put in columns and given to the target before the next ones."""


def put(
    catalog: SinkCatalog, rows: Sequence[KeyedChange], source: str, *, alone: bool, guard: str = NEWER
) -> Steps[Mapping[str, int]]:
    """Write rows, those of one key once. Returns: what had no place in its column, by attribute: how often.

    Shape:   `source` is the DynamoDB table; `guard` one of dialect.py's. Raises: MustBeAlone, NotNew,
             SettingsError.
    """
    if not rows:
        return {}
    kept = yield from catalog.kept()
    rows = rows if catalog.name else [row.decoded() for row in rows]
    items = [row.item for row in rows if row.item is not None]
    entities = yield from catalog.entities(kept, source, tuple(rows[0].keys), items, alone=alone)
    if catalog.name:
        parts = {catalog.name: list(rows)}
    else:
        parts = yield from _claimed(catalog, entities, rows, guard)
    tables, conflicts = dict(kept.tables), Counter[str]()
    for number, entity in enumerate(sorted(parts), 1):
        table = catalog.table(tables, entities, entity)
        tables[entity] = yield from _put_part(
            catalog, kept, table, parts[entity], f"{STAGED}_{number}", conflicts, alone=alone, guard=guard
        )
    return conflicts


def _put_part(
    catalog: SinkCatalog,
    kept: Kept,
    table: TableColumns,
    rows: Sequence[KeyedChange],
    staged: str,
    conflicts: Counter[str],
    *,
    alone: bool,
    guard: str,
) -> Steps[TableColumns]:
    dialect = catalog.dialect
    if alone or kept.tables.get(table.entity) != table:
        table, columns = _loaded(dialect, table, rows, conflicts)
        yield from catalog.grown(kept, table, alone=alone)
        parts: Parts = [columns]
    else:
        _, columns = _loaded(dialect, table, (), conflicts)
        parts = _parts(dialect, table, rows, conflicts)
    if guard == NONE_THERE:
        yield LoadNew(dialect.rows(table), parts)
        return table
    yield Load(staged, parts)
    for statement in dialect.put(dialect.rows(table), staged, columns, guard):
        yield Ask(statement)
    return table


def _parts(
    dialect: SqlDialect, table: TableColumns, rows: Sequence[KeyedChange], conflicts: Counter[str]
) -> Iterator[Sequence[StagedColumn]]:
    """Rows in columns that the target has. Raises: MustBeAlone when it must have others."""
    for first in range(0, len(rows), AT_ONCE):
        grown, columns = _loaded(dialect, table, rows[first : first + AT_ONCE], conflicts)
        if grown != table:
            raise MustBeAlone
        yield columns


def _loaded(
    dialect: SqlDialect, table: TableColumns, rows: Sequence[KeyedChange], conflicts: Counter[str]
) -> tuple[TableColumns, Sequence[StagedColumn]]:
    """Rows in columns, deletions behind the others, and the table that they need."""
    images = [row.record.new or b"" for row in rows if row.is_image]
    gone: Sequence[KeyedChange] = ()
    if len(images) < len(rows):
        gone = [row for row in rows if row.is_deletion]
        rows = [row for row in rows if not row.is_deletion]
    if len(images) == len(rows):
        batch = columnise_images(table, images)
    else:
        batch = columnise(table, [row.decoded().item or {} for row in rows])
    batch = dialect.fitted(batch)
    conflicts.update(batch.conflicts)
    there, ordered, nothing = len(rows), [*rows, *gone], [None] * len(gone)
    own: Mapping[str, Sequence[Any]] = {
        KEY: [row.key for row in ordered],
        VERSION: _versions(ordered),
        DELETED: [False] * there + [True] * len(gone),
        CHANGED: [row.record.created_us for row in ordered],
        EXTRA: [*batch.extra, *nothing],
    }
    columns = [StagedColumn(name, type_, family, own[name]) for name, type_, family in dialect.own_columns()]
    columns += [
        StagedColumn(column.name, dialect.type_of(column.kind), column.kind.family, [*values, *nothing])
        for column, values in zip(batch.table.stored, batch.values, strict=True)
    ]
    return batch.table, dialect.staged(columns)


def _versions(rows: Sequence[KeyedChange]) -> list[str]:
    """Texts of the versions. Raises: SourceError for one that is too wide."""
    generations = [row.record.generation for row in rows]
    sequences = [row.record.rank or row.record.sequence for row in rows]
    check_width(Version(max(generations, default=0), max(sequences, default=0)))
    prefixes = {generation: f"{generation:0{GENERATION_DIGITS}d}" for generation in set(generations)}
    return [
        prefixes[generation] + str(sequence).rjust(SEQUENCE_DIGITS, "0")
        for generation, sequence in zip(generations, sequences, strict=True)
    ]


def _claimed(
    catalog: SinkCatalog, entities: EntitySorter, rows: Sequence[KeyedChange], guard: str
) -> Steps[dict[str, list[KeyedChange]]]:
    """The rows to be put by entity: those that are newer than what their keys have, wherever that is."""
    names = ["" if row.item is None else entities.of(row.item) for row in rows]
    dialect = catalog.dialect
    columns = [
        StagedColumn(KEY, dialect.key_type, "binary", [row.key for row in rows]),
        StagedColumn(VERSION, dialect.version_type, "text", _versions(rows)),
        StagedColumn("entity", dialect.text_type, "text", names),
    ]
    if guard == NONE_THERE:
        yield LoadNew(dialect.place(KEYS), [columns])
        before = dict.fromkeys([row.key for row in rows])
    else:
        before = yield from dialect.claimed(dialect.place(KEYS), columns, guard)
    parts: dict[str, list[KeyedChange]] = {}
    for row, name in zip(rows, names, strict=True):
        if row.key not in before:
            continue
        left = before[row.key]
        if name:
            parts.setdefault(name, []).append(row)
        if left or not name:
            gone = KeyedChange(row.key, row.record, None, row.place)
            parts.setdefault(left or OTHER, []).append(gone)
    return parts
