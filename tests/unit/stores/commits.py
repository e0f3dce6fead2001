"""Commits of a size, and what a store holds of them: for the tests of the store on SQLite.

Rules of this file: a process that a test kills imports it, so it imports no test.
"""

from typing import Final

from tailrace.ports import Commit, LogRow, Row
from tailrace.stores.sqlite import SqliteStore

TABLE: Final = 16


def group(number: int, size: int = 300) -> Commit:
    """A group of 16 items and their records."""
    numbers = range(number * 16, number * 16 + 16)
    rows = [Row(TABLE, b"%06d" % one, b"x" * size) for one in numbers]
    return Commit(rows, [LogRow(1, one + 1, b"h" * 100, None, b"x" * size) for one in numbers])


def count(store: SqliteStore) -> tuple[int, int]:
    return len(store.query(TABLE, b"", None, 1_000_000)), len(store.read_log(1, 0, 1_000_000))
