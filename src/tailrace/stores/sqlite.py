"""The store on SQLite: rows, logs and state of one data directory in one file.

Rules of this file: one writer; every commit is one transaction; no read transaction outlives a call. With `normal` all calls come
from one thread and share one connection; with `full` a commit may run in one writer thread while the owner reads,
so that each side has its own. The write-ahead log is moved into the database by a thread of its own and never grows
beyond a bound: above it the commit waits. Layout: docs/formats/store.md.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow
from tailrace.telemetry import PointReached, pass_by

FORMAT: Final = 1
CHECKPOINT_BYTES: Final = 8 << 20
"""A write-ahead log of this size is worth moving: large enough that pages written twice are moved once."""
WAL_BYTES: Final = 64 << 20
"""Beyond this size a commit moves the log itself: back-pressure, so that a fast writer cannot fill the disk."""
CACHE_KIB: Final = 64 << 10
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log(key BLOB PRIMARY KEY, header BLOB NOT NULL, old BLOB, new BLOB) WITHOUT ROWID;
"""


GET: Final = "SELECT value FROM items WHERE key=?"
QUERY_UP: Final = "SELECT substr(key, 5), value FROM items WHERE key>=? AND key<? ORDER BY key LIMIT ?"
QUERY_DOWN: Final = "SELECT substr(key, 5), value FROM items WHERE key>=? AND key<? ORDER BY key DESC LIMIT ?"
READ_LOG: Final = "SELECT key, header, old, new FROM log WHERE key>? AND key<? ORDER BY key LIMIT ?"


