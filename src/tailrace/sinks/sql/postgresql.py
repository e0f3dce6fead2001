"""PostgreSQL's SQL, and how statements of the core are carried out on a connection.

Theory of operation: staged rows are copied as text into a temporary table that is gone with the transaction.
All numbers but 64-bit ones are NUMERIC, which has room for every number of DynamoDB. Neither text nor jsonb
takes U+0000: it is written as an escape of two characters, which reading takes back. A view cannot change a
column's type, so it is made anew then, with its grants; views of users that depend on it are in the way, and
the error names them.
Rules of this file: whoever changes tables holds an advisory lock alone, and whoever writes rows shares it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import orjson
from msgspec import Struct

from tailrace.columns.kinds import Family
from tailrace.columns.naming import Naming
from tailrace.columns.schema import ColumnChange, TableColumns, WidenColumn
from tailrace.columns.values import ESCAPE, json_with_nul, json_without_nul, with_nul, without_nul
from tailrace.errors import Refused, SinkError, Unavailable
from tailrace.postgresql import lock_number, shown, words
from tailrace.runtime.threads import in_thread
from tailrace.sinks.sql.dialect import ROWS, SqlDialect
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

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Error

T = TypeVar("T")
NAME_BYTES: Final = 63
BEGIN: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL synchronous_commit = on"
)
"""What is answered is durable, whatever the database's default is."""
NULL: Final = "\\N"
SPECIAL: Final = ("\\", "\t", "\n", "\r", "\0", ESCAPE)
"""What a text for COPY cannot have as it is."""
OF_CONTENT: Final = ("22", "23", "54")
"""Classes of SQLSTATE that are a row's own fault."""


class PostgresDialect(SqlDialect):
    """PostgreSQL's SQL."""

    mark = "%s"
    percent = "%%"
    naming = Naming(longest=NAME_BYTES - len(ROWS))
    families: ClassVar = {
        "bool": "boolean",
        "int64": "bigint",
        "decimal": "numeric",
        "digits": "numeric",
        "text": "text",
        "binary": "bytea",
        "json": "jsonb",
    }
    key_type = "bytea"
    version_type = 'text COLLATE "C"'
    text_type = "text"
    loads_new = True
    for_update = " FOR UPDATE"
    changed_at = "TIMESTAMPTZ 'epoch' + tailrace_changed_us * INTERVAL '1 microsecond'"

    def quoted(self, name: str) -> str:
        """A name in a statement with parameters."""
        return super().quoted(name).replace("%", "%%")

    def locked(self, name: str, *, alone: bool) -> Steps[None]:
        """One advisory lock a sink."""
        number = lock_number(f"tailrace sink {self.schema} {name}")
        yield Ask(f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}(%s::bigint)", [number])

    def grown(self, table: TableColumns, changes: Sequence[ColumnChange]) -> Steps[None]:
        """A column that a view shows has the type that it has: the view goes, and comes back."""
        is_wider = any(
            isinstance(change, WidenColumn) and self.type_of(change.older) != self.type_of(change.column.kind)
            for change in changes
        )
        grants: Rows = []
        if is_wider:
            order = [name for name, _ in (yield self.columns_of(table.name))]
            grants = yield Ask(
                "SELECT grantee, privilege_type FROM information_schema.table_privileges "
                f"WHERE table_schema = {self.schema_value} AND table_name = %s AND grantee <> current_user",
                [table.name],
            )
            yield Ask(f"DROP VIEW {self.place(table.name)}")
            yield from self._altered(table, changes)
            yield from self.shown(table, order)
        else:
            yield from self._altered(table, changes)
            yield from self.shown(table)
        for grantee, privilege in grants:
            whom = "PUBLIC" if grantee == "PUBLIC" else self.quoted(grantee)
            yield Ask(f"GRANT {privilege} ON {self.place(table.name)} TO {whom}")

    def widened(self, table: TableColumns, change: WidenColumn) -> str:
        """Give a column a wider type."""
        name, type_ = self.quoted(change.column.name), self.type_of(change.column.kind)
        return f"ALTER TABLE {self.rows(table)} ALTER COLUMN {name} TYPE {type_}"

    def asked(self, name: str, family: Family) -> str:
        """JSON as its text: psycopg would read numbers as floats."""
        return f"{self.quoted(name)}::text" if family == "json" else self.quoted(name)

    def read(self, family: Family, value: Any) -> Any:
        """Without the escapes of U+0000."""
        if value is None:
            return None
        match family:
            case "text":
                return with_nul(value)
            case "json":
                return json_with_nul(value)
            case "binary":
                return bytes(value)
        return value


# ---- carrying out ------------------------------------------------------------------------------------------


async def carried_out(answer_of: Callable[[Statement], Awaitable[Rows]], steps: Steps[T]) -> T:
    """Steps inside a transaction, to their end. Raises: what they and `answer_of` raise."""
    answer: Rows | None = None
    while True:
        # What the steps make of a batch takes its time: in a thread, so that the loop goes on.
        statement = await in_thread(_next, steps, answer)
        if isinstance(statement, _Done):
            result: T = statement.result
            return result
        answer = await answer_of(statement)


