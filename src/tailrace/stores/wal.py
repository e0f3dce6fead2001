"""The write-ahead log of a SQLite file, kept small without making commits wait.

Rules of this file: a thread of its own moves the log into the database while commits go on (a passive checkpoint takes no lock that
a reader or the writer needs). Only beyond a bound does a commit move the log itself, which is the back-pressure. The
thread ends with `close`. Called by `stores.sqlite`.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOVE_BYTES: Final = 8 << 20
"""A log that has grown by this much is worth moving: large enough that pages written twice are moved once."""
MOST_BYTES: Final = 64 << 20
"""Beyond this size a commit moves the log itself, so that a fast writer cannot fill the disk."""


class LogMover:
    """Looks at the log's size after each commit. Units: bytes.

    Guarantee: after `committed` returned, the log is smaller than `most_bytes` plus what a reader kept from being moved.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        log: Path,
        *,
        move_bytes: int = MOVE_BYTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._log = log
        self._move_bytes = move_bytes
        self._most_bytes = most_bytes
        self._size_when_asked = 0
        self._wanted = threading.Event()
        self._moving = threading.Lock()
        self._is_closing = False
        self._connection = connect()
        self._thread = threading.Thread(target=self._run, name="tailrace-wal", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Ask for a move when the log has grown enough; beyond the bound, move it and wait."""
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            return
        if size > self._most_bytes:
            self._move("TRUNCATE")
            self._size_when_asked = 0
            return
        # SQLite begins the file anew once all of it was moved, and then cuts it to its size limit: it got smaller.
        self._size_when_asked = min(self._size_when_asked, size)
        if size - self._size_when_asked >= self._move_bytes:
            self._size_when_asked = size
            self._wanted.set()

    def close(self) -> None:
        """End the thread and move what is left."""
        self._is_closing = True
        self._wanted.set()
        self._thread.join()
        self._move("TRUNCATE")
        self._connection.close()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._is_closing:
                return
            self._move("PASSIVE")

    def _move(self, mode: str) -> None:
        # A busy or failing move costs nothing but a longer log: the next commits ask again, and one that finds the disk
        # full or broken says so itself.
        with self._moving, contextlib.suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
