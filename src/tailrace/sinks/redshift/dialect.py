"""Redshift's SQL: statements with their values inside, as both of its doors take them.

Theory of operation: it has no ON CONFLICT, no RETURNING and no row locks, and no key is unique but by our own
doing. So one transaction at a time changes the sinks of a schema: it locks `tailrace_lock` first, before
anything makes its snapshot. Rows are loaded from S3 into a temporary table; those that are not newer than the
target's are deleted there, and what is left is merged: MERGE takes no condition and no subquery. What must be
known is read before anything is written, never from a table of the same transaction: the Data API carries a
transaction out as one list of statements.
A column cannot get another type: the table is copied into a new one, which takes its name; so it is done
where many columns come at once. A view cannot get another column: it is made anew, with its grants. Names
are lower case, as Redshift folds them.
Rules of this file: words of SQL; only what Redshift's documentation has (tests check each statement against
it). No server of Redshift has ever run them: docs/redshift.md. Decision 73.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, ClassVar, Final

import orjson
from msgspec.structs import replace

from tailrace.columns.batches import ColumnBatch
from tailrace.columns.kinds import Family, Kind
from tailrace.columns.naming import EXTRA, Naming
from tailrace.columns.reading import attribute_of
from tailrace.columns.schema import AddColumn, ColumnChange, TableColumns, WidenColumn
from tailrace.columns.values import extra_text, json_with_nul, with_nul
from tailrace.sinks.redshift.values import (
    NESTED,
    TEXT_BYTES,
    as_super,
    is_long_binary,
    is_long_text,
    keys_in_pages,
    literal,
    marks,
    super_text,
)
from tailrace.sinks.sql.dialect import ALWAYS, KEY, ROWS, STAGED, VERSION, SqlDialect
from tailrace.sinks.sql.statements import Ask, Load, Rows, StagedColumn, Steps
from tailrace.values.types import Item

NAME_BYTES: Final = 127
COLUMNS: Final = 400
"""Of one table; Redshift has room for 1,600. A statement of the Data API has 100,000 bytes at most."""
KEY_BYTES: Final = 16_384
"""Of `tailrace_key`, in hexadecimal digits: DynamoDB's keys have 3,072 bytes, and a zero byte is two."""
LARGEST_SCALE: Final = 37
"""Of a DECIMAL; one that needs more is a text."""
MOST_ADDED: Final = 8
"""Columns that are added to a table; where more come at once it is copied: a transaction of the Data API has
40 statements at most.
"""
WIDER: Final = "tailrace_wider"
"""The name of a table until it takes another one's."""
LOCK: Final = "tailrace_lock"
JSON_NULL: Final = "\N{SYMBOL FOR NULL}N"
"""Stands for NULL where COPY wants a word for it: no text has it, for what follows U+2400 in texts is never
N.
"""


