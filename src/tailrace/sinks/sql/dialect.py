"""What databases that speak SQL do otherwise: types, names, locks, views, and how newer rows replace older.

Theory of operation: the core says what is wanted in statements that every database takes, and asks the
dialect for the rest. The columns of Tailrace come first in a table of rows: `tailrace_key` (the record's key
bytes, the primary key), `tailrace_version` (its text, compared as a text), `tailrace_deleted`,
`tailrace_changed_us`, `_extra`; then those of attributes in the order in which they came.
Rules of this file: words of SQL, no connection. What is here is what two databases share.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from tailrace.columns.batches import ColumnBatch
from tailrace.columns.kinds import Family, Kind
from tailrace.columns.naming import EXTRA, Naming
from tailrace.columns.schema import AddColumn, ColumnChange, TableColumns, WidenColumn
from tailrace.sinks.sql.statements import Ask, Load, StagedColumn, Steps
from tailrace.streams.version import Version
from tailrace.values.types import Item

KEY: Final = "tailrace_key"
VERSION: Final = "tailrace_version"
DELETED: Final = "tailrace_deleted"
CHANGED: Final = "tailrace_changed_us"
CHANGED_AT: Final = "tailrace_changed_at"
ROWS: Final = "_all"
"""Of the table beside a view: `orders_all` has the rows of `orders`, deleted ones too."""
NEWER: Final = f"t.{VERSION} < EXCLUDED.{VERSION}"
ALWAYS: Final = "TRUE"
"""The guards of `put`."""
NONE_THERE: Final = ""
"""No guard: rows are loaded as new ones, and one that is there takes all of it back."""
STAGED: Final = "tailrace_staged"
"""What the names of staging tables begin with."""


class SqlDialect:
    """One database's SQL. Override what it does otherwise."""

    mark: ClassVar[str] = "?"
    """Stands for a parameter."""
    naming: ClassVar[Naming] = Naming()
    families: ClassVar[Mapping[Family, str]]
    """Types of columns by what is in them; a decimal's may have a `{scale}`."""
    key_type: ClassVar[str]
    version_type: ClassVar[str]
    text_type: ClassVar[str]
    for_update: ClassVar[str] = ""
    """Ends a SELECT of rows that nobody else may change before the transaction ends."""
    loads_new: ClassVar[bool] = False
    """Whether it carries out `LoadNew`."""
    changed_at: ClassVar[str]
    """A time of `tailrace_changed_us`."""

    def __init__(self, schema: str = "") -> None:
        self.schema = schema

    # ---- names and types -----------------------------------------------------------------------------------

    def quoted(self, name: str) -> str:
        """A name as SQL takes it, whatever is in it."""
        return '"' + name.replace('"', '""') + '"'

    def place(self, table: str) -> str:
        """A table or view, in the sink's schema."""
        return f"{self.quoted(self.schema)}.{self.quoted(table)}" if self.schema else self.quoted(table)

    def rows(self, table: TableColumns) -> str:
        """The table with the rows of a view."""
        return self.place(table.name + ROWS)

    def type_of(self, kind: Kind) -> str:
        """The type of a column."""
        return self.families[kind.family].format(scale=kind.scale)

    def own_columns(self) -> list[tuple[str, str, Family]]:
        """Tailrace's columns of a table of rows: names, types, and what is in them."""
        return [
            (KEY, self.key_type, "binary"),
            (VERSION, self.version_type, "text"),
            (DELETED, self.families["bool"], "bool"),
            (CHANGED, self.families["int64"], "int64"),
            (EXTRA, self.families["json"], "json"),
        ]

    def columns_of(self, table: str) -> Ask:
        """Names and types of a table's or a view's columns, in their order; none where there is none."""
        return Ask(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = "
            f"{self.schema_value} AND table_name = {self.mark} ORDER BY ordinal_position",
            [table],
        )

    @property
    def schema_value(self) -> str:
        """The sink's schema as a value of SQL."""
        return "'" + self.schema.replace("'", "''").replace("%", self.percent) + "'"

    percent: ClassVar[str] = "%"
    """How a statement with parameters writes it."""

    # ---- making tables -------------------------------------------------------------------------------------

    def made(self, table: TableColumns) -> Iterable[str]:
        """Make a table of rows that is not there."""
        own = [f"{self.quoted(name)} {type_}" for name, type_, _ in self.own_columns()]
        own += [f"{self.quoted(column.name)} {self.type_of(column.kind)}" for column in table.stored]
        yield f"CREATE TABLE {self.rows(table)} ({', '.join(own)}, PRIMARY KEY ({KEY}))"

    def grown(self, table: TableColumns, changes: Sequence[ColumnChange]) -> Steps[None]:
        """Let a table of rows have more columns, or wider ones, and its view show them."""
        yield from self._altered(table, changes)
        yield from self.shown(table)

    def _altered(self, table: TableColumns, changes: Sequence[ColumnChange]) -> Steps[None]:
        for change in changes:
            if isinstance(change, AddColumn):
                column = change.column
                yield Ask(
                    f"ALTER TABLE {self.rows(table)} ADD COLUMN {self.quoted(column.name)} "
                    f"{self.type_of(column.kind)}"
                )
            elif self.type_of(change.older) != self.type_of(change.column.kind):
                yield Ask(self.widened(table, change))

    def widened(self, table: TableColumns, change: WidenColumn) -> str:
        """Give a column a wider type."""
        raise NotImplementedError

    def shown(self, table: TableColumns, order: Sequence[str] = ()) -> Steps[None]:
        """Make or replace the view of a table's rows that are there. Columns keep their places in it; `order`
        has those of a view that was taken away.
        """
        there = [*order] or [name for name, _ in (yield self.columns_of(table.name))]
        yield Ask(f"CREATE OR REPLACE VIEW {self.viewed(table, there)}")

    def viewed(self, table: TableColumns, there: Sequence[str]) -> str:
        """What follows CREATE VIEW. Shape: `there` are the columns that the view has."""
        wanted = [column.name for column in table.stored]
        wanted += [name for name in (EXTRA, VERSION, CHANGED_AT) if not there]
        names = [*there, *(name for name in wanted if name not in there)]
        shown = ", ".join(
            f"{self.changed_at} AS {CHANGED_AT}" if name == CHANGED_AT else self.quoted(name)
            for name in names
        )
        return f"{self.place(table.name)} AS SELECT {shown} FROM {self.rows(table)} WHERE NOT {DELETED}"

    # ---- rows ----------------------------------------------------------------------------------------------

    def fitted(self, batch: ColumnBatch) -> ColumnBatch:
        """A batch whose values the database has room for: what is too long for its column is in `extra`."""
        return batch

    def staged(self, columns: Sequence[StagedColumn]) -> Sequence[StagedColumn]:
        """Columns with the types that they are staged with."""
        return columns

    def put(self, table: str, staged: str, columns: Sequence[StagedColumn], guard: str) -> Iterable[str]:
        """Write staged rows where `guard` holds between the row there (`t`) and the new one (`EXCLUDED`), in
        the order of their keys. Shape: `columns` are those that were staged, the key's first.
        """
        quoted = [self.quoted(column.name) for column in columns]
        names = ", ".join(quoted)
        sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in quoted[1:])
        yield (
            f"INSERT INTO {table} AS t ({names}) SELECT {names} FROM {staged} ORDER BY {KEY} "
            f"ON CONFLICT ({KEY}) DO UPDATE SET {sets} WHERE {guard}"
        )

    def swept(
        self, table: TableColumns, keys: Sequence[bytes], below: Version, tombstone: Version, now_us: int
    ) -> Steps[None]:
        """Delete the rows that are shown and older than a version, from the first of these keys to the last:
        they are all of them.
        """
        mark = self.mark
        nothing = "".join(f", {self.quoted(column.name)} = NULL" for column in table.stored)
        yield Ask(
            f"UPDATE {self.rows(table)} SET {DELETED} = TRUE, {VERSION} = {mark}, {CHANGED} = {mark}, "
            f"{EXTRA} = NULL{nothing} WHERE {KEY} >= {mark} AND {KEY} <= {mark} AND NOT {DELETED} "
            f"AND {VERSION} < {mark}",
            [tombstone.text, now_us, keys[0], keys[-1], below.text],
        )

    def claimed(
        self, table: str, columns: Sequence[StagedColumn], guard: str
    ) -> Steps[dict[bytes, str | None]]:
        """Say of keys which entity their rows are of, where the guard holds. Shape: `columns` are key,
        version and entity. Returns: of the keys that were put, the other entity that they leave.
        """
        yield Load(f"{STAGED}_0", [columns])
        taken = yield Ask(
            f"INSERT INTO {table} AS t ({KEY}, {VERSION}, entity) SELECT {KEY}, {VERSION}, entity "
            f"FROM {STAGED}_0 ORDER BY {KEY} ON CONFLICT ({KEY}) DO UPDATE SET {VERSION} = "
            f"EXCLUDED.{VERSION}, before = CASE WHEN t.entity <> EXCLUDED.entity THEN t.entity END, "
            f"entity = EXCLUDED.entity WHERE {guard} RETURNING {KEY}, before"
        )
        return {self.read("binary", key): entity for key, entity in taken}

    def unless_there(self, table: str, keys: Mapping[str, Any], others: Mapping[str, Any]) -> Steps[None]:
        """Insert a row unless one with these keys is there, from another transaction perhaps."""
        names = [*keys, *others]
        yield Ask(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join([self.mark] * len(names))}) "
            f"ON CONFLICT ({', '.join(keys)}) DO NOTHING",
            [*keys.values(), *others.values()],
        )

    def versions(self, table: str, keys: Sequence[bytes]) -> Steps[list[tuple[bytes, str]]]:
        """Keys and versions of those of these rows that are there."""
        yield Load(f"{STAGED}_0", [[StagedColumn(KEY, self.key_type, "binary", keys)]])
        rows = yield Ask(
            f"SELECT {KEY}, {VERSION} FROM {table} WHERE {KEY} IN (SELECT {KEY} FROM {STAGED}_0)"
        )
        return [(self.read("binary", key), version) for key, version in rows]

    def locked(self, name: str, *, alone: bool) -> Steps[None]:
        """Keep others from changing a sink's tables until the transaction ends; all others, when alone."""
        yield from ()

    # ---- values --------------------------------------------------------------------------------------------

    def shown_item(self, item: Item) -> Item:
        """An item as its row shows it, where that is not all of it (`columns/reading.py`)."""
        return item

    def read(self, family: Family, value: Any) -> Any:
        """A value as a column of `columns/` has it."""
        return value

    def asked(self, name: str, family: Family) -> str:
        """How a column is selected so that its values come exactly."""
        return self.quoted(name)
