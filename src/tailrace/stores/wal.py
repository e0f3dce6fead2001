"""The write-ahead log of a SQLite file, kept small without making commits wait.

Theory of operation: a thread of its own moves the log into the database while commits go on (a passive
checkpoint takes no lock that a reader or the writer needs). SQLite begins the log anew with the first commit
after all of it was moved. A fast writer never leaves that gap, and a reader elsewhere may keep the log from
being moved at all: beyond a bound, `pressure_s` asks the committer to leave gaps.
Rules of this file: a look costs a call of the system, so `stores.sqlite` tells of commits when they may have
made the log grow. Nothing here waits on the committing thread, and nothing that fails here fails a
commit: it has been made. The thread ends with `close`. Called by `stores.sqlite`; the pressure is heeded by
`server.turns`.
"""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOVE_BYTES: Final = 8 << 20
"""A log that has grown by this much is worth moving: large enough that pages written twice are moved once."""
LOOK_BYTES: Final = 4 << 20
"""A log that may have grown by this much is looked at."""
MOST_BYTES: Final = 64 << 20
"""Beyond this size commits are held back, so that a fast writer cannot fill the disk."""
GAP_S: Final = 0.25
"""How long a commit is held back at most for a move to catch up: many times what moving the last few pages
takes.
"""
READER_S: Final = 0.05
"""How long each commit is held back while a reader keeps the log at its bound; twice as long at twice the
size.
"""
MOST_S: Final = 1.0
LOOK_S: Final = 0.2
"""How often a log that a reader keeps is looked at again."""
SOON_S: Final = 0.002
LOOKS: Final = 50
"""A reader is in the way for a moment again and again, ours with `full` too: only one that so many looks in a
row find there keeps the log.
"""

_log = logging.getLogger("tailrace.store")


class LogMover:
    """Looks at the log's size when it is told of a commit. Units: bytes, seconds.

    Guarantee: an owner that tells of its commits, and leaves the gaps that `pressure_s` asks for, has a log
               below `most_bytes` plus what is committed from one telling to the next, and what a reader
               elsewhere keeps from being moved. No call waits for a move, except `close`.
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
        self._name = str(log)
        self._move_bytes = move_bytes
        self._most_bytes = most_bytes
        self._size = 0
        self._size_when_asked = 0
        self._commits = 0
        self.is_crowded = False
        """Whether the log is beyond its bound: then each commit is told of, and `pressure_s` asks for gaps.
        """
        self._kept = 0
        """How many looks in a row have found that a reader keeps the log from being moved."""
        self._is_told = False
        self._wanted = threading.Event()
        self._is_closing = False
        self._connection = connect()
        self._connection.execute("PRAGMA busy_timeout=0")  # a move that cannot be made is made later
        self._thread = threading.Thread(target=self._run, name="tailrace-wal", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Ask for a move when the log has grown enough. It never waits and never fails."""
        self._commits += 1
        try:
            size = os.stat(self._name).st_size  # of a Path it costs twice as much
        except OSError:  # no log yet, or the directory was taken away from us: the commit stands all the same
            return
        self._size = size
        if size > self._most_bytes:
            self.is_crowded = True
            self._wanted.set()
            return
        # SQLite begins the file anew once all of it was moved, and then cuts it to its size limit.
        self._size_when_asked = min(self._size_when_asked, size)
        if size - self._size_when_asked >= self._move_bytes:
            self._size_when_asked = size
            self._wanted.set()

    def pressure_s(self) -> float:
        """How long the next commit is to be held back at most; it may go as soon as this says 0."""
        if not self.is_crowded:
            return 0.0
        if self._is_kept:
            return min(MOST_S, READER_S * self._size / self._most_bytes)
        return GAP_S

    @property
    def _is_kept(self) -> bool:
        return self._kept >= LOOKS

    def close(self) -> None:
        """End the thread and move what is left, unless a reader keeps it."""
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
            while self.is_crowded and not self._is_closing:
                self._relieve()

    def _relieve(self) -> None:
        """One more move of a log beyond its bound. It is relieved when nothing was committed since the move
        began.
        """
        before = self._commits
        held, moved = self._move("PASSIVE")
        self._kept = self._kept + 1 if moved < held else 0
        if self._kept:
            if self._is_kept:
                self._tell()
            threading.Event().wait(LOOK_S if self._is_kept else SOON_S)
        elif self._commits == before:
            self.is_crowded = False
            if self._is_told:
                self._is_told = False
                _log.info("the write-ahead log %s is moved again: writes are as fast as before", self._log)

    def _tell(self) -> None:
        if self._is_told:
            return
        self._is_told = True
        _log.warning(
            "the write-ahead log %s has grown to %s MiB and cannot be moved: another process has "
            "been reading the database for long. "
            "Writes are slowed down",
            self._log,
            self._size // (1 << 20),
            extra={"hint": "end the read transaction in that process (a sqlite3 shell, a backup)"},
        )

    def _move(self, mode: str) -> tuple[int, int]:
        """Pages in the log and those of them that are moved now."""
        # A busy or failing move costs nothing but a longer log: the next commits ask again, and one that
        # finds the disk full or broken says so itself.
        with contextlib.suppress(sqlite3.Error):
            rows = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
            (_, held, moved) = rows[0]
            return int(held), int(moved)
        return 1, 0
