"""One question to a DuckDB file: a single SELECT, read only, paged, and ended from another thread.

Theory of operation: rows are made as they are fetched, so an answer of any size takes the memory of a page.
Python needs the package pytz for a TIMESTAMP WITH TIME ZONE; columns that hold one, at whatever depth, are
asked as text instead, which says the same: `2026-11-27 21:00:00+00`.
Rules of this file: a question belongs to one thread at a time, but for `interrupt`. What may be reached is
the file's own tables: the connection is opened with `SEALED`. Made by `DuckDB.question`, asked by
server/sql.py.
"""

import re
import threading
from typing import TYPE_CHECKING, Any, Final

from tailrace.errors import SinkError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS: Final = 500
"""Rows of a page."""
NUMERIC: Final = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|DECIMAL\(|FLOAT$|DOUBLE$")
ZONED: Final = "TIMESTAMP WITH TIME ZONE"
SEALED: Final = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "lock_configuration": "true",
}
"""No file but the database's own, no extension, no network, and no way for a question to change that."""
AGAIN_S: Final = 0.05


class Question:
    """A cursor with one question. Shape: `columns` are names, once it has begun, `numbers` the places of
    those that hold numbers.
    """

    def __init__(self, cursor: "DuckDBPyConnection", sql: str) -> None:
        self.columns: list[str] = []
        self.numbers: list[int] = []
        self._cursor = cursor
        self._sql = sql
        self._is_over = False
        self._at_work = threading.Lock()

    def begin(self) -> list[str]:
        """Begin it. Returns: the columns' names. Raises: SinkError, also for what is no single SELECT."""
        import duckdb

        with self._at_work:
            try:
                self._begin()
            except duckdb.Error as error:
                raise SinkError(str(error)) from error
        return self.columns

    def _begin(self) -> None:
        statements = self._cursor.extract_statements(self._sql)
        # EXPLAIN is refused too: EXPLAIN ANALYZE carries out what it explains, a COPY to a file included.
        if len(statements) != 1 or statements[0].type.name != "SELECT":
            raise SinkError("only one SELECT can be asked", hint='tailrace sql "select count(*) from …"')
        if self._is_over:
            raise SinkError("the question was given up")
        self._cursor.execute("BEGIN TRANSACTION READ ONLY")  # a SELECT may hold a DELETE … RETURNING
        relation = self._cursor.sql(self._sql)
        self.columns = list(relation.columns)
        kinds = [str(kind) for kind in relation.types]
        self.numbers = [place for place, kind in enumerate(kinds) if NUMERIC.match(kind)]
        self._cursor.execute(unzoned(self._sql, kinds) if any(ZONED in kind for kind in kinds) else self._sql)

    def page(self) -> list[tuple[Any, ...]]:
        """The next rows, none at the end. Raises: SinkError in DuckDB's words."""
        import duckdb

        with self._at_work:
            try:
                if self._is_over:
                    raise SinkError("the question was given up")
                rows: list[tuple[Any, ...]] = self._cursor.fetchmany(ROWS)
            except duckdb.Error as error:
                raise SinkError(str(error)) from error
        return rows

    def close(self) -> None:
        """End it: interrupt what it is doing, in whatever thread that is, and close it. Repeatable."""
        self._is_over = True
        while not self._at_work.acquire(timeout=AGAIN_S):
            self._cursor.interrupt()  # again and again: one that comes before the work has begun is lost
        try:
            self._cursor.close()
        finally:
            self._at_work.release()


def unzoned(sql: str, kinds: list[str]) -> str:
    """The same question with its times as text.

    >>> unzoned("select now() as t, 1 as n", ["TIMESTAMP WITH TIME ZONE", "INTEGER"])
    'SELECT #1::VARCHAR, #2 FROM (\\nselect now() as t, 1 as n\\n)'
    """
    columns = [
        f"#{place}::{kind.replace(ZONED, 'VARCHAR')}" if ZONED in kind else f"#{place}"
        for place, kind in enumerate(kinds, 1)
    ]
    return f"SELECT {', '.join(columns)} FROM (\n{sql.rstrip().removesuffix(';')}\n)"
