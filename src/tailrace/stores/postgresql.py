"""State in a PostgreSQL database, for any number of workers.

Theory of operation. Rows that are not there cannot be locked in PostgreSQL, so a transaction first takes one
advisory lock for each row that it names: exclusive for those that it writes, shared for those that it only
looks at, all in the order of their numbers, so that no two transactions wait for each other. Then it reads
the rows, in a statement of its own, which under READ COMMITTED sees all that the holders before it have
written; the isolation is stated, because under a stricter default the rows would be those from before the
wait.
Conditions are judged here, by their one meaning. Two journeys to the server: locks and rows, then writes
and COMMIT. A worker that stops between the two holds locks that others need: soon the server ends its
session.
A connection that is lost before COMMIT was sent has written nothing; afterwards it is not known whether it
has (OutcomeUnknown).
Rules of this file: it never retries; a connection that had an error is not used again. Long words of keys are
cut (row_keys.py). Needs the extra `postgres`. Layout: docs/formats/state-places.md, "In PostgreSQL". Made by
stores/state_targets.py.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from tailrace.errors import OutcomeUnknown, SettingsError, StateConflict, StoreError
from tailrace.ports import Action, ItemWrite
from tailrace.postgresql import Connections, connected, lock_number, shown, words
from tailrace.rows.bounds import bounded
from tailrace.rows.writes import StateRow, Write, holds
from tailrace.stores.row_keys import LONGEST_WORD, Ordering, cut_key, cut_prefix, first_stored, following
from tailrace.stores.verdicts import NEWEST, PlaceVerdict

if TYPE_CHECKING:
    from psycopg import AsyncClientCursor, AsyncConnection, Error

FORMAT: Final = 1
SCHEMA: Final = (
    'CREATE TABLE tailrace_state (key text COLLATE "C" PRIMARY KEY, whole_key text, fields json NOT NULL)',
    "CREATE TABLE tailrace_state_format (format integer NOT NULL)",
    f"INSERT INTO tailrace_state_format VALUES ({FORMAT})",
)
"""Names without a schema: they lie in the first one of the connection's search_path."""
COLUMNS: Final = ["key text", "whole_key text", "fields json"]
CONNECTIONS: Final = 8
"""Of one worker, at most."""
PATIENCE_MS: Final = 5_000
"""How long a transaction waits for another one, and how long the server lets one stand still."""
BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
SETTINGS: Final = (
    "SELECT set_config('lock_timeout', %(ms)s, true),"
    " set_config('idle_in_transaction_session_timeout', %(ms)s, true),"
    " set_config('statement_timeout', '0', true),"
    " CASE WHEN current_setting('synchronous_commit') = 'off'"
    " THEN set_config('synchronous_commit', 'on', true) END"
)
"""For this transaction: what is answered is durable, whatever the database's default is."""
LOCK: Final = (
    "SELECT count(CASE WHEN writes THEN pg_advisory_xact_lock(id)::text"
    " ELSE pg_advisory_xact_lock_shared(id)::text END)"
    " FROM (SELECT * FROM unnest(%(numbers)s::bigint[], %(writes)s::boolean[])"
    " WITH ORDINALITY AS lock (id, writes, place) ORDER BY place) AS locks"
)
LOOK: Final = "SELECT key, fields::text FROM tailrace_state WHERE key = ANY(%(keys)s)"
PUT: Final = (
    "INSERT INTO tailrace_state (key, whole_key, fields)"
    " SELECT key, whole_key, fields::json"
    " FROM unnest(%(stored)s::text[], %(whole)s::text[], %(texts)s::text[]) AS row (key, whole_key, fields)"
    " ON CONFLICT (key) DO UPDATE SET fields = excluded.fields"
)
DELETE: Final = "DELETE FROM tailrace_state WHERE key = ANY(%(deleted)s)"


class RowLock(NamedTuple):
    """The advisory lock of a row. Shape: `number` of 64 bits, with a sign."""

    number: int
    writes: bool


def locks_of(writes: Sequence[Action]) -> list[RowLock]:
    """The locks of a transaction, in the order in which everybody takes them; each once."""
    exclusive: dict[int, bool] = {}
    for write in writes:
        assert not isinstance(write, ItemWrite)
        number = lock_number(write.key)
        exclusive[number] = exclusive.get(number, False) or isinstance(write, Write)
    return [RowLock(number, exclusive[number]) for number in sorted(exclusive)]


