"""A table of a DuckDB file that an older version wrote, as the core has it.

Theory of operation: before there were mirrors, the name that is asked was the table itself, with the key
attributes as its primary key and a version, or a bare sequence number of the first generation, in
`tailrace_sequence`; deletions left nothing behind. Its rows become those of a mirror in the transaction that
first sees it. Columns keep their names, and their types as far as they have a kind; a DOUBLE becomes a
decimal of eighteen places, or a text where one of its values is too large. When a row was changed is not
known.
Rules of this file: what was there is there afterwards; nothing is dropped.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tailrace.app.plain import to_attribute
from tailrace.columns.entities import EntityRules
from tailrace.columns.kinds import BINARY, BOOL, JSON, TEXT, Kind
from tailrace.columns.schema import Column, TableColumns
from tailrace.columns.values import plain_number
from tailrace.sinks.sql.catalog import SinkCatalog
from tailrace.sinks.sql.changes import key_of
from tailrace.sinks.sql.dialect import KEY
from tailrace.sinks.sql.duckdb import answered, carried_out
from tailrace.sinks.sql.statements import Load, StagedColumn
from tailrace.streams.version import FIRST_GENERATION, GENERATION_DIGITS, SEQUENCE_DIGITS
from tailrace.values.types import AttributeValue

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SEQUENCE: Final = "tailrace_sequence"
KINDS: Final = {
    "VARCHAR": TEXT,
    "BOOLEAN": BOOL,
    "BLOB": BINARY,
    "JSON": JSON,
    "DECIMAL(38,9)": Kind("decimal", 29, 9),
}
"""What older versions made."""
FLOAT: Final = Kind("decimal", 20, 18)
LARGEST_FLOAT: Final = "1e19"
OLD: Final = "tailrace_before"
PAGE: Final = 10_000


def is_before(connection: "DuckDBPyConnection", table: str) -> bool:
    """Whether this name is a table of an older version."""
    rows = connection.execute(
        "SELECT 1 FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_oid) "
        "WHERE c.table_name = ? AND column_name = ?",
        [table, SEQUENCE],
    ).fetchall()
    return bool(rows)


def migrated(connection: "DuckDBPyConnection", catalog: SinkCatalog) -> None:
    """Make a mirror of a table of an older version. Nothing happens where there is none."""
    if not catalog.name or not is_before(connection, catalog.name):
        return
    dialect = catalog.dialect
    types = dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
            [catalog.name],
        ).fetchall()
    )
    ((keys,),) = connection.execute(
        "SELECT constraint_column_names FROM duckdb_constraints() WHERE table_name = ? "
        "AND constraint_type = 'PRIMARY KEY'",
        [catalog.name],
    ).fetchall()
    names = [name for name in types if name != SEQUENCE]
    kinds = {name: _kind_of(connection, catalog, name, types[name]) for name in names}
    ordered = [*keys, *(name for name in names if name not in keys)]
    rules = EntityRules(catalog.name, tuple(keys))
    columns = tuple([Column(name, name, kinds[name]) for name in ordered])
    table = TableColumns(catalog.name, catalog.name, rules.keys, columns, 1, dialect.naming)
    connection.execute(f"ALTER TABLE {dialect.place(catalog.name)} RENAME TO {OLD}")
    for statement in dialect.made(table):
        connection.execute(statement)
    _copy(connection, catalog, table, types[SEQUENCE])
    connection.execute(f"DROP TABLE {OLD}")
    carried_out(connection, catalog.adopted(rules, table))


def _kind_of(connection: "DuckDBPyConnection", catalog: SinkCatalog, name: str, type_: str) -> Kind:
    if type_ != "DOUBLE":
        return KINDS.get(type_, TEXT)
    column = catalog.dialect.quoted(name)
    large = connection.execute(
        f"SELECT 1 FROM {catalog.dialect.place(catalog.name)} "
        f"WHERE NOT abs({column}) < {LARGEST_FLOAT} LIMIT 1"
    ).fetchall()
    return TEXT if large else FLOAT


def _copy(connection: "DuckDBPyConnection", catalog: SinkCatalog, table: TableColumns, type_: str) -> None:
    dialect = catalog.dialect
    columns = {column.attribute: column for column in table.stored}
    keys = [dialect.quoted(name) for name in table.keys]
    version = dialect.quoted(SEQUENCE)
    if type_ != "VARCHAR":
        version = (
            f"'{FIRST_GENERATION:0{GENERATION_DIGITS}d}' || lpad({version}::VARCHAR, {SEQUENCE_DIGITS}, '0')"
        )
    names = ", ".join(dialect.quoted(column.name) for column in table.stored)
    values = ", ".join(
        f"CAST(CAST({dialect.quoted(attribute)} AS VARCHAR) AS {dialect.type_of(column.kind)})"
        if column.kind == FLOAT
        else f"CAST({dialect.quoted(attribute)} AS {dialect.type_of(column.kind)})"
        for attribute, column in columns.items()
    )
    same = " AND ".join(f"o.{key} = s.k{place}" for place, key in enumerate(keys))
    types = [dialect.type_of(columns[name].kind) for name in table.keys]
    cursor = connection.execute(f"SELECT {', '.join(keys)} FROM {OLD}").fetchall()
    for begin in range(0, len(cursor), PAGE):
        page = cursor[begin : begin + PAGE]
        staged = [
            StagedColumn(
                KEY, dialect.key_type, "binary", [key_of([_value(key) for key in row]) for row in page]
            )
        ]
        staged += [
            StagedColumn(f"k{place}", types[place], columns[name].kind.family, [row[place] for row in page])
            for place, name in enumerate(table.keys)
        ]
        answered(connection, Load("tailrace_staged", [staged]))
        connection.execute(
            f"INSERT INTO {dialect.rows(table)} ({KEY}, tailrace_version, tailrace_deleted, {names}) "
            f"SELECT s.{KEY}, {version}, FALSE, {values} FROM {OLD} AS o JOIN tailrace_staged AS s ON {same}"
        )


def _value(key: Any) -> AttributeValue:
    """A value of a key column."""
    return {"N": plain_number(key)} if isinstance(key, Decimal) else to_attribute(key)