class RedshiftDialect(SqlDialect):
    """Redshift's SQL.

    Shape:   `can_parquet`: rows are staged in Parquet where they fit, else all of them as JSON lines. `role`
             is the ARN of the IAM role that COPY reads with, or `default`.
    """

    mark = "%s"
    percent = "%%"
    naming = Naming(longest=NAME_BYTES - len(ROWS), columns=COLUMNS, folds=True)
    families: ClassVar = {
        "bool": "BOOLEAN",
        "int64": "BIGINT",
        "decimal": "DECIMAL(38,{scale})",
        "digits": "VARCHAR(256)",
        "text": f"VARCHAR({TEXT_BYTES})",
        "binary": "VARBYTE(65535)",
        "json": "SUPER",
    }
    key_type = f"VARCHAR({KEY_BYTES})"
    version_type = "VARCHAR(66)"
    text_type = f"VARCHAR({TEXT_BYTES})"
    changed_at = "TIMESTAMP 'epoch' + tailrace_changed_us * INTERVAL '1 microsecond'"

    def __init__(self, schema: str, role: str, *, can_parquet: bool) -> None:
        super().__init__(schema)
        self._role = role
        self._can_parquet = can_parquet

    def type_of(self, kind: Kind) -> str:
        """The type of a column."""
        if kind.family == "decimal" and kind.scale > LARGEST_SCALE:
            return str(self.families["digits"])
        return super().type_of(kind)

    def columns_of(self, table: str) -> Ask:
        """Names and types of a table's or a view's columns, in their order; none where there is none."""
        return Ask(
            "SELECT column_name, data_type FROM svv_columns WHERE table_schema = "
            f"{self.schema_value} AND table_name = %s ORDER BY ordinal_position",
            [table],
        )

    # ---- one transaction at a time -------------------------------------------------------------------------

    @property
    def lock_table(self) -> str:
        """The table that is locked. Its only row has the number of the last transaction that changed a sink
        of this schema.
        """
        return self.place(LOCK)

    def lock_made(self) -> Iterable[str]:
        """Make it: each in a transaction of its own, the second one behind the lock."""
        table = self.lock_table
        yield f"CREATE TABLE IF NOT EXISTS {table} (turn BIGINT)"
        yield (f"INSERT INTO {table} (turn) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM {table})")

    def lock(self) -> str:
        """The first statement of a transaction."""
        return f"LOCK {self.lock_table}"

    def turn(self) -> str:
        """Asks for the number of the last transaction."""
        return f"SELECT MAX(turn) FROM {self.lock_table}"

    def taken_turn(self, before: int | None = None) -> str:
        """Number this transaction. It fails unless the last one's number is still that (a division by zero),
        where one is given.
        """
        if before is None:
            return f"UPDATE {self.lock_table} SET turn = turn + 1"
        is_it = f"CASE WHEN turn = {before} THEN 1 ELSE 0 END"
        return f"UPDATE {self.lock_table} SET turn = {before + 1} / {is_it}"

    def taken_back(self) -> str:
        """Fails: the end of a transaction that was only tried."""
        return f"UPDATE {self.lock_table} SET turn = turn / (turn - turn)"

    # ---- making tables -------------------------------------------------------------------------------------

    def made(self, table: TableColumns) -> Iterable[str]:
        """Make a table of rows that is not there. No key is declared: the planner would believe it."""
        own = [
            f"{self.quoted(name)} {type_}{' NOT NULL' if name in (KEY, VERSION) else ''}"
            for name, type_, _ in self.own_columns()
        ]
        own += [f"{self.quoted(column.name)} {self.type_of(column.kind)}" for column in table.stored]
        yield f"CREATE TABLE {self.rows(table)} ({', '.join(own)}) DISTKEY ({KEY}) SORTKEY ({KEY})"

    def grown(self, table: TableColumns, changes: Sequence[ColumnChange]) -> Steps[None]:
        """The view goes, and comes back with its grants."""
        order = [name for name, _ in (yield self.columns_of(table.name))]
        grants = yield Ask(
            "SELECT identity_type, identity_name, privilege_type FROM svv_relation_privileges WHERE "
            f"namespace_name = {self.schema_value} AND relation_name = %s AND identity_name <> current_user "
            "ORDER BY identity_type, identity_name, privilege_type",
            [table.name],
        )
        yield Ask(f"DROP VIEW {self.place(table.name)}")
        if self._is_copied(changes):
            for statement in self._copied(table, changes):
                yield Ask(statement)
        else:
            yield from self._altered(table, [change for change in changes if isinstance(change, AddColumn)])
        yield Ask(f"CREATE VIEW {self.viewed(table, order)}")
        for statement in self._granted(table, grants):
            yield Ask(statement)

    def _is_copied(self, changes: Sequence[ColumnChange]) -> bool:
        added = [change for change in changes if isinstance(change, AddColumn)]
        return len(added) > MOST_ADDED or any(
            self.type_of(change.older) != self.type_of(change.column.kind)
            for change in changes
            if isinstance(change, WidenColumn)
        )

    def _copied(self, table: TableColumns, changes: Sequence[ColumnChange]) -> Iterable[str]:
        """A table of rows with these columns in the place of the one with the older ones."""
        wider = TableColumns(WIDER, table.entity, table.keys, table.columns)
        yield from self.made(wider)
        older = {change.column.name: change for change in changes}
        names, values = (
            [name for name, _, _ in self.own_columns()],
            [name for name, _, _ in self.own_columns()],
        )
        for column in table.stored:
            change = older.get(column.name)
            if not isinstance(change, AddColumn):
                names.append(self.quoted(column.name))
                values.append(self._widened(column.name, column.kind, change))
        yield (
            f"INSERT INTO {self.rows(wider)} ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM {self.rows(table)}"
        )
        yield f"DROP TABLE {self.rows(table)}"
        yield f"ALTER TABLE {self.rows(wider)} RENAME TO {self.quoted(table.name + ROWS)}"

    def _widened(self, name: str, kind: Kind, change: WidenColumn | None) -> str:
        """A column as a value of its new type; numbers that become texts lose the zeros at their ends."""
        type_, value = self.type_of(kind), self.quoted(name)
        if change is None or self.type_of(change.older) == type_:
            return value
        value = f"CAST({value} AS {type_})"
        if type_ != self.families["digits"]:
            return value
        trimmed = f"RTRIM(RTRIM({value}, '0'), '.')"
        return f"CASE WHEN POSITION('.' IN {value}) > 0 THEN {trimmed} ELSE {value} END"

    def shown(self, table: TableColumns, order: Sequence[str] = ()) -> Steps[None]:
        """Make the view of a table's rows that are there; it is not there yet."""
        yield Ask(f"CREATE VIEW {self.viewed(table, order)}")

    def _granted(self, table: TableColumns, grants: Rows) -> Iterable[str]:
        """A statement a privilege."""
        whom: dict[str, list[str]] = {}
        for type_, name, privilege in grants:
            kind = {"role": "ROLE ", "group": "GROUP "}.get(type_, "")
            whom.setdefault(privilege, []).append("PUBLIC" if type_ == "public" else kind + self.quoted(name))
        for privilege, names in whom.items():
            yield f"GRANT {privilege} ON {self.place(table.name)} TO {', '.join(names)}"

    # ---- rows ----------------------------------------------------------------------------------------------

    def fitted(self, batch: ColumnBatch) -> ColumnBatch:
        """What is longer than a column stands in `_extra`: a text, the hexadecimal digits of a binary."""
        columns, extra, conflicts = list(batch.values), list(batch.extra), dict(batch.conflicts)
        for place, column in enumerate(batch.table.stored):
            if column.kind.family not in ("text", "binary"):
                continue
            is_long = is_long_text if column.kind.family == "text" else is_long_binary
            long = [row for row, value in enumerate(columns[place]) if value is not None and is_long(value)]
            if not long:
                continue
            values = list(columns[place])
            for row in long:
                left = orjson.loads(extra[row] or "{}")
                extra[row] = extra_text({**left, column.attribute: attribute_of(values[row])})
                values[row] = None
            columns[place] = values
            conflicts[column.attribute] = conflicts.get(column.attribute, 0) + len(long)
        return replace(batch, values=tuple(columns), extra=extra, conflicts=conflicts)

    def staged(self, columns: Sequence[StagedColumn]) -> Sequence[StagedColumn]:
        """As Parquet has them: JSON is a text, which JSON_PARSE reads. JSON that is too long for a text makes
        all of it JSON lines, which COPY reads into SUPER itself.
        """
        columns = [
            replace(column, values=[text and super_text(text) for text in column.values])
            if column.family == "json" and column.name != EXTRA
            else column
            for column in columns
        ]
        texts = chain.from_iterable(column.values for column in columns if column.family == "json")
        is_text = self._can_parquet and not any(text is not None and is_long_text(text) for text in texts)
        types = {"json": f"VARCHAR({TEXT_BYTES})" if is_text else "SUPER", "binary": f"VARCHAR({TEXT_BYTES})"}
        return [
            column if column.name == KEY else replace(column, type=types.get(column.family, column.type))
            for column in columns
        ]

    def loaded(self, table: str, columns: Sequence[StagedColumn], url: str) -> Iterable[str]:
        """Make a staging table and fill it from S3."""
        types = ", ".join(f"{self.quoted(column.name)} {column.type}" for column in columns)
        yield f"CREATE TEMP TABLE {table} ({types}) DISTKEY ({KEY})"
        role = "default" if self._role == "default" else literal(self._role)
        begun = f"COPY {table} FROM {literal(url)} IAM_ROLE {role}"
        if self.is_parquet(columns):
            yield f"{begun} FORMAT AS PARQUET STATUPDATE OFF"
        else:
            yield (f"{begun} FORMAT AS JSON 'auto' GZIP NULL AS '{JSON_NULL}' COMPUPDATE OFF STATUPDATE OFF")

    def is_parquet(self, columns: Sequence[StagedColumn]) -> bool:
        """Whether the file of these columns is Parquet, else JSON lines."""
        return self._can_parquet and all(column.type != "SUPER" for column in columns)

    def put(self, table: str, staged: str, columns: Sequence[StagedColumn], guard: str) -> Iterable[str]:
        """Delete what is not newer, and merge the others."""
        target = table[table.rindex(".") + 1 :]
        if guard != ALWAYS:
            yield (
                f"DELETE FROM {staged} USING {table} WHERE {staged}.{KEY} = {target}.{KEY} "
                f"AND {target}.{VERSION} >= {staged}.{VERSION}"
            )
        names = [self.quoted(column.name) for column in columns]
        values = [self._merged(staged, column) for column in columns]
        sets = ", ".join(f"{name} = {value}" for name, value in zip(names[1:], values[1:], strict=True))
        yield (
            f"MERGE INTO {table} USING {staged} ON {target}.{KEY} = {staged}.{KEY} "
            f"WHEN MATCHED THEN UPDATE SET {sets} "
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(values)})"
        )

    def _merged(self, staged: str, column: StagedColumn) -> str:
        value = f"{staged}.{self.quoted(column.name)}"
        if column.family == "json" and column.type != "SUPER":
            return f"JSON_PARSE({value})"
        return f"FROM_HEX({value})" if column.family == "binary" and column.name != KEY else value

    def claimed(
        self, table: str, columns: Sequence[StagedColumn], guard: str
    ) -> Steps[dict[bytes, str | None]]:
        """Read first, which the lock allows; then put those that are newer."""
        keys, versions, entities = (list(column.values) for column in columns)
        there: dict[bytes, tuple[str, str]] = {}
        for chosen in keys_in_pages(keys):
            rows = yield Ask(
                f"SELECT {KEY}, {VERSION}, entity FROM {table} WHERE {KEY} IN ({marks(chosen)})", chosen
            )
            there |= {self.read("binary", key): (version, entity) for key, version, entity in rows}
        taken = [
            place
            for place, key in enumerate(keys)
            if guard == ALWAYS or key not in there or there[key][0] < versions[place]
        ]
        left = {}
        for place in taken:
            _, entity = there.get(keys[place], ("", None))
            left[keys[place]] = None if entity == entities[place] else entity
        if taken:
            before = StagedColumn("before", self.text_type, "text", list(left.values()))
            chosen_columns = [
                replace(column, values=[column.values[place] for place in taken]) for column in columns
            ]
            loaded = [*chosen_columns, before]
            yield Load(f"{STAGED}_0", [loaded])
            for statement in self.put(table, f"{STAGED}_0", loaded, ALWAYS):
                yield Ask(statement)
        return left

    def unless_there(self, table: str, keys: Mapping[str, Any], others: Mapping[str, Any]) -> Steps[None]:
        """The lock keeps all others away, and it was looked before."""
        names = [*keys, *others]
        yield Ask(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks(names)})",
            [*keys.values(), *others.values()],
        )

    def versions(self, table: str, keys: Sequence[bytes]) -> Steps[list[tuple[bytes, str]]]:
        """Keys and versions of those of these rows that are there."""
        versions: list[tuple[bytes, str]] = []
        for chosen in keys_in_pages(keys):
            rows = yield Ask(f"SELECT {KEY}, {VERSION} FROM {table} WHERE {KEY} IN ({marks(chosen)})", chosen)
            versions += [(self.read("binary", key), version) for key, version in rows]
        return versions

    # ---- values --------------------------------------------------------------------------------------------

    def shown_item(self, item: Item) -> Item:
        """With what SUPER keeps of the numbers inside of lists and maps."""
        return {name: as_super(value) if NESTED & value.keys() else value for name, value in item.items()}

    def asked(self, name: str, family: Family) -> str:
        """Numbers with all digits and binaries as texts."""
        quoted = self.quoted(name)
        if family == "binary":
            return f"TO_HEX({quoted})"
        return f"CAST({quoted} AS VARCHAR)" if family == "decimal" else quoted

    def read(self, family: Family, value: Any) -> Any:
        """A value as a column of `columns/` has it."""
        if value is None:
            return None
        match family:
            case "text":
                return with_nul(value)
            case "json":
                return json_with_nul(value)
            case "binary":
                return bytes.fromhex(value)
            case "decimal" | "digits":
                return Decimal(value)
        return value
