"""A DuckDB table as a sink: the newest image of each item, asked with SQL while changes arrive.

Theory of operation: a batch is one transaction. The last change of each item in it wins, and a row is only
replaced by a newer version, so whatever is repeated changes nothing. Columns come with the attributes: a new
one is added when it is first seen, and one whose attribute changes its type becomes text.
Rules of this file: one connection a file, one writer at a time; queries run on cursors of it, because a
second process cannot open a file that is written. Needs the extra `duckdb`. Declared as `sinks.DuckDB(…)`,
asked by server/sql.py.
"""

import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tailrace.app.plain import to_plain_item
from tailrace.app.sinking import DONE
from tailrace.errors import SettingsError, SinkError, Unavailable
from tailrace.leases.generation import BEFORE, check_kept
from tailrace.ports import Clock, Failure, Outcome, ProjectionStore, RecordBatch
from tailrace.runtime.threads import in_thread
from tailrace.sinks.documents import to_json
from tailrace.sinks.duckdb_question import SEALED, Question
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.messages import Failures
from tailrace.streams.record import ChangeRecord, image
from tailrace.streams.version import FIRST_GENERATION, GENERATION_DIGITS, SEQUENCE_DIGITS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tailrace.app.projection import Projection

SEQUENCE: Final = "tailrace_sequence"
"""The column of versions; in a table of before versions it has sequence numbers of the first generation."""
TEXT: Final = "VARCHAR"
NUMBER: Final = "DECIMAL(38,9)"
LARGEST: Final = Decimal(10) ** 29
SOURCES: Final = "tailrace_sources"
"""The table of a file with the numbers of the sources whose changes are in its tables."""
Row = dict[str, Any]
Result = TypeVar("Result")


