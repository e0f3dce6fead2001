"""The store on SQLite: rows, logs and state of one data directory in one file.

Rules of this file: one writer; every commit is one transaction; no read transaction outlives a call, or, once
`share_reads` was called, a turn of the event loop. With `normal` all calls come from one thread and share one
connection. With `full`, and with `normal` between `read_apart(True)` and `read_apart(False)`, `commit` may
run in one writer thread while the owner's thread calls `get`, `query` and `read_log`: each side has its own
connection, and a read sees what was committed when it began. Everything else (opening, closing) happens while
nothing is under way. What is bound is a bytearray: for any other type the sqlite3 module looks for adapters,
half a microsecond a value. Layout: docs/formats/store.md. Made by opened.py.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from isal.isal_zlib import crc32

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow
from tailrace.stores.checksums import RECORDS, ROWS, open_sums, record_sum
from tailrace.stores.failures import damaged_record, damaged_row, failed, is_busy, is_damage
from tailrace.stores.layout import found_format, prepare
from tailrace.stores.private import keep_private
from tailrace.stores.standing import StandingSqlite, checked_rows
from tailrace.stores.wal import LOOK_BYTES, MOVE_BYTES, LogMover
from tailrace.telemetry import PointReached, pass_by

PAGE_BYTES: Final = 4_096
ROW_BYTES: Final = 8 * PAGE_BYTES
"""So many pages a row or record changes beside its values: its leaf, its index entry, what is split above."""
CACHE_KIB: Final = 48 << 10
"""Measured with items of 300 bytes: 16 MiB serve a million of them slower, 64 no faster."""
BUSY_MS: Final = 250
"""How long a commit waits for another process that writes to the file, which none should: the loop waits."""
OPENING_MS: Final = 10_000
"""The same while the file is opened, when no client is served yet."""
GET: Final = "SELECT value, sum FROM items WHERE key=?"
RANGE: Final = "SELECT substr(key, 5), value, sum FROM items WHERE key>=? AND key<? ORDER BY key LIMIT ?"
RANGE_REVERSE: Final = (
    "SELECT substr(key, 5), value, sum FROM items WHERE key>=? AND key<? ORDER BY key DESC LIMIT ?"
)
PUT: Final = (
    "INSERT INTO items VALUES(?1,?2,?3) "
    "ON CONFLICT(key) DO UPDATE SET value=excluded.value, sum=sum_replaced(?4, items.sum, excluded.sum)"
)
"""An upsert and no REPLACE, which would remove the row and put another at the end: two pages and an index
entry more. It tells the row's checksum by the way: reading it before would be a statement more for each
row."""
PUT_UNCHECKED: Final = (
    "INSERT INTO items VALUES(?1,?2,NULL) ON CONFLICT(key) DO UPDATE SET value=excluded.value, sum=NULL"
)
DELETE: Final = "DELETE FROM items WHERE key=?1 AND sum_gone(?2, sum)"
READ_LOG: Final = "SELECT key, header, old, new, sum FROM log WHERE key>? AND key<? ORDER BY key LIMIT ?"
LOG_REVERSE: Final = (
    "SELECT key, header, old, new, sum FROM log WHERE key>=? AND key<? ORDER BY key DESC LIMIT ?"
)
TRIM: Final = "DELETE FROM log WHERE key>=? AND key<=?"
TRIMMED: Final = "SELECT count(sum), ifnull(sum(sum), 0) FROM log WHERE key>=? AND key<=?"


Soon = Callable[[Callable[[], None]], object]


class SqliteStore:
    """A `Store` in a file, or in memory without a path (then nothing is ever durable, whatever `sync` says).

    Shape:   `sync="normal"` survives a killed process; `full` survives power loss too.
    Raises:  StoreError when the file cannot be opened, is damaged, or has another format.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        sync: Literal["normal", "full"] = "normal",
        checksums: bool | None = True,
        reached: PointReached = pass_by,
    ) -> None:
        self._path = path
        self._sync = sync.upper()
        self._reached = reached
        self._connections: list[sqlite3.Connection] = []
        self._mover: LogMover | None = None
        self._unseen = 0
        """How much the log may have grown since the last look. Units: bytes."""
        self._committing = threading.Lock()
        self._soon: Soon | None = None
        self._shared: Soon | None = None
        """`_soon` while reads are apart."""
        self._aside: sqlite3.Connection | None = None
        self._begins_reads = False
        """Whether the next read begins the transaction that the reads of its turn share."""
        if path is not None:
            keep_private(path, make=True)
            for suffix in ("-wal", "-shm"):  # of an owner that was killed; new ones are made as the file is
                keep_private(path.with_name(path.name + suffix))
        try:
            self._writer = self._connect()
            self._execute = self._writer.cursor().execute
            prepare(self._writer, path)
            self._sums = None if path is None else open_sums(self._writer, is_wanted=checksums)
            self._reader = self._connect() if path is not None and sync == "full" else self._writer
            self._get = self._reader.cursor().execute  # a cursor of its own a call would be a third of it
            if path is not None:
                self._mover = LogMover(self._connect, Path(f"{path}-wal"))
            for connection in (self._writer, self._reader):
                # No row is text: what a flipped bit makes text is still its bytes.
                connection.text_factory = bytes
                connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        except sqlite3.Error as error:
            self.close()
            raise failed(self._path, error) from error
        except BaseException:  # whatever it was, what is open is given back before it goes on
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if self._path is None else str(self._path),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
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

    # ---- reading -------------------------------------------------------------------------------------------

    def get(self, table: int, key: bytes) -> bytes | None:
        """The value of one row. Raises: StoreError."""
        try:
            if self._begins_reads:
                self._begin_reads()
            # The key is unique: `fetchone` finds the end of the statement, which ends its read transaction.
            row = self._get(GET, (bytearray(table.to_bytes(4, "big") + key),)).fetchone()
            if row is None:
                return None
            value: bytes
            value, checksum = row
            # As `row_sum`, in one call: this is a tenth of what a read in the store costs.
            if (
                self._sums is not None
                and checksum != crc32(value, crc32(key, table))
                and checksum is not None
            ):
                raise damaged_row(self._path, table, key)
        except sqlite3.Error as error:
            if is_damage(error):
                raise damaged_row(self._path, table, key) from error
            raise failed(self._path, error) from error
        except TypeError:  # the bits that say what kind of value it is have flipped
            raise damaged_row(self._path, table, key) from None
        return value

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last, ascending or descending. Raises: StoreError."""
        end = _key(table + 1, b"") if last is None else _key(table, last)
        try:
            if self._begins_reads:
                self._begin_reads()
            stored = self._get(
                RANGE_REVERSE if reverse else RANGE, (bytearray(_key(table, first)), bytearray(end), limit)
            ).fetchall()
        except sqlite3.Error as error:
            raise failed(self._path, error) from error
        if self._sums is None:
            return [(key, value) for key, value, _ in stored]
        try:
            # As `row_sum`, in one call: this is a tenth of what a Query of ten items costs.
            rows = [(key, value) for key, value, checksum in stored if checksum == crc32(key + value, table)]
        except TypeError:  # the bits that say what kind of value it is have flipped
            rows = []
        return rows if len(rows) == len(stored) else checked_rows(self._path, table, stored)

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        """At most `limit` records with sequence > after, ascending, or < after, descending.

        Raises:  StoreError.
        """
        place = _log_key(shard, after)
        try:
            if reverse:
                rows = self._reader.execute(LOG_REVERSE, (_log_key(shard, 0), place, limit))
            else:
                rows = self._reader.execute(READ_LOG, (place, _log_key(shard + 1, 0), limit))
            stored = rows.fetchall()
        except sqlite3.Error as error:
            raise failed(self._path, error) from error
        number = int.from_bytes
        if self._sums is None:
            return [
                LogRow(shard, number(key[8:], "big"), header, old, new) for key, header, old, new, _ in stored
            ]
        try:
            # As `record_sum`, without its call: this is a tenth of what delivering a record costs.
            records = [
                LogRow(shard, number(key[8:], "big"), header, old, new)
                for key, header, old, new, checksum in stored
                if checksum
                == crc32(b"".join((key, header, old or b"", new or b"")), 0 if old is None else len(old) + 1)
            ]
        except TypeError:  # the bits that say what kind of value it is have flipped
            records = []
        return records if len(records) == len(stored) else self._checked_records(shard, stored)

    def _checked_records(self, shard: int, stored: Sequence[tuple[Any, ...]]) -> list[LogRow]:
        """Records of which one is damaged, or of an older format without checksums. Raises: DamagedData."""
        readable: list[LogRow] = []
        for key, header, old, new, checksum in stored:
            try:
                is_whole = checksum is None or checksum == record_sum(key, header, old, new)
            except TypeError:
                is_whole = False
            if not is_whole:
                raise damaged_record(self._path, shard, key, readable)
            readable.append(LogRow(shard, int.from_bytes(key[8:], "big"), header, old, new))
        return readable

    def share_reads(self, soon: Soon) -> None:
        """Let the reads of one turn of the event loop share a transaction; `soon` calls back after the turn.

        A read in a transaction costs half. With `full` nothing changes: there commits land while a turn's
        reads go on, and those must see them.
        """
        if self._reader is self._writer:
            self._soon, self._begins_reads = soon, True

    def read_apart(self, is_apart: bool) -> None:
        """Read through a connection of its own from now on, while another thread writes, or no longer. For
        files in `normal`, whose one connection does both otherwise. Raises: StoreError.
        """
        if is_apart:
            self._end_reads()
            if self._aside is None:
                self._aside = self._open_aside()
            self._reader, self._shared, self._soon = self._aside, self._soon, None
        else:
            self._reader, self._soon = self._writer, self._shared
        self._begins_reads = self._soon is not None
        self._get = self._reader.cursor().execute

    def _open_aside(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
        except sqlite3.Error as error:
            raise failed(self._path, error) from error
        connection.text_factory = bytes
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        return connection

    @property
    def can_read_apart(self) -> bool:
        """Whether `read_apart` is of use: not in memory, nor with `full`, where reads always are apart."""
        return self._path is not None and self._sync == "NORMAL"

    def _begin_reads(self) -> None:
        assert self._soon is not None
        self._get("BEGIN")
        self._begins_reads = False
        self._soon(self._end_reads)

    def _has_reads(self) -> bool:
        """Whether the reads of this turn have a transaction open."""
        return self._soon is not None and not self._begins_reads and self._writer.in_transaction

    def _end_reads(self) -> None:
        if self._soon is None or self._begins_reads:
            return
        self._begins_reads = True
        # Closed meanwhile, or ended by a fault that the read has raised.
        with contextlib.suppress(sqlite3.Error):
            if self._reader.in_transaction:
                self._get("COMMIT")

    def standing(self) -> StandingSqlite:
        """What has been committed, as it is now: a read transaction of its own, in memory a copy. Raises:
        StoreError.
        """
        try:
            if self._path is None:
                self._end_reads()
                connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                self._writer.backup(connection)
                connection.text_factory = bytes
            else:
                connection = self._open_aside()
                self._connections.remove(connection)  # whoever reads gives it back
            return StandingSqlite(connection, self._path, is_checked=self._sums is not None)
        except sqlite3.Error as error:
            raise failed(self._path, error) from error

    # ---- writing -------------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> None:
        """One transaction. Raises: StoreError, and then nothing of it was written."""
        with self._committing:
            try:
                self._commit(commit)
            except sqlite3.Error as error:
                raise failed(self._path, error) from error
            mover = self._mover
            if mover is not None:
                self._unseen += _growth(commit)
                if self._unseen >= LOOK_BYTES or mover.is_crowded:
                    self._unseen = 0
                    mover.committed()

    def _commit(self, commit: Commit) -> None:
        if commit.sync and self._sync != "FULL" and self._path is not None:
            self._end_reads()
            with self._synced():
                self._begin_and_write(commit)
            return
        if self._has_reads():
            # The transaction of the turn's reads becomes the commit's: two would cost six locks of the file.
            self._begins_reads = True
            try:
                self._write_and_end(commit)
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                # Another process has written since those reads: no write may stand on what they have seen.
        self._begin_and_write(commit)

    def _begin_and_write(self, commit: Commit) -> None:
        self._execute("BEGIN IMMEDIATE")
        self._write_and_end(commit)

    def _write_and_end(self, commit: Commit) -> None:
        try:
            self._reached("commit.begun")
            self._write(commit)
            self._reached("commit.written")
            self._execute("COMMIT")
            if self._sums is not None:
                self._sums.committed()
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself after some faults
                self._execute("ROLLBACK")
            raise

    def _write(self, commit: Commit) -> None:
        if self._sums is not None:
            self._sums.begin()
        if commit.rows:
            # Rows come in order and the last of a key wins, so that puts and deletes may be written apart.
            self._write_rows({(row.table, row.key): row.value for row in commit.rows})
        if commit.log:
            self._write_log(commit.log)
        for trim in commit.trims:
            range_ = (_log_key(trim.shard, 0), _log_key(trim.shard, trim.through))
            if self._sums is not None:
                count, total = self._writer.execute(TRIMMED, range_).fetchone()
                self._sums.add(RECORDS, trim.shard, -count, -int(total))
            self._writer.execute(TRIM, range_)
        if self._sums is not None:
            self._sums.write(self._writer)

    def _write_rows(self, latest: dict[tuple[int, bytes], bytes | None]) -> None:
        execute_many, sums = self._writer.executemany, self._sums
        if sums is None:
            execute_many(
                PUT_UNCHECKED,
                [
                    (bytearray(_key(*place)), bytearray(value))
                    for place, value in latest.items()
                    if value is not None
                ],
            )
            execute_many(
                "DELETE FROM items WHERE key=?",
                [(_key(*place),) for place, value in latest.items() if value is None],
            )
            return
        puts = []
        at, prefix, changing = -1, b"", [0, 0]
        for (table, key), value in latest.items():
            if value is None:
                continue
            if table != at:  # rows of one table mostly come one after the other
                at, prefix, changing = table, table.to_bytes(4, "big"), sums.changing(ROWS, table)
            checksum = crc32(value, crc32(key, table))
            changing[0] += 1
            changing[1] += checksum
            puts.append((bytearray(prefix + key), bytearray(value), checksum, table))
        execute_many(PUT, puts)
        if len(puts) < len(latest):
            execute_many(
                DELETE, [(_key(table, key), table) for (table, key), value in latest.items() if value is None]
            )

    def _write_log(self, log: Sequence[LogRow]) -> None:
        sums, rows = self._sums, []
        checksum = None
        for row in log:
            key, header, old, new = _log_key(row.shard, row.sequence), row.header, row.old, row.new
            if sums is not None:
                checksum = record_sum(key, header, old, new)
                changing = sums.changing(RECORDS, row.shard)
                changing[0] += 1
                changing[1] += checksum
            rows.append(
                (
                    bytearray(key),
                    bytearray(header),
                    None if old is None else bytearray(old),
                    None if new is None else bytearray(new),
                    checksum,
                )
            )
        self._writer.executemany("INSERT INTO log VALUES(?,?,?,?,?)", rows)

    @contextlib.contextmanager
    def _synced(self) -> Iterator[None]:
        """Make one commit survive power loss although the setting is `normal`.

        FULL and not a checkpoint: in WAL mode FULL syncs the log file once, at the commit, and with it every
        earlier commit in it, and SQLite replays a synced log after a power loss. A checkpoint would sync
        twice and move pages.
        """
        self._execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            # The commit stands, and later ones are synced for nothing.
            with contextlib.suppress(sqlite3.Error):
                self._execute("PRAGMA synchronous=NORMAL")

    def pressure_s(self) -> float:
        """How long the next commit waits at most because the log grows faster than it can be moved, or 0."""
        mover = self._mover
        return mover.pressure_s() if mover is not None and mover.is_crowded else 0.0

    def close(self) -> None:
        """Move the log into the database and give everything back; ends a commit first. Repeatable."""
        # Closing a connection that another thread is writing through would kill the process.
        with self._committing:
            self._end_reads()  # the log cannot be moved under our own reads
            if self._mover is not None:
                self._mover.close()
                self._mover = None
            while self._connections:
                self._connections.pop().close()


def _growth(commit: Commit) -> int:
    """How much a commit lets the write-ahead log grow at most; removals touch any page. Units: bytes."""
    if commit.trims:
        return LOOK_BYTES
    size = (len(commit.rows) + len(commit.log)) * ROW_BYTES
    for row in commit.rows:
        size += len(row.value or b"")
    for record in commit.log:
        size += len(record.old or b"") + len(record.new or b"")
    return size


def _key(table: int, key: bytes) -> bytes:
    return table.to_bytes(4, "big") + key


def _log_key(shard: int, sequence: int) -> bytes:
    return (shard << 64 | sequence).to_bytes(16, "big")
