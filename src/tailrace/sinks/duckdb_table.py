"""A DuckDB file as a sink: the newest image of each item, asked with SQL while changes arrive.

Theory of operation: a batch is one transaction of the core in sinks/sql/, which keeps the law of versions,
lets columns grow with the attributes and keeps positions beside the rows.
Rules of this file: one writer at a time; a question has a connection of its own in this process, because a
second process cannot open a file that is written. Needs the extra `duckdb`. Declared as `sinks.DuckDB(…)`,
asked by server/sql.py.
"""

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tailrace.app.sinking import DONE
from tailrace.errors import Refused, SettingsError, SinkError, Unavailable
from tailrace.leases.generation import BEFORE
from tailrace.ports import Clock, ProjectionStore
from tailrace.runtime.threads import in_thread
from tailrace.sinks.duckdb_question import SEALED, Question
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.sql.catalog import SinkCatalog
from tailrace.sinks.sql.duckdb import MEMORY, DuckDbDialect, FileLock, carried_out, lock_of, take_back
from tailrace.sinks.sql.duckdb_before import is_before, migrated
from tailrace.sinks.sql.sink import SqlSink
from tailrace.sinks.sql.statements import Begin, MustBeAlone
from tailrace.streams.version import FIRST_GENERATION

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tailrace.app.projection import Projection

Result = TypeVar("Result")


