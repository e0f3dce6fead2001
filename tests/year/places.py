"""Where the flights go, what is asked there, and a raw COPY of the same rows into a place of the same kind.

Theory of operation: what a place shows is asked in SQL, by DuckDB or PostgreSQL itself: nothing of tailrace
decides what is equal; of a lake it says alone which files there are. A raw COPY is what a person would do who
has the rows already: of a file into a table of the same columns with the same primary key, of a table into a
Parquet file.
Rules of this file: a place is named by its kind and where it is, so that a process can be told it.
"""

import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

import duckdb
import psycopg

from tailrace import sinks

TABLE: Final = "flights"
KINDS: Final = ("duckdb", "postgresql", "lake", "log")
FLAT_MIB: Final = 80.0
"""Less is caches and what allocators keep."""
COMPACTED: Final = 8
"""Files, after which a lake is compacted: soon, so that the first tenth has seen it."""
TURNS: Final = 3
"""Of a raw COPY that may be repeated; the median counts."""
TARGET_BYTES: Final = 4 << 20
"""Of files that are compacted: a join has as much in memory, and should not grow to the default in a year."""
COPIED: Final = 1 << 20
"""Bytes that are given to PostgreSQL at once."""
COUNTS: Final = {
    "scheduled": "count(*)",
    "departed": "count(departure_delay)",
    "cancelled": "count(*) FILTER (WHERE status = 'cancelled')",
    "arrived": "count(*) FILTER (WHERE status = 'arrived')",
    "diverted": "count(*) FILTER (WHERE status = 'diverted')",
    "unreported": "count(*) FILTER (WHERE status = 'unreported')",
    "departure_delay": "coalesce(sum(departure_delay), 0)",
    "arrival_delay": "coalesce(sum(arrival_delay), 0)",
    "late": "count(*) FILTER (WHERE departure_delay > 60)",
}
"""What is asked of each carrier, by the names that the control figures have. Units: delays in minutes."""
Figures = dict[str, dict[str, int]]
"""Carrier → counts and sums."""


class Place(Protocol):
    """One place. Shape: `raw_is` says what its raw COPY does; `form` and `arguments` make the sink that
    writes there; `may_grow_mib` is what a process may grow by after its first tenth.
    """

    raw_is: str
    form: type[Any]
    arguments: tuple[Any, ...]
    may_grow_mib: float

    def figures(self) -> Figures:
        """What it shows of each carrier."""

    def counted(self) -> int | None:
        """How many changes of the source it has counted; None: it keeps no count."""

    def raw_rate(self) -> float:
        """Rows a second of a raw COPY of what is there."""


class DuckDb:
    """A file."""

    form: type[Any] = sinks.DuckDB
    may_grow_mib = 2 * FLAT_MIB  # DuckDB has the index of the primary key in memory, and blocks of the file
    raw_is = "COPY FROM a Parquet file of the rows into a table of the same columns and primary key"

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / "flights.duckdb"
        self.arguments = (self._path, TABLE)

    def figures(self) -> Figures:
        """As Place."""
        with duckdb.connect(str(self._path), read_only=True) as file:
            return by_carrier(file.execute(question(TABLE)).fetchall())

    def counted(self) -> int | None:
        """As Place."""
        with duckdb.connect(str(self._path), read_only=True) as file:
            ((count,),) = file.execute("SELECT sum(changes) FROM tailrace_positions").fetchall()
            return int(count)

    def raw_rate(self) -> float:
        """As Place."""
        rows, copy = self._path.with_suffix(".parquet"), self._path.with_suffix(".raw")
        with duckdb.connect(str(self._path), read_only=True) as file:
            file.execute(f"COPY (SELECT * FROM {TABLE}_all) TO '{rows}' (FORMAT parquet)")
            made = "SELECT sql FROM duckdb_tables() WHERE table_name = ?"
            ((statement,),) = file.execute(made, [f"{TABLE}_all"]).fetchall()
        return median(
            self._copied(copy.with_suffix(f".raw-{turn}"), statement, rows) for turn in range(TURNS)
        )

    def _copied(self, copy: Path, statement: str, rows: Path) -> float:
        with duckdb.connect(str(copy)) as file:
            file.execute(statement)
            begun = time.perf_counter()
            ((count,),) = file.execute(f"COPY {TABLE}_all FROM '{rows}'").fetchall()
            return float(count / (time.perf_counter() - begun))