@dataclass(slots=True)
class DuckDB:
    """A table in a DuckDB file.

    Shape:   `path` is the file, made when it is not there; `table` the table's name, made with the first
             item. Numbers are DECIMAL(38,9), texts VARCHAR, lists, maps and sets JSON. With a transform that
             returns dictionaries those are the rows, with the key of what they come from unless they have
             their own. `memory_limit` is what DuckDB may take for this file, questions included,
             `most_temporary` what it may put beside the file for what does not fit; all sinks of one file
             have the same. Nothing else can be reached: no other file, extension or network.
    """

    path: str | Path
    table: str
    memory_limit: str = "1GiB"
    most_temporary: str = "4GiB"
    _connection: "DuckDBPyConnection | None" = field(default=None, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def tells_repeats(self) -> bool:
        """Whether a repeated change has no effect: its condition fails."""
        return True

    async def open(self, clock: Clock) -> None:
        """Open the file. Raises: Unavailable (held by another process, or no extra), SettingsError."""
        await in_thread(self._open)

    async def write(self, batch: RecordBatch) -> Outcome:
        """Write the batch, all or nothing. Raises: Unavailable (file held by another), SettingsError."""
        failures = Failures()
        rows: dict[object, tuple[ChangeRecord, Row | None]] = {}
        for place, record in enumerate(batch.records):
            if failures.holds_back(record):
                continue
            try:
                row = self.row_of(batch, place)
            except SinkError as error:
                failures.add_record(place, record, Failure(error=str(error)))
                continue
            rows[record.key if batch.values is None else _place(record, row)] = (record, row)
        if rows:
            await in_thread(self._write, list(rows.values()))
        return failures.outcome

    def row_of(self, batch: RecordBatch, place: int) -> Row | None:
        """The row of one change, None for a removal; override it. Raises: SinkError for an unwritable one."""
        record = batch.records[place]
        if batch.values is not None:
            value = batch.values[place]
            if not isinstance(value, Mapping):
                raise SinkError(f"sinks.DuckDB writes dictionaries, not {type(value).__name__}")
            return {**to_plain_item(image(record.keys) or {}), **value}
        if record.event_name == "REMOVE":
            return None
        item = image(record.new)
        if item is None:
            raise SinkError("sinks.DuckDB needs the new image: the stream's view type has none")
        return to_plain_item(item)

    def question(self, sql: str) -> Question:
        """A question to the file, not begun. Raises: Unavailable when another process holds the file."""
        with self._lock:
            return Question(self._opened().cursor(), sql)

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
            table._connection = table._connected(read_only=True)
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
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        return DONE

    # ---- sources -------------------------------------------------------------------------------------------

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is whose changes are in the table, or in the projection of its name.
        Raises: Unavailable, SinkError.
        """
        return await in_thread(self.transact, self._sources)

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError naming source and numbers; Unavailable, SinkError."""
        await in_thread(self.transact, lambda connection: self._keep_sources(connection, sources))

    def _sources(self, connection: "DuckDBPyConnection") -> dict[str, int]:
        if self._columns_of(connection, SOURCES):
            query = f"SELECT source, generation FROM {SOURCES} WHERE name = ?"
            if kept := dict(connection.execute(query, [self.table]).fetchall()):
                return kept
        rows = [name for name in (self.table, f"{self.table}_items") if self._has_rows(connection, name)]
        return {BEFORE: FIRST_GENERATION} if rows else {}

    def _has_rows(self, connection: "DuckDBPyConnection", table: str) -> bool:
        """Whether there are rows of before there were numbers."""
        names = self._columns_of(connection, table)
        return (
            bool(names) and connection.execute(f"SELECT 1 FROM {_name(table)} LIMIT 1").fetchone() is not None
        )

    def _keep_sources(self, connection: "DuckDBPyConnection", sources: Mapping[str, int]) -> None:
        known = self._sources(connection)
        check_kept(f"table {self.table} of {self.path}", known, sources)
        fresh = [source for source in sources if source not in known]
        if fresh:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {SOURCES} (name VARCHAR, source VARCHAR, generation "
                "BIGINT, PRIMARY KEY (name, source))"
            )
            parameters = [fresh, [sources[source] for source in fresh]]
            connection.execute(
                f"INSERT INTO {SOURCES} SELECT ?, unnest(?::VARCHAR[]), unnest(?::BIGINT[])",
                [self.table, *parameters],
            )

    # ---- writing -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        with self._lock:
            self._opened()

    def _opened(self) -> "DuckDBPyConnection":
        if self._connection is None:
            self._connection = self._connected(read_only=False)
        return self._connection

    def _connected(self, *, read_only: bool) -> "DuckDBPyConnection":
        duckdb = _duckdb()
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

    def _write(self, rows: Sequence[tuple[ChangeRecord, Row | None]]) -> None:
        self.transact(lambda connection: self._write_all(connection, rows))

    def transact(self, work: "Callable[[DuckDBPyConnection], Result]") -> "Result":
        """Do something in one transaction; when it raises, nothing of it was done. Raises: Unavailable,
        SinkError, what it raises.
        """
        duckdb = _duckdb()
        with self._lock:
            connection = self._opened()
            connection.begin()
            try:
                result = work(connection)
                connection.commit()
            except (
                duckdb.IOException,
                duckdb.OutOfMemoryException,
            ) as error:  # a full disk is no record's fault
                _take_back(connection)
                raise Unavailable(
                    f"{self.path}: {error}", hint="make room; nothing of the batch was written"
                ) from error
            except duckdb.Error as error:
                _take_back(connection)
                raise SinkError(f"{self.path}: {error}") from error
            except BaseException:
                _take_back(connection)
                raise
            return result

    def _write_all(
        self, connection: "DuckDBPyConnection", rows: Sequence[tuple[ChangeRecord, Row | None]]
    ) -> None:
        keys = list(to_plain_item(image(rows[0][0].keys) or {}))
        columns = self._columns(connection, keys, rows)
        kept = [(record, row) for record, row in rows if row is not None]
        gone = [record for record, row in rows if row is None]
        if kept:
            self._upsert(connection, keys, columns, kept)
        if gone:
            self._delete(connection, keys, columns, gone)

    def _columns(
        self,
        connection: "DuckDBPyConnection",
        keys: Sequence[str],
        rows: Sequence[tuple[ChangeRecord, Row | None]],
    ) -> dict[str, str]:
        """The table's columns and their types, after whatever these rows need was added."""
        wanted: dict[str, str] = {}
        for record, row in rows:
            for name, value in {**to_plain_item(image(record.keys) or {}), **(row or {})}.items():
                kind = _kind(value)
                if kind is not None and wanted.setdefault(name, kind) != kind:
                    wanted[name] = TEXT
        present = self._present(connection)
        if not present:
            made = {SEQUENCE: TEXT, **{name: wanted.get(name, TEXT) for name in (*keys, *wanted)}}
            columns = ", ".join(f"{_name(name)} {kind}" for name, kind in made.items())
            key = ", ".join(map(_name, keys))
            connection.execute(f"CREATE TABLE {_name(self.table)} ({columns}, PRIMARY KEY ({key}))")
            return made
        if present.get(SEQUENCE, TEXT) != TEXT:
            column = _name(SEQUENCE)
            connection.execute(
                f"ALTER TABLE {_name(self.table)} ALTER COLUMN {column} TYPE {TEXT} USING "
                f"'{FIRST_GENERATION:0{GENERATION_DIGITS}d}' || lpad({column}::VARCHAR, "
                f"{SEQUENCE_DIGITS}, '0')"
            )
            present[SEQUENCE] = TEXT
        for name, kind in wanted.items():
            if name not in present:
                connection.execute(f"ALTER TABLE {_name(self.table)} ADD COLUMN {_name(name)} {kind}")
                present[name] = kind
            elif present[name] not in (kind, TEXT):
                if name in keys:
                    raise SinkError(f"{self.table}.{name}: the key was {present[name]} and is {kind} now")
                connection.execute(f"ALTER TABLE {_name(self.table)} ALTER COLUMN {_name(name)} TYPE {TEXT}")
                present[name] = TEXT
        return present

    def _present(self, connection: "DuckDBPyConnection") -> dict[str, str]:
        return self._columns_of(connection, self.table)

    def _columns_of(self, connection: "DuckDBPyConnection", table: str) -> dict[str, str]:
        rows = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND NOT internal",
            [table],
        ).fetchall()
        return dict(rows)

    def _upsert(
        self,
        connection: "DuckDBPyConnection",
        keys: Sequence[str],
        columns: Mapping[str, str],
        rows: Sequence[tuple[ChangeRecord, Row]],
    ) -> None:
        parameters: list[list[Any]] = []
        for name, kind in columns.items():
            if name == SEQUENCE:
                parameters.append([record.version.text for record, _ in rows])
            else:
                parameters.append([_cell(row.get(name), kind) for _, row in rows])
        names = ", ".join(map(_name, columns))
        values = ", ".join(f"unnest(?::{kind}[])" for kind in columns.values())
        changed = ", ".join(f"{_name(name)} = excluded.{_name(name)}" for name in columns if name not in keys)
        connection.execute(
            f"INSERT INTO {_name(self.table)} ({names}) SELECT {values} ON CONFLICT "
            f"({', '.join(map(_name, keys))}) "
            f"DO UPDATE SET {changed} WHERE excluded.{_name(SEQUENCE)} > "
            f"{_name(self.table)}.{_name(SEQUENCE)}",
            parameters,
        )

    def _delete(
        self,
        connection: "DuckDBPyConnection",
        keys: Sequence[str],
        columns: Mapping[str, str],
        records: Sequence[ChangeRecord],
    ) -> None:
        plain_keys = [to_plain_item(image(record.keys) or {}) for record in records]
        parameters = [[_cell(key[name], columns[name]) for key in plain_keys] for name in keys]
        names = ", ".join(f"unnest(?::{columns[name]}[]) AS {_name(name)}" for name in keys)
        same = " AND ".join(f"{_name(self.table)}.{_name(name)} = gone.{_name(name)}" for name in keys)
        connection.execute(
            f"DELETE FROM {_name(self.table)} USING (SELECT {names}, unnest(?::VARCHAR[]) AS "
            f"{_name(SEQUENCE)}) AS gone "
            f"WHERE {same} AND {_name(self.table)}.{_name(SEQUENCE)} < gone.{_name(SEQUENCE)}",
            [*parameters, [record.version.text for record in records]],
        )


def _take_back(connection: "DuckDBPyConnection") -> None:
    with suppress(_duckdb().Error):  # an error may have ended the transaction already
        connection.rollback()


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise missing_extra("sinks.DuckDB", "duckdb") from error
    return duckdb


def _place(record: ChangeRecord, row: Row | None) -> object:
    """Which row of the table it is: a transform may make several of one change."""
    return tuple([str((row or {}).get(name)) for name in image(record.keys) or {}])


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _kind(value: Any) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "BOOLEAN"
        case int() | Decimal():
            return NUMBER if -LARGEST < value < LARGEST else TEXT
        case float():
            return "DOUBLE"
        case str():
            return TEXT
        case bytes():
            return "BLOB"
    return "JSON"


def _cell(value: Any, kind: str) -> Any:
    """A value as its column takes it."""
    if value is None or (kind != TEXT and kind != "JSON"):
        return value
    if isinstance(value, str) and kind == TEXT:
        return value
    return to_json(value).decode()