@dataclass
class DuckDB(SqlSink):
    """Tables in a DuckDB file.

    Shape:   `path` is the file, made when it is not there. `table` is the name that is asked, made with the
             first item; its rows, deleted ones too, are in the table beside it, `orders_all`. Without a name
             every entity has a table of its own: those of the classes of `item`'s table by their names,
             others by what their keys or an attribute say. With a name the columns of `item`, a class, are
             there from the start. With a transform that returns dictionaries those are the
             rows, with the key of what they come from unless they have their own. `memory_limit` is what
             DuckDB may take for this file, questions included, `most_temporary` what it may put beside the
             file for what does not fit; all sinks of one file have the same. Nothing else can be reached: no
             other file, extension or network.
    """

    path: str | Path
    table: str = ""
    memory_limit: str = "1GiB"
    most_temporary: str = "4GiB"
    item: type[Any] | None = None
    conflicts: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _clock: Clock | None = field(default=None, init=False, repr=False, compare=False)
    _connection: "DuckDBPyConnection | None" = field(default=None, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    _file: FileLock | None = field(default=None, init=False, repr=False, compare=False)
    _catalog: SinkCatalog | None = field(default=None, init=False, repr=False, compare=False)
    _is_made: bool = field(default=False, init=False, repr=False, compare=False)
    _is_read_only: bool = field(default=False, init=False, repr=False, compare=False)

    async def open(self, clock: Clock) -> None:
        """Open the file, and bring tables of older versions up to date. Raises: Unavailable (held by another
        process, or no extra), SettingsError.
        """
        self._clock = clock
        await in_thread(self._open)

    def question(self, sql: str) -> Question:
        """A question to the file, not begun; it goes on when the sink is closed. Raises: Unavailable when
        another process holds the file.
        """
        with self._lock:
            opened = self._opened()
            # Not a cursor of it: a cursor ends with its connection, and while it works that cannot be closed.
            own = opened.cursor() if str(self.path) == MEMORY else self._connected(self._is_read_only)
        return Question(own, sql)

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The whole answer to a SELECT: names of its columns, and its rows. Raises: SinkError for anything
        else, and in DuckDB's words.
        """
        with closing(self.question(sql)) as question:
            columns, rows = question.begin(), []
            while page := question.page():
                rows += page
        return columns, rows

    @classmethod
    @contextmanager
    def read(cls, path: str | Path) -> "Iterator[DuckDB]":
        """A file that no process writes, opened to be read only. Raises: Unavailable."""
        table = cls(path, "")
        try:
            table._is_read_only = True
            yield table
        finally:
            table.close()

    @classmethod
    def ask(cls, path: str | Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The whole answer of a file that no process writes. Raises: as `query`, Unavailable."""
        with cls.read(path) as table:
            return table.query(sql)

    def projection_store(self, projection: "Projection", name: str) -> ProjectionStore:
        """The rows of one build of a projection, in this file:
        `@app.projection(into=sinks.DuckDB("shop.duckdb", "sales"))`.
        """
        from tailrace.sinks.duckdb_projection import DuckDbProjectionStore

        return DuckDbProjectionStore(self, projection, name)

    def close(self) -> Awaitable[None]:
        """Close the file, at once. Returns: nothing that must be awaited."""
        with self._lock:
            connection = self._connection
            # First: it may refuse, and is closed all the same.
            self._connection, self._file, self._is_made = None, None, False
            if connection is not None:
                connection.close()
        return DONE

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is whose changes are in the table, or in the projection of its name.
        Raises: Unavailable, SinkError.
        """
        if kept := await super().sources():
            return kept
        is_there = await in_thread(
            self.transact, lambda connection: _has_rows(connection, f"{self.table}_items")
        )
        return {BEFORE: FIRST_GENERATION} if is_there else {}

    # ---- the file ------------------------------------------------------------------------------------------

    @property
    def catalog(self) -> SinkCatalog:
        """The tables of this sink."""
        if self._catalog is None:
            words = f"table {self.table} of {self.path}" if self.table else str(self.path)
            self._catalog = SinkCatalog(DuckDbDialect(), words, self.table, self.item)
        return self._catalog

    def _open(self) -> None:
        with self._lock:
            self._opened()
        if self.transact(lambda connection: is_before(connection, self.table)):
            self._carried_out(lambda _: self.catalog.kept())

    def _opened(self) -> "DuckDBPyConnection":
        if self._connection is None:
            self._connection = self._connected(self._is_read_only)
            self._file = lock_of(self.path)
        return self._connection

    def _connected(self, read_only: bool) -> "DuckDBPyConnection":
        duckdb = _duckdb()
        if not Path(self.path).parent.is_dir():
            raise Unavailable(
                f"{self.path}: its directory is not there", hint="mkdir, or mount what it was to be on"
            )
        try:
            connection: DuckDBPyConnection = duckdb.connect(
                str(self.path),
                read_only=read_only,
                config={
                    **SEALED,
                    "memory_limit": self.memory_limit,
                    "max_temp_directory_size": self.most_temporary,
                },
            )
        except duckdb.IOException as error:
            raise Unavailable(
                f"{self.path}: {error}", hint="one process writes a DuckDB file; stop the other one"
            ) from error
        except duckdb.Error as error:
            raise SettingsError(f"{self.path}: {error}") from error
        return connection

    async def _carry_out(self, begin: Begin[Result], *, alone: bool = False) -> Result:
        return await in_thread(self._carried_out, begin, alone)

    def _carried_out(self, begin: Begin[Result], alone: bool = True) -> Result:
        """Steps in one transaction, in which the shared tables are made where they are not there."""
        duckdb = _duckdb()

        def work(connection: "DuckDBPyConnection") -> Result:
            if not self._is_made:
                carried_out(connection, self.catalog.made())
                migrated(connection, self.catalog)
            try:
                return carried_out(connection, begin(alone))
            except (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException) as error:
                raise Refused(f"{self.path}: {error}") from error

        try:
            result = self.transact(work)
        except MustBeAlone:  # as every transaction here is, but now it is known that tables grow
            return self._carried_out(begin)
        self._is_made = True
        return result

    def transact(self, work: "Callable[[DuckDBPyConnection], Result]") -> "Result":
        """Do something in one transaction; when it raises, nothing of it was done. Raises: Unavailable,
        SinkError, what it raises.
        """
        duckdb = _duckdb()
        with self._lock:
            connection = self._opened()
            assert self._file is not None
            with self._file.lock:
                return self._transacted(duckdb, connection, work)

    def _transacted(
        self, duckdb: Any, connection: "DuckDBPyConnection", work: "Callable[[DuckDBPyConnection], Result]"
    ) -> "Result":
        connection.begin()
        try:
            result = work(connection)
            connection.commit()
        # What fails at the end, or for want of room, is no record's fault.
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
            take_back(connection)
            raise Unavailable(f"{self.path}: {error}", hint=_hint(str(error))) from error
        except duckdb.Error as error:
            take_back(connection)
            raise SinkError(f"{self.path}: {error}") from error
        except BaseException:
            take_back(connection)
            raise
        return result


def _hint(said: str) -> str:
    if "memory limit" in said:
        return (
            "raise sinks.DuckDB(…, memory_limit=…), of which the primary key takes some 100 bytes an item; "
            "nothing of the batch was written"
        )
    return "make room; nothing of the batch was written"


def _has_rows(connection: "DuckDBPyConnection", table: str) -> bool:
    """Whether a table is there and has rows."""
    names = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall()
    name = table.replace('"', '""')
    return bool(names and connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchall())


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise missing_extra("sinks.DuckDB", "duckdb") from error
    return duckdb
