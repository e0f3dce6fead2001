"""State in one SQLite file, which the workers of one machine share.

Theory of operation: WAL, so that readers never wait; a transaction takes the write lock before it looks at a
condition (BEGIN IMMEDIATE), so that nobody writes between look and write. Whoever finds the lock taken waits
as long as other transactions take at most, which is what SQLite does for it; then it is told so (StoreError)
and comes again when the machine says so. Without that wait two workers that begin together refuse each other.
Everything runs in one thread of its own: the event loop never waits for a disk.
Rules of this file: it never creates a file but in `create`; conditions mean what `rows.writes.holds` says.
Layout: docs/formats/state-places.md, "In a SQLite file". Made by stores/state_targets.py.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import orjson

from tailrace.errors import SettingsError, StateConflict, StoreError
from tailrace.ports import Action, ItemWrite
from tailrace.rows.bounds import bounded
from tailrace.rows.writes import Always, StateRow, Write, holds
from tailrace.runtime.threads import Threads
from tailrace.stores.failures import failed, is_busy
from tailrace.stores.private import keep_private
from tailrace.stores.row_keys import following
from tailrace.stores.verdicts import NEWEST, PlaceVerdict

T = TypeVar("T")
APPLICATION_ID: Final = int.from_bytes(b"TLRS", "big")
"""What `file` and SQLite's own tools show of whose a file is."""
FORMAT: Final = 1
SCHEMA: Final = (
    f"PRAGMA application_id={APPLICATION_ID}",
    f"PRAGMA user_version={FORMAT}",
    "CREATE TABLE rows (key TEXT NOT NULL PRIMARY KEY, fields TEXT NOT NULL)",
)
PUT: Final = "INSERT INTO rows VALUES(?1,?2) ON CONFLICT(key) DO UPDATE SET fields=excluded.fields"
BUSY_MS: Final = 250
"""How long a transaction waits for those of other processes: each takes the time of a disk's sync, and a
process that takes longer is stopped, or its disk is.
"""
WHO_WRITES: Final = (
    "another process keeps the file: see whether one of the workers is stopped, or its disk full"
)
OPENING_MS: Final = 10_000
"""How long `create` waits for another process that makes the same file."""