class SqliteStore:
    """A `Store` in a file, or in memory when there is no path."""

    def __init__(
        self,
        path: Path | None,
        *,
        sync: Literal["normal", "full"] = "normal",
        reached: PointReached = pass_by,
    ) -> None:
        self._path = path
        self._sync = sync.upper()
        self._reached = reached
        self._mover: _Mover | None = None
        with self._translated():
            self._writer = self._connect()
            self._prepare()
            self._reader = self._connect() if path is not None and sync == "full" else self._writer
        self._reading = self._reader.cursor()
        if path is not None:
            self._mover = _Mover(self._connect, Path(f"{path}-wal"))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if self._path is None else str(self._path),
            isolation_level=None, check_same_thread=False, cached_statements=64,
        )  # fmt: skip
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._sync}")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute("PRAGMA busy_timeout=10000")
        return connection

    def _prepare(self) -> None:
        self._writer.executescript(SCHEMA)
        self._writer.execute("INSERT OR IGNORE INTO meta VALUES('format', ?)", (FORMAT,))
        found = self._writer.execute("SELECT value FROM meta WHERE name='format'").fetchone()[0]
        if found != FORMAT:
            raise StoreError(
                f"{self._path} has format {found}; this version of tailrace reads format {FORMAT}",
                hint="open it with the version that wrote it, or use another --data directory",
            )

    # ---- reading -------------------------------------------------------------------------------------------------

    # These are the hottest lines of the engine: one cursor for ever, and no context manager around a call.

    def get(self, table: int, key: bytes) -> bytes | None:
        """The value of one row."""
        try:
            found = self._reading.execute(GET, (_key(table, key),)).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return found[0] if found is not None else None

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last, ascending or descending."""
        end = _key(table + 1, b"") if last is None else _key(table, last)
        statement = QUERY_DOWN if reverse else QUERY_UP
        try:
            return self._reading.execute(statement, (_key(table, first), end, limit)).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def read_log(self, shard: int, after: int, limit: int) -> list[LogRow]:
        """At most `limit` records of a shard with sequence > after, ascending."""
        bounds = (_log_key(shard, after), _log_key(shard + 1, 0), limit)
        try:
            found = self._reading.execute(READ_LOG, bounds).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return [
            LogRow(shard, int.from_bytes(key[8:], "big"), header, old, new) for key, header, old, new in found
        ]

    # ---- writing -------------------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> None:
        """One transaction. Raises: StoreError, and then nothing of it was written."""
        with self._translated(), self._synced(commit.sync):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._reached("commit.begun")
                self._write(commit)
                self._reached("commit.written")
                self._writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise
        if self._mover is not None:
            self._mover.committed()

    def _write(self, commit: Commit) -> None:
        # Rows come in order and a later one of the same key wins, so runs of puts and deletes are kept apart.
        latest = {_key(row.table, row.key): row.value for row in commit.rows}
        puts = [(key, value) for key, value in latest.items() if value is not None]
        deletes = [(key,) for key, value in latest.items() if value is None]
        execute_many = self._writer.executemany
        if puts:
            execute_many("INSERT OR REPLACE INTO items VALUES(?,?)", puts)
        if deletes:
            execute_many("DELETE FROM items WHERE key=?", deletes)
        if commit.log:
            execute_many(
                "INSERT INTO log VALUES(?,?,?,?)",
                [(_log_key(row.shard, row.sequence), row.header, row.old, row.new) for row in commit.log],
            )
        if commit.trims:
            execute_many(
                "DELETE FROM log WHERE key>=? AND key<=?",
                [(_log_key(trim.shard, 0), _log_key(trim.shard, trim.through)) for trim in commit.trims],
            )

    @contextlib.contextmanager
    def _synced(self, full: bool) -> Iterator[None]:
        """Make one commit survive power loss whatever the setting: in WAL mode FULL syncs the log at each commit."""
        if not full or self._sync == "FULL" or self._path is None:
            yield
            return
        self._writer.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self._writer.execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        """Move the log into the database and give everything back. Repeatable."""
        if self._mover is not None:
            self._mover.close()
            self._mover = None
        for connection in {id(each): each for each in (self._reader, self._writer)}.values():
            connection.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self._path or 'the store in memory'}: {error}", hint=_hint(error))


def _key(table: int, key: bytes) -> bytes:
    return table.to_bytes(4, "big") + key


def _log_key(shard: int, sequence: int) -> bytes:
    return (shard << 64 | sequence).to_bytes(16, "big")


def _hint(error: sqlite3.Error) -> str:
    """What to do about it. SQLite's texts are stable and the codes tell the same."""
    text = str(error)
    if "full" in text:
        return "free some disk space; nothing of the failed commit was written, and the server goes on when there is room"
    if "malformed" in text or "not a database" in text:
        return "stop tailrace, keep a copy of the directory, and start with another --data; `sqlite3 FILE .recover` may save what is left"
    if "readonly" in text or "unable to open" in text:
        return "check that the directory exists and that this user may write to it, or use another --data"
    if "locked" in text:
        return "another process has the file open: stop it, or use another --data"
    return "see the message of the operating system above; `--data` names another directory"


class _Mover:
    """Moves the write-ahead log into the database, off the thread that commits."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], wal: Path) -> None:
        self._connect = connect
        self._wal = wal
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._is_closing = False
        self._blocking = connect()
        self._thread = threading.Thread(target=self._run, name="tailrace-wal", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Look at the log's size after a commit; beyond the bound, wait until it has been moved."""
        try:
            size = self._wal.stat().st_size
        except FileNotFoundError:
            return
        if size > WAL_BYTES:
            with self._lock:
                self._move(self._blocking, "TRUNCATE")
        elif size > CHECKPOINT_BYTES:
            self._wanted.set()

    def _run(self) -> None:
        connection = self._connect()
        try:
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._is_closing:
                    return
                with self._lock:
                    self._move(connection, "PASSIVE")
        finally:
            connection.close()

    @staticmethod
    def _move(connection: sqlite3.Connection, mode: Any) -> None:
        # A busy or failing move costs nothing but a longer log; the next commit asks again, and reports a real fault.
        with contextlib.suppress(sqlite3.Error):
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def close(self) -> None:
        """End the thread and move what is left."""
        self._is_closing = True
        self._wanted.set()
        self._thread.join()
        self._move(self._blocking, "TRUNCATE")
        self._blocking.close()
