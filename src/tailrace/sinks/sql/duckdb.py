"""DuckDB's SQL, and how statements of the core are carried out on a connection to a file.

Theory of operation: staged rows come as JSON, one parameter a column: DuckDB parses it about as fast as it
takes Arrow, three times as fast as Python's lists, and exactly: numbers come as texts and are cast by
DuckDB itself. No row is ever updated: a row that is replaced goes, and another comes. That takes a quarter of
the time of ON CONFLICT; and in DuckDB 2.0 what an UPDATE gave to a row that had NULL is NULL again when the
process dies and the file's log is played back, if a column was added in that log. A file has one process; all
sinks of a file take turns by one lock, for two transactions that change one row at once would be a conflict.
Rules of this file: synchronous, called in a thread. Columns keep NUL characters as they are.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from weakref import WeakValueDictionary

import orjson

from tailrace.columns.naming import Naming
from tailrace.columns.schema import TableColumns, WidenColumn
from tailrace.sinks.sql.dialect import CHANGED, DELETED, KEY, STAGED, VERSION, SqlDialect
from tailrace.sinks.sql.statements import (
    Ask,
    Load,
    LoadNew,
    NotNew,
    Parts,
    Rows,
    StagedColumn,
    Statement,
    Steps,
)
from tailrace.streams.version import Version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
LONGEST: Final = 200
MEMORY: Final = ":memory:"
"""The path of a database in memory: every connection to it is another one."""


class DuckDbDialect(SqlDialect):
    """DuckDB's SQL."""

    naming = Naming(longest=LONGEST)
    families: ClassVar = {
        "bool": "BOOLEAN",
        "int64": "BIGINT",
        "decimal": "DECIMAL(38,{scale})",
        "digits": "VARCHAR",
        "text": "VARCHAR",
        "binary": "BLOB",
        "json": "JSON",
    }
    key_type = "BLOB"
    version_type = "VARCHAR"
    text_type = "VARCHAR"
    loads_new = True
    changed_at = "make_timestamp(tailrace_changed_us)"

    @property
    def schema_value(self) -> str:
        """The only schema that is used."""
        return "'main'"

    def widened(self, table: TableColumns, change: WidenColumn) -> str:
        """Give a column a wider type; a decimal that becomes a text loses the zeros behind its digits."""
        column = change.column
        name = self.quoted(column.name)
        text = f"CAST({name} AS VARCHAR)"
        using = ""
        if column.kind.family == "digits" and change.older.family == "decimal":
            trimmed = f"rtrim(rtrim({text}, '0'), '.')"
            using = f" USING CASE WHEN contains({text}, '.') THEN {trimmed} ELSE {text} END"
        return f"ALTER TABLE {self.rows(table)} ALTER COLUMN {name} TYPE {self.type_of(column.kind)}{using}"

    def put(self, table: str, staged: str, columns: Sequence[StagedColumn], guard: str) -> Iterable[str]:
        """Take away the rows that are replaced, and insert: there is one writer, and no row is updated."""
        names = ", ".join(self.quoted(column.name) for column in columns)
        same = f"t.{KEY} = EXCLUDED.{KEY}"
        yield f"DELETE FROM {table} AS t USING {staged} AS EXCLUDED WHERE {same} AND {guard}"
        yield f"INSERT INTO {table} ({names}) SELECT {names} FROM {staged} AS s WHERE {_not_in(table, 's')}"

    def swept(
        self, table: TableColumns, keys: Sequence[bytes], below: Version, tombstone: Version, now_us: int
    ) -> Steps[None]:
        """As others, with rows that are replaced."""
        rows, staged, mark = self.rows(table), f"{STAGED}_0", self.mark
        yield Load(staged, [[StagedColumn(KEY, self.key_type, "binary", keys)]])
        yield Ask(
            f"DELETE FROM {rows} AS t USING {staged} AS s WHERE t.{KEY} = s.{KEY} AND NOT t.{DELETED} "
            f"AND t.{VERSION} < {mark}",
            [below.text],
        )
        yield Ask(
            f"INSERT INTO {rows} ({KEY}, {VERSION}, {DELETED}, {CHANGED}) SELECT {KEY}, {mark}, TRUE, {mark} "
            f"FROM {staged} AS s WHERE {_not_in(rows, 's')}",
            [tombstone.text, now_us],
        )