class _Done(Struct, frozen=True):
    result: Any


def _next(steps: Steps[Any], answer: Rows | None) -> Statement | _Done:
    """The next statement, or the result at the end."""
    try:
        return next(steps) if answer is None else steps.send(answer)
    except StopIteration as done:
        return _Done(done.value)


async def answered(connection: "AsyncConnection[Any]", statement: Statement) -> Rows:
    """One statement's rows. Raises: NotNew; psycopg's errors."""
    from psycopg.errors import UniqueViolation

    match statement:
        case Ask(sql, parameters):
            cursor = await connection.execute(sql.encode(), list(parameters))
            return await cursor.fetchall() if cursor.description else []
        case Load(table, parts):
            await _copy(connection, table, parts, is_made=True)
        case LoadNew(table, parts):
            try:
                await _copy(connection, table, parts)
            except UniqueViolation as error:
                raise NotNew(words(error)) from error
    return []


async def _copy(
    connection: "AsyncConnection[Any]", table: str, parts: Parts, *, is_made: bool = False
) -> None:
    """Copy rows into a table; with `is_made` into a new one, which is gone with the transaction. The server
    writes a part while the next one is made.
    """
    texts = ((columns, copy_text(columns)) for columns in parts)
    columns, text = await in_thread(next, texts)
    if is_made:
        types = ", ".join(f"{_quoted(column.name)} {column.type}" for column in columns)
        made = f"DROP TABLE IF EXISTS pg_temp.{table}; CREATE TEMP TABLE {table} ({types}) ON COMMIT DROP"
        await connection.execute(made.encode())
    names = ", ".join(_quoted(column.name) for column in columns)
    # Not a statement with parameters, in which names are written with two signs.
    begun = f"COPY {table.replace('%%', '%')} ({names}) FROM STDIN"
    async with connection.cursor().copy(begun.encode()) as copy:
        await copy.write(text)
        while (following := await in_thread(next, texts, None)) is not None:
            await copy.write(following[1])


def copy_text(columns: Sequence[StagedColumn]) -> bytes:
    """Rows as COPY's text format has them."""
    texts = [_texts(column) for column in columns]
    return "\n".join([*map("\t".join, zip(*texts, strict=True)), ""]).encode()


def _texts(column: StagedColumn) -> list[str]:
    values = column.values
    match column.family:
        case "binary":
            return [NULL if value is None else "\\\\x" + value.hex() for value in values]
        case "bool" | "int64":  # JSON's texts of them, all at once
            return orjson.dumps(values)[1:-1].decode().replace("null", NULL).split(",")
        case "text" | "json":
            return _escaped(values, json_without_nul if column.family == "json" else without_nul)
    return [NULL if value is None else str(value) for value in values]


def _escaped(values: Sequence[Any], keep: Any) -> list[str]:
    everything = "".join([value for value in values if value is not None])
    if not any(special in everything for special in SPECIAL):
        return [NULL if value is None else value for value in values]
    return [NULL if value is None else _escape(keep(value)) for value in values]


def _escape(text: str) -> str:
    text = text.replace("\\", "\\\\")
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# ---- errors ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def told(url: str) -> AsyncIterator[None]:
    """What PostgreSQL says as a sink says it. Raises: Unavailable, Refused."""
    from psycopg import Error

    try:
        yield
    except Error as error:
        raise sink_failure(url, error) from error


def sink_failure(url: str, error: "Error") -> SinkError:
    """Refused for a row's own content, else an outage, with what to do next."""
    state = error.sqlstate or ""
    place, said = shown(url), words(error)
    if state[:2] in OF_CONTENT:
        return Refused(f"{place}: {said} ({state})")
    if detail := error.diag.message_detail if state in ("2BP01", "0A000") else None:
        return Unavailable(
            f"{place}: a column became wider, and {' '.join(detail.split())}",
            hint="DROP VIEW what depends on it, and make it again when the sink has gone on",
        )
    return Unavailable(f"{place}: {said}", hint=_hint(state))


def _hint(state: str) -> str:
    match state:
        case "":
            return "see that the server runs, and that host, port, database, user and password are right"
        case "3F000":
            return "CREATE SCHEMA, or name another one: sinks.PostgreSQL(url, table, schema=…)"
        case "42501":
            return "GRANT CREATE, USAGE ON SCHEMA to the user that the URL names, and let it own its tables"
        case "25006":
            return "the server takes no writes: name the primary in the URL (target_session_attrs=read-write)"
        case "53100":
            return "make room on the server's disk; nothing of the batch was written"
        case "53300":
            return "raise max_connections, or let fewer workers write"
        case "55P03":
            return "another session holds a lock on the table (see pg_locks); it is tried again"
        case "42809" | "42P07" | "42P16":
            return "a table or view of this name is not the sink's: name another table or schema"
        case "42P01" | "42703":
            return "something of the sink's is gone: DROP its other tables and rows in tailrace_schemas, too"
    return "nothing of the batch was written; it is tried again"
