"""The rows of a SQLite file as they were at one moment, read beside the store that goes on writing.

Theory of operation: a read transaction of the write-ahead log sees what was committed when it began, and
holds up no writer. What is written meanwhile stays in that log until it ends, so it is closed as soon as it
can be.
Rules of this file: it only reads, through a connection of its own, and compares checksums as the store does.
Stands alone because the store's own reads never outlive a turn. Made by `SqliteStore.standing`.
"""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tailrace.errors import StoreError
from tailrace.stores.checksums import row_sum
from tailrace.stores.failures import damaged_row, failed

FROM: Final = "SELECT substr(key, 5), value, sum FROM items WHERE key>=? AND key<? ORDER BY key LIMIT ?"


class StandingSqlite:
    """The port StandingRows over a connection, which it takes over."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None, *, is_checked: bool) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._path = path
        self._is_checked = is_checked
        self._one = threading.Lock()
        """Closing a connection that another thread reads through would kill the process."""
        try:
            connection.execute("BEGIN")
            connection.execute(
                "SELECT 1 FROM items LIMIT 1"
            ).fetchone()  # what it sees is fixed by the first read
        except sqlite3.Error:
            connection.close()
            raise

    def query(self, table: int, first: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key. Raises: StoreError."""
        start, end = table.to_bytes(4, "big") + first, (table + 1).to_bytes(4, "big")
        with self._one:
            if self._connection is None:
                raise StoreError("the rows of that moment were given back")
            try:
                stored = self._connection.execute(FROM, (start, end, limit)).fetchall()
            except sqlite3.Error as error:
                raise failed(self._path, error) from error
        if self._is_checked:
            return checked_rows(self._path, table, stored)
        return [(key, value) for key, value, _ in stored]

    def close(self) -> None:
        """End the transaction. Repeatable."""
        with self._one:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def checked_rows(
    path: Path | None, table: int, stored: Sequence[tuple[Any, ...]]
) -> list[tuple[bytes, bytes]]:
    """Rows of (key, value, checksum), none of them damaged; those of an older format have no checksum.

    Raises:  DamagedData naming the first that is.
    """
    for key, value, checksum in stored:
        try:
            is_whole = checksum is None or checksum == row_sum(table, key, value)
        except TypeError:  # the bits that say what kind of value it is have flipped
            is_whole = False
        if not is_whole:
            raise damaged_row(path, table, key)
    return [(key, value) for key, value, _ in stored]