def _not_in(table: str, staged: str) -> str:
    """That a table has no row with a staged row's key."""
    return f"NOT EXISTS (SELECT 1 FROM {table} AS t WHERE t.{KEY} = {staged}.{KEY})"


def carried_out(connection: "DuckDBPyConnection", steps: Steps[T]) -> T:
    """Steps inside a transaction, to their end. Raises: duckdb's errors, what they raise."""
    try:
        statement = next(steps)
        while True:
            statement = steps.send(answered(connection, statement))
    except StopIteration as done:
        result: T = done.value
        return result


def answered(connection: "DuckDBPyConnection", statement: Statement) -> Rows:
    """One statement's rows. Raises: NotNew; duckdb's errors."""
    from duckdb import ConstraintException

    match statement:
        case Ask(sql, parameters):
            return connection.execute(sql, list(parameters)).fetchall()
        case Load(table, parts):
            selected, values = _selected(parts)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {selected}", values)
        case LoadNew(table, parts):
            selected, values = _selected(parts)
            try:
                connection.execute(f"INSERT INTO {table} BY NAME {selected}", values)
            except ConstraintException as error:
                raise NotNew(str(error)) from error
    return []


def _selected(parts: Parts) -> tuple[str, list[str]]:
    """A SELECT of the rows, and its parameters: one for each column that has a value."""
    columns: Sequence[StagedColumn] = ()
    texts: list[list[bytes]] = []
    for part in parts:
        columns = part
        texts = texts or [[] for _ in columns]
        for column, column_texts in zip(columns, texts, strict=True):
            column_texts.append(_json(column))
    names, unnested, values = [], [], []
    for column, column_texts in zip(columns, texts, strict=True):
        text = b",".join(column_texts)
        if text and not text.strip(b"nul,"):  # all are NULL, as in most columns of a sparse table
            names.append(f"NULL::{column.type} AS {_quoted(column.name)}")
            continue
        names.append(_named(column))
        unnested.append(_unnested(column))
        values.append(f"[{text.decode()}]")
    return f"SELECT {', '.join(names)} FROM (SELECT {', '.join(unnested)})", values


def _named(column: StagedColumn) -> str:
    return (
        _quoted(column.name)
        if column.family != "binary"
        else f"unhex({_quoted(column.name)}) AS {_quoted(column.name)}"
    )


def _unnested(column: StagedColumn) -> str:
    type_ = "VARCHAR" if column.family in ("binary", "json") else column.type
    return f"unnest(from_json(?, '[\"{type_}\"]')) AS {_quoted(column.name)}"


def _json(column: StagedColumn) -> bytes:
    """JSON of the values, without its brackets."""
    values: Sequence[Any] = column.values
    if column.family == "binary":
        values = [None if value is None else value.hex() for value in values]
    elif column.family == "decimal":
        values = [None if value is None else str(value) for value in values]
    return orjson.dumps(values)[1:-1]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# ---- one writer at a time ----------------------------------------------------------------------------------


class FileLock:
    """What all sinks of one file in this process take before they write. Reentrant for nobody."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


LOCKS: Final["WeakValueDictionary[str, FileLock]"] = WeakValueDictionary()
MAKING: Final = threading.Lock()


def lock_of(path: str | Path) -> FileLock:
    """The lock of a file; a database in memory has one of its own."""
    if str(path) == MEMORY:
        return FileLock()
    place = os.path.realpath(path)
    with MAKING:
        lock = LOCKS.get(place)
        if lock is None:
            LOCKS[place] = lock = FileLock()
        return lock


def take_back(connection: "DuckDBPyConnection") -> None:
    """End a transaction without its changes."""
    import duckdb

    with suppress(duckdb.Error):  # an error may have ended it already
        connection.rollback()