class SqliteStateStore:
    """The StateStore port over a file that `create_file` has made. Several processes may have it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = Threads(f"state in {path.name}", 1)
        self._connection: sqlite3.Connection | None = None

    async def get(self, key: str) -> StateRow | None:
        """One row."""
        text = await self._in_its_thread(self._text, key)
        return None if text is None else StateRow(key, orjson.loads(text))

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.
        """
        rows = await self._in_its_thread(self._range, prefix, after, limit)
        return [StateRow(key, orjson.loads(text)) for key, text in rows]

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix; no fields are read."""
        return await self._in_its_thread(self._count, prefix)

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, on the disk, or nothing. Raises: StateConflict; StoreError, also when another process
        does not stop writing; SettingsError for a write to a table, which has no place here.
        """
        if any(isinstance(write, ItemWrite) for write in writes):
            raise SettingsError("a SQLite file has no tables of DynamoDB's: give app.transactions a table")
        bounded(writes)
        encoded = [
            orjson.dumps(write.fields).decode()
            if isinstance(write, Write) and write.fields is not None
            else None
            for write in writes
        ]
        await self._in_its_thread(self._transact, writes, encoded)

    async def close(self) -> None:
        """Give the file back. Repeatable."""
        await self._in_its_thread(self._close)

    async def _in_its_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._told, function, *arguments
        )

    def _told(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return function(*arguments)
        except sqlite3.Error as error:
            if is_busy(error):
                raise StoreError(f"{self._path}: {error}", hint=WHO_WRITES) from error
            raise failed(self._path, error) from error

    # ---- in the store's own thread ----

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connected(self._path)
            judged(self._path, connection).refuse()
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            self._connection = connection
        return self._connection

    def _text(self, key: str) -> str | None:
        row = self._opened().execute("SELECT fields FROM rows WHERE key=?", (key,)).fetchone()
        return None if row is None else row[0]

    def _range(self, prefix: str, after: str, limit: int | None) -> list[tuple[str, str]]:
        begin, compares = (after, ">") if after > prefix else (prefix, ">=")
        rows = self._opened().execute(
            f"SELECT key, fields FROM rows WHERE key {compares} ? ORDER BY key LIMIT ?",
            (begin, -1 if limit is None else limit),
        )
        return list(takewhile(lambda row: row[0].startswith(prefix), rows))

    def _count(self, prefix: str) -> int:
        end = following(prefix)
        bounds = (prefix,) if end is None else (prefix, end)
        below = "" if end is None else "AND key < ?"
        (total,) = (
            self._opened().execute(f"SELECT count(*) FROM rows WHERE key >= ? {below}", bounds).fetchone()
        )
        return int(total)

    def _transact(self, writes: Sequence[Action], encoded: Sequence[str | None]) -> None:
        connection = self._opened()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for index, write in enumerate(writes):
                assert not isinstance(write, ItemWrite)
                if not isinstance(write.condition, Always) and not holds(
                    write.condition, self._fields(write.key)
                ):
                    raise StateConflict(f"{write.key} is not as expected: {write.condition}", index=index)
            for write, text in zip(writes, encoded, strict=True):
                if text is not None:
                    connection.execute(PUT, (write.key, text))  # type: ignore[union-attr]
                elif isinstance(write, Write):
                    connection.execute("DELETE FROM rows WHERE key=?", (write.key,))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _fields(self, key: str) -> Mapping[str, Any] | None:
        text = self._text(key)
        if text is None:
            return None
        fields: Mapping[str, Any] = orjson.loads(text)
        return fields

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


# ---- making and judging a file -----------------------------------------------------------------------------


def create_file(path: Path) -> PlaceVerdict:
    """Make the file where there is none, and the schema in an empty one. Returns: what is there now.
    Repeatable. Raises: StoreError. Blocks.
    """
    try:
        keep_private(path, make=True)
        connection = connected(path)
        try:
            connection.execute(f"PRAGMA busy_timeout={OPENING_MS}")
            connection.execute("BEGIN IMMEDIATE")
            if judged(path, connection).finding == "absent":
                for statement in SCHEMA:
                    connection.execute(statement)
                connection.execute("COMMIT")
                connection.execute("PRAGMA journal_mode=WAL")
            else:
                connection.execute("ROLLBACK")
            return judged(path, connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise failed(path, error) from error


def judge_file(path: Path) -> PlaceVerdict:
    """What is at a path. Changes nothing. Raises: StoreError. Blocks."""
    try:
        if not path.exists():
            return PlaceVerdict(f"sqlite:{path}", "absent", "there is no such file", _create(path))
        connection = connected(path)
        try:
            return judged(path, connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_NOTADB:
            raise failed(path, error) from error
        return _foreign(path, "it is no SQLite file")


def connected(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there, whichever thread uses it. Raises: sqlite3.Error."""
    where = f"file:{quote(str(path.absolute()))}?mode=rw"
    return sqlite3.connect(where, uri=True, timeout=0, isolation_level=None, check_same_thread=False)


def judged(path: Path, connection: sqlite3.Connection) -> PlaceVerdict:
    """Whose file it is, and of which format. Raises: sqlite3.Error."""
    target = f"sqlite:{path}"
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema ORDER BY name LIMIT 3")]
    if owner != APPLICATION_ID:
        if tables or number or owner:
            return _foreign(
                path, f"the file belongs to something else (tables: {', '.join(tables) or 'none'})"
            )
        return PlaceVerdict(target, "absent", "the file is empty", _create(path))
    if number > FORMAT:
        return PlaceVerdict(target, "newer", f"it has format {number}; this version reads {FORMAT}", NEWEST)
    (rows,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    return PlaceVerdict(
        target, "ready", f"state of format {number}", figures={"format": number, "rows": rows}
    )


def _foreign(path: Path, words: str) -> PlaceVerdict:
    return PlaceVerdict(
        f"sqlite:{path}", "foreign", words, "name another file: tailrace state create sqlite:PATH"
    )


def _create(path: Path) -> str:
    return f"tailrace state create sqlite:{path}"
