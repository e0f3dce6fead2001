"""The store on SQLite: rows, logs and state of one data directory in one file.

Rules of this file: one writer; every commit is one transaction; no read transaction outlives a call,
or, once `share_reads` was called, a turn of the event loop. With `normal` all calls come
from one thread and share one connection. With `full`, `commit` may run in one writer thread while the owner's thread
calls `get`, `query` and `read_log`: each side has its own connection, and a read sees what was committed when it began.
Everything else (opening, closing) happens while nothing is under way. What is bound is a bytearray: for any other type the
sqlite3 module looks for adapters, half a microsecond a value. Layout: docs/formats/store.md. Made by `compose`.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow
from tailrace.stores.layout import found_format, prepare
from tailrace.stores.private import keep_private
from tailrace.stores.wal import MOVE_BYTES, LogMover
from tailrace.telemetry import PointReached, pass_by

PAGE_BYTES: Final = 4_096
CACHE_KIB: Final = 64 << 10
"""Measured with items of 300 bytes: 16 MiB served ten thousand of them as well, a million 1.2 times slower."""
BUSY_MS: Final = 250
"""How long a commit waits for another process that is writing to the file, which none should: meanwhile the loop stands still."""
OPENING_MS: Final = 10_000
"""The same while the file is opened, when nobody is served yet."""
GET: Final = "SELECT value FROM items WHERE key=?"
RANGE: Final = "SELECT substr(key, 5), value FROM items WHERE key>=? AND key<? ORDER BY key LIMIT ?"
RANGE_REVERSE: Final = (
    "SELECT substr(key, 5), value FROM items WHERE key>=? AND key<? ORDER BY key DESC LIMIT ?"
)
PUT: Final = "INSERT INTO items VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value"
"""An upsert and no REPLACE: that one would remove the row and put another at the end, two pages and an index entry more."""
READ_LOG: Final = "SELECT key, header, old, new FROM log WHERE key>? AND key<? ORDER BY key LIMIT ?"


Soon = Callable[[Callable[[], None]], object]


class SqliteStore:
    """A `Store` in a file, or in memory when there is no path (then nothing is ever durable, whatever `sync` says).

    Shape:   `sync="normal"` survives a killed process; `full` survives power loss too.
    Raises:  StoreError when the file cannot be opened, is damaged, or has another format.
    """

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
        self._connections: list[sqlite3.Connection] = []
        self._mover: LogMover | None = None
        self._committing = threading.Lock()
        self._soon: Soon | None = None
        self._begins_reads = (
            False  # whether the next read begins the transaction that the reads of its turn share
        )
        if path is not None:
            keep_private(path, make=True)
            for suffix in ("-wal", "-shm"):  # of an owner that was killed; new ones are made as the file is
                keep_private(path.with_name(path.name + suffix))
        try:
            self._writer = self._connect()
            prepare(self._writer, path)
            self._reader = self._connect() if path is not None and sync == "full" else self._writer
            self._get = self._reader.cursor().execute  # a cursor of its own a call would be a third of it
            if path is not None:
                self._mover = LogMover(self._connect, Path(f"{path}-wal"))
            for connection in (self._writer, self._reader):
                connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        except sqlite3.Error as error:
            self.close()
            raise self._failure(error) from error
        except BaseException:  # whatever it was, what is open is given back before it goes on
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if self._path is None else str(self._path),
            isolation_level=None, check_same_thread=False, cached_statements=64,
        )  # fmt: skip
        self._connections.append(connection)
        connection.execute(f"PRAGMA busy_timeout={OPENING_MS}")
        found_format(connection, self._path)  # before anything is written: the next pragma changes the file
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if self._path is not None and mode != "wal":
            raise StoreError(
                f"{self._path}: the file system has no shared memory for SQLite's write-ahead log",
                hint="put the data directory on a local disk with --data",
            )
        connection.execute(f"PRAGMA synchronous={self._sync}")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA journal_size_limit={MOVE_BYTES}")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        return connection

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, table: int, key: bytes) -> bytes | None:
        """The value of one row. Raises: StoreError."""
        try:
            if self._begins_reads:
                self._begin_reads()
            # The key is unique: `fetchone` finds the end of the statement too, which gives its read transaction back.
            found = self._get(GET, (bytearray(table.to_bytes(4, "big") + key),)).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return found[0] if found is not None else None

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last, ascending or descending. Raises: StoreError."""
        end = _key(table + 1, b"") if last is None else _key(table, last)
        try:
            if self._begins_reads:
                self._begin_reads()
            return self._get(
                RANGE_REVERSE if reverse else RANGE, (bytearray(_key(table, first)), bytearray(end), limit)
            ).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def read_log(self, shard: int, after: int, limit: int) -> list[LogRow]:
        """At most `limit` records of a shard with sequence > after, ascending. Raises: StoreError."""
        try:
            found = self._reader.execute(
                READ_LOG, (_log_key(shard, after), _log_key(shard + 1, 0), limit)
            ).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return [
            LogRow(shard, int.from_bytes(key[8:], "big"), header, old, new) for key, header, old, new in found
        ]

    def share_reads(self, soon: Soon) -> None:
        """Let the reads of one turn of the event loop share a transaction; `soon` calls back when the turn is over.

        A read in a transaction costs half. With `full` nothing changes: there commits land while a turn's reads go on, and those
        must see them.
        """
        if self._reader is self._writer:
            self._soon, self._begins_reads = soon, True

    def _begin_reads(self) -> None:
        assert self._soon is not None
        self._get("BEGIN")
        self._begins_reads = False
        self._soon(self._end_reads)

    def _end_reads(self) -> None:
        if self._soon is None or self._begins_reads:
            return
        self._begins_reads = True
        with contextlib.suppress(
            sqlite3.Error
        ):  # closed meanwhile, or ended by a fault that the read has told
            if self._reader.in_transaction:
                self._get("COMMIT")

    # ---- writing -------------------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> None:
        """One transaction. Raises: StoreError, and then nothing of it was written."""
        with self._committing:
            try:
                self._commit(commit)
            except sqlite3.Error as error:
                raise self._failure(error) from error
            if self._mover is not None:
                self._mover.committed()

    def _commit(self, commit: Commit) -> None:
        self._end_reads()
        with self._synced(commit.sync):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._reached("commit.begun")
                self._write(commit)
                self._reached("commit.written")
                self._writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself after some faults
                    self._writer.execute("ROLLBACK")
                raise

    def _write(self, commit: Commit) -> None:
        execute_many = self._writer.executemany
        if commit.rows:
            # Rows come in order and the last one of a key wins, so that puts and deletes may be written apart.
            latest = {_key(row.table, row.key): row.value for row in commit.rows}
            puts = [(bytearray(key), bytearray(value)) for key, value in latest.items() if value is not None]
            execute_many(PUT, puts)
            if len(puts) < len(latest):
                deletes = [(key,) for key, value in latest.items() if value is None]
                execute_many("DELETE FROM items WHERE key=?", deletes)
        if commit.log:
            execute_many(
                "INSERT INTO log VALUES(?,?,?,?)",
                [
                    (
                        bytearray(_log_key(row.shard, row.sequence)),
                        bytearray(row.header),
                        None if row.old is None else bytearray(row.old),
                        None if row.new is None else bytearray(row.new),
                    )
                    for row in commit.log
                ],
            )
        if commit.trims:
            execute_many(
                "DELETE FROM log WHERE key>=? AND key<=?",
                [(_log_key(trim.shard, 0), _log_key(trim.shard, trim.through)) for trim in commit.trims],
            )

    @contextlib.contextmanager
    def _synced(self, is_wanted: bool) -> Iterator[None]:
        """Make one commit survive power loss whatever the setting.

        FULL and not a checkpoint: in WAL mode FULL syncs the log file once, at the commit, and with it every earlier
        commit in it, and SQLite replays a synced log after a power loss. A checkpoint would sync twice and move pages.
        """
        if not is_wanted or self._sync == "FULL" or self._path is None:
            yield
            return
        self._writer.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            with contextlib.suppress(
                sqlite3.Error
            ):  # the commit stands, and later ones are synced for nothing
                self._writer.execute("PRAGMA synchronous=NORMAL")

    def pressure_s(self) -> float:
        """How long the next commit is to be held back at most, because the log cannot be moved as fast as it grows; 0: not at all."""
        return 0.0 if self._mover is None else self._mover.pressure_s()

    def close(self) -> None:
        """Move the log into the database and give everything back; a commit under way ends first. Repeatable."""
        # Closing a connection that another thread is writing through would kill the process.
        with self._committing:
            self._end_reads()  # the log cannot be moved under our own reads
            if self._mover is not None:
                self._mover.close()
                self._mover = None
            while self._connections:
                self._connections.pop().close()

    def _failure(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self._path or 'the store in memory'}: {error}", hint=_hint(error))


def _key(table: int, key: bytes) -> bytes:
    return table.to_bytes(4, "big") + key


def _log_key(shard: int, sequence: int) -> bytes:
    return (shard << 64 | sequence).to_bytes(16, "big")


def _hint(error: sqlite3.Error) -> str:
    """What to do about it, by SQLite's primary result code (errors of the Python module itself have none)."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return (
                "free some disk space: nothing of the failed commit was written, and the next one may succeed"
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "stop tailrace, keep a copy of the directory, and start with another --data; `sqlite3 FILE .recover` may save what is left"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return "check that the directory exists and that this user may write to it, or use another --data"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process has the file open: stop it, or use another --data"
        case sqlite3.SQLITE_IOERR:
            return "check the disk and its free space; nothing of the failed commit was written"
        case _:
            return "stop tailrace and start it again; if this repeats, report it with the message above"