class PostgresStateStore:
    """The StateStore port over a database in which `create_schema` has made its tables.

    Shape:   `url` as libpq takes it: postgres://user@host/database; what it leaves out libpq finds in PG…
             variables and ~/.pgpass.
    """

    def __init__(self, url: str, *, patience_ms: int = PATIENCE_MS) -> None:
        self._url = url
        self._patience_ms = patience_ms
        self._connections = Connections(url, CONNECTIONS, harmless=(StateConflict,))

    async def get(self, key: str) -> StateRow | None:
        """One row."""
        async with self._connection() as connection:
            cursor = await connection.execute(
                "SELECT fields::text FROM tailrace_state WHERE key = %s", (cut_key(key),)
            )
            row = await cursor.fetchone()
        return None if row is None else StateRow(key, orjson.loads(row[0]))

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.
        """
        if after > prefix and not after.startswith(prefix):
            return []
        rows: list[StateRow] = []
        async with self._connection() as connection:
            async for row in _ordered(connection, prefix, after, limit):
                rows.append(row)
                if len(rows) == limit:
                    break
        return rows

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix; no fields are read."""
        begin, end = cut_prefix(prefix), following(cut_prefix(prefix))
        asked, bounds = "SELECT count(*) FROM tailrace_state WHERE key >= %s", [begin]
        if end is not None:
            asked, bounds = f"{asked} AND key < %s", [*bounds, end]
        if len(prefix.rpartition("/")[2]) > LONGEST_WORD:
            asked, bounds = f"{asked} AND starts_with(coalesce(whole_key, key), %s)", [*bounds, prefix]
        async with self._connection() as connection:
            row = await (await connection.execute(asked.encode(), bounds)).fetchone()
        assert row is not None
        return int(row[0])

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, durably, or nothing. Raises: StateConflict; StoreError, of these OutcomeUnknown when the
        connection was lost after COMMIT; SettingsError for a write to a table, which has no place here.
        """
        if any(isinstance(write, ItemWrite) for write in writes):
            raise SettingsError("PostgreSQL has no tables of DynamoDB's: give app.transactions a table")
        if not writes:
            return
        bounded(writes)
        last = {write.key: write.fields for write in writes if isinstance(write, Write)}
        texts = {key: orjson.dumps(fields).decode() for key, fields in last.items() if fields is not None}
        deleted = [cut_key(key) for key, fields in last.items() if fields is None]
        async with self._connection() as connection:
            await self._locked(connection, writes)
            await self._written(connection, texts, deleted)

    async def close(self) -> None:
        """Give all connections back. Repeatable."""
        await self._connections.close()

    async def _locked(self, connection: "AsyncConnection[Any]", writes: Sequence[Action]) -> None:
        """Take the locks and judge the conditions. Raises: StateConflict; nothing was written then."""
        locks = locks_of(writes)
        keys = {write.key: cut_key(write.key) for write in writes if not isinstance(write, ItemWrite)}
        asked = {
            "ms": str(self._patience_ms),
            "numbers": [lock.number for lock in locks],
            "writes": [lock.writes for lock in locks],
            "keys": list(keys.values()),
        }
        cursor = await _at_once(connection, (BEGIN, SETTINGS, LOCK, LOOK), asked)
        rows: dict[str, Mapping[str, Any]] = {
            key: orjson.loads(text) for key, text in await cursor.fetchall()
        }
        for index, write in enumerate(writes):
            assert not isinstance(write, ItemWrite)
            if not holds(write.condition, rows.get(keys[write.key])):
                await connection.execute("ROLLBACK")
                raise StateConflict(f"{write.key} is not as expected: {write.condition}", index=index)

    async def _written(
        self, connection: "AsyncConnection[Any]", texts: Mapping[str, str], deleted: Sequence[str]
    ) -> None:
        from psycopg import Error

        stored = [cut_key(key) for key in texts]
        asked = {
            "stored": stored,
            "whole": [None if cut == key else key for cut, key in zip(stored, texts, strict=True)],
            "texts": list(texts.values()),
            "deleted": list(deleted),
        }
        puts, deletes = [PUT] if stored else [], [DELETE] if deleted else []
        try:
            await _at_once(connection, [*puts, *deletes, "COMMIT"], asked)
        except Error as error:
            if not connection.closed:
                raise
            raise OutcomeUnknown(
                f"{shown(self._url)}: {words(error)}: it is not known whether it was written"
            ) from error

    @asynccontextmanager
    async def _connection(self) -> "AsyncIterator[AsyncConnection[Any]]":
        """A connection that nobody else uses meanwhile. Raises: StoreError for whatever PostgreSQL says."""
        from psycopg import Error

        try:
            async with self._connections.lent() as connection:
                yield connection
        except Error as error:
            raise store_failure(self._url, error) from error


async def _ordered(
    connection: "AsyncConnection[Any]", prefix: str, after: str, limit: int | None
) -> AsyncIterator[StateRow]:
    """Rows of a prefix in key order, in pages of as many as are wanted."""
    order = Ordering[StateRow](prefix, after)
    begin, end = first_stored(prefix, after), following(cut_prefix(prefix))
    compares = ">="
    size = None if limit is None else limit + 1  # the row `after` itself may be the first
    while True:
        below = "" if end is None else "AND key < %s"
        asked = (
            "SELECT key, coalesce(whole_key, key), fields::text FROM tailrace_state"
            f" WHERE key {compares} %s {below} ORDER BY key LIMIT %s"
        )
        bounds = [begin, size] if end is None else [begin, end, size]
        page = await (await connection.execute(asked.encode(), bounds)).fetchall()
        for row in order.add((stored, StateRow(key, orjson.loads(text))) for stored, key, text in page):
            yield row
        if size is None or len(page) < size:
            break
        begin, compares = page[-1][0], ">"
    for row in order.rest():
        yield row


async def _at_once(
    connection: "AsyncConnection[Any]", statements: Sequence[str], asked: Mapping[str, Any]
) -> "AsyncClientCursor[Any]":
    """Several statements in one journey, each with a snapshot of its own. Returns: a cursor at the results of
    the last.

    No pipeline: the server does not end a session that stands still after one (its client flushes, and that
    stops the clock of idle_in_transaction_session_timeout).
    """
    from psycopg import AsyncClientCursor

    cursor: AsyncClientCursor[Any] = AsyncClientCursor(connection)
    await cursor.execute("; ".join(statements).encode(), asked)
    while cursor.nextset():
        pass
    return cursor


def store_failure(url: str, error: "Error") -> StoreError:
    """What PostgreSQL says, as a store says it."""
    from psycopg import errors

    hint = None
    match error:
        case errors.UndefinedTable():
            hint = f"tailrace state create {shown(url)}"
        case errors.InsufficientPrivilege():
            hint = "GRANT SELECT, INSERT, UPDATE, DELETE ON tailrace_state TO the user that the URL names"
        case errors.LockNotAvailable() | errors.IdleInTransactionSessionTimeout():
            hint = "another worker is writing the same rows; it is tried again"
        case errors.OperationalError() if error.sqlstate is None:
            hint = "see that the server runs, and that host, port, user and database of the URL are right"
    return StoreError(f"{shown(url)}: {words(error)}", hint=hint)


# ---- making and judging the schema -------------------------------------------------------------------------


async def create_schema(url: str) -> PlaceVerdict:
    """Make the tables where they are not there, all or none. Returns: what is there now. Repeatable. Raises:
    StoreError.
    """
    from psycopg import Error

    try:
        async with await connected(url) as connection, connection.transaction():
            format_lock = lock_number("tailrace_state_format")
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (format_lock,))
            if (await _judged(connection, url)).finding == "absent":
                for statement in SCHEMA:
                    await connection.execute(statement.encode())
            return await _judged(connection, url)
    except Error as error:
        raise store_failure(url, error) from error


async def judge_schema(url: str) -> PlaceVerdict:
    """What is in a database. Changes nothing. Raises: StoreError."""
    from psycopg import Error

    try:
        async with await connected(url) as connection:
            return await _judged(connection, url)
    except Error as error:
        raise store_failure(url, error) from error


async def _judged(connection: "AsyncConnection[Any]", url: str) -> PlaceVerdict:
    target = shown(url)
    columns = await _columns(connection, "tailrace_state")
    if not columns:
        return PlaceVerdict(
            target, "absent", "the table tailrace_state is not there", f"tailrace state create {target}"
        )
    if columns != COLUMNS or not await _columns(connection, "tailrace_state_format"):
        words = f"there is a table tailrace_state of something else (columns: {', '.join(columns)})"
        return PlaceVerdict(
            target,
            "foreign",
            words,
            "name another database, or another schema: ?options=-csearch_path%3DNAME",
        )
    numbers = await (await connection.execute("SELECT format FROM tailrace_state_format")).fetchall()
    number = max((number for (number,) in numbers), default=0)
    if number > FORMAT:
        return PlaceVerdict(target, "newer", f"it has format {number}; this version writes {FORMAT}", NEWEST)
    if number < FORMAT:
        return PlaceVerdict(target, "foreign", "tailrace_state_format does not say a format", NEWEST)
    row = await (await connection.execute("SELECT count(*) FROM tailrace_state")).fetchone()
    assert row is not None
    return PlaceVerdict(
        target, "ready", f"state of format {number}", figures={"format": number, "rows": row[0]}
    )


async def _columns(connection: "AsyncConnection[Any]", table: str) -> list[str]:
    cursor = await connection.execute(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (table,),
    )
    return [name for (name,) in await cursor.fetchall()]