class PostgreSql:
    """A database. Shape: `url` is its."""

    form: type[Any] = sinks.PostgreSQL
    may_grow_mib = FLAT_MIB
    raw_is = "COPY FROM STDIN, as text, into a table of the same columns and primary key"

    def __init__(self, url: str) -> None:
        self._url = url
        self.arguments = (url, TABLE)

    def figures(self) -> Figures:
        """As Place."""
        with psycopg.connect(self._url) as connection:
            return by_carrier(connection.execute(question(TABLE).encode()).fetchall())

    def counted(self) -> int | None:
        """As Place."""
        with psycopg.connect(self._url) as connection:
            ((count,),) = connection.execute("SELECT sum(changes) FROM tailrace_positions").fetchall()
            return int(count)

    def raw_rate(self) -> float:
        """As Place."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            with connection.cursor().copy(f"COPY {TABLE}_all TO STDOUT".encode()) as out:
                rows = b"".join(out)
            return median(self._copied(connection, rows) for _ in range(TURNS))

    def _copied(self, connection: "psycopg.Connection[tuple[Any, ...]]", rows: bytes) -> float:
        connection.execute(b"DROP TABLE IF EXISTS raw")
        connection.execute(f"CREATE TABLE raw (LIKE {TABLE}_all INCLUDING ALL)".encode())
        begun = time.perf_counter()
        cursor = connection.cursor()
        with cursor.copy(b"COPY raw FROM STDIN") as copy:
            for start in range(0, len(rows), COPIED):
                copy.write(rows[start : start + COPIED])
        return cursor.rowcount / (time.perf_counter() - begun)


class Lake:
    """The newest row of each flight, in files."""

    form: type[Any] = sinks.ParquetLake
    may_grow_mib = 2 * FLAT_MIB  # several threads compact and encode, and each keeps some of what it freed
    raw_is = "DuckDB's COPY of a table of the rows to one Parquet file, zstd, in one thread"

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self.arguments = (self._folder, TABLE, None, COMPACTED, TARGET_BYTES)

    def figures(self) -> Figures:
        """As Place."""
        with duckdb.connect() as memory:
            return by_carrier(memory.execute(question(f"({self._shown()}) AS shown")).fetchall())

    def counted(self) -> int | None:
        """As Place."""
        return None

    def raw_rate(self) -> float:
        """As Place."""
        with duckdb.connect() as memory:
            memory.execute("SET threads = 1")
            memory.execute(f"CREATE TABLE rows AS {self._rows()}")
            return median(copied(memory, f"{self._folder}/raw-{turn}.parquet") for turn in range(TURNS))

    def _shown(self) -> str:
        return str(self.form(*self.arguments).sql())

    def _rows(self) -> str:
        return self._shown()


class Log(Lake):
    """A row for each change."""

    form: type[Any] = sinks.ParquetLog

    def counted(self) -> int | None:
        """As Place: each change is a row. Below zero when one stands there twice."""
        versions = "count(DISTINCT (tailrace_key, tailrace_version))"
        with duckdb.connect() as memory:
            asked = memory.execute(f"SELECT count(*), {versions} FROM ({self._rows()})")
            ((rows, changes),) = asked.fetchall()
        return int(rows) if rows == changes else -int(rows)

    def _shown(self) -> str:
        return str(self.form(*self.arguments).sql(newest=True))

    def _rows(self) -> str:
        return str(self.form(*self.arguments).sql())


PLACES: Final[dict[str, type[DuckDb] | type[PostgreSql] | type[Lake]]] = {
    "duckdb": DuckDb,
    "postgresql": PostgreSql,
    "lake": Lake,
    "log": Log,
}


def copied(memory: duckdb.DuckDBPyConnection, file: str) -> float:
    """Rows a second of one COPY."""
    begun = time.perf_counter()
    copy = f"COPY rows TO '{file}' (FORMAT parquet, COMPRESSION zstd)"
    ((count,),) = memory.execute(copy).fetchall()
    return float(count / (time.perf_counter() - begun))


def place_of(kind: str, where: str) -> Place:
    """A place of a kind: in a folder, or at a URL."""
    return PLACES[kind](where)


def folder_of(kind: str, directory: Path) -> str:
    """An empty folder for a place of that kind."""
    folder = directory / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return str(folder)


def question(source: str) -> str:
    """What is asked of the flights."""
    return f"SELECT carrier, {', '.join(COUNTS.values())} FROM {source} GROUP BY carrier"


def by_carrier(rows: list[tuple[Any, ...]]) -> Figures:
    """The answer to that question.

    >>> by_carrier([("UA", 3, 2, 1, 2, 0, 0, 5, -4, 0)])["UA"]["arrival_delay"]
    -4
    """
    return {carrier: dict(zip(COUNTS, map(int, counts), strict=True)) for carrier, *counts in rows}
