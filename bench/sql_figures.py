"""How fast changes get into SQL databases, with their positions, beside a raw COPY of the same rows into a
table of the same columns and the same primary key.

Theory of operation: the rows are those of flights, fifteen attributes and a key, in batches of ten thousand.
Ours begins with change records, whose images it reads. The raw side begins with what is ready: for PostgreSQL
rows of Python values, which psycopg writes into COPY FROM STDIN (and once more as bytes that are COPY's
already); for DuckDB a CSV file a batch, each copied in a transaction (and once more all rows in one). Ours
and raw take turns, a new table each time. Rates are by the wall; the ratio is of processor time, the server's
too, for what else the machine does is in the way of one side more than of the other: a COPY waits for its
server, and we for our client. Of the rounds' figures the middle one counts.
Rules of this file: a ratio is of runs that followed each other. Memory is what a process of its own has grown
by from 50,000 rows to 300,000.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

import duckdb
import orjson
import psycopg
from tests.postgres import PostgresServer, postgres

from tailrace.cli.demo import flights_directory, load
from tailrace.clocks.manual import ManualClock
from tailrace.ports import RecordBatch, StreamRef, TargetPosition, Written
from tailrace.sinks.duckdb_table import DuckDB
from tailrace.sinks.postgresql_table import PostgreSQL
from tailrace.streams.record import ChangeRecord, change_record

BATCH: Final = 10_000
STREAM: Final = StreamRef("arn", "flights", "label", "NEW_AND_OLD_IMAGES")
TEXTS: Final = ("carrier", "origin", "dest", "time_hour")
WARM: Final = 5
"""Batches until caches are filled."""
RUN: Final = 30
"""Batches of a run in which memory is looked at."""
LIMIT: Final = "64MB"
OWN: Final = "tailrace_version"


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Rows a second into DuckDB and PostgreSQL, and of a raw COPY there; ratios in %, memory in MiB."""
    rounds, batches = (3, 5) if quick else (7, 10)
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as name:
        folder = Path(name)
        turns = [_duckdb_round(folder, turn, batches) for turn in range(rounds)]
        yield from _beside("DuckDB", turns, batches * BATCH, "all rows at once")
        yield "memory of changes into DuckDB", _grown(str(folder / "long.duckdb"))
    with postgres() as server:
        turns = [_postgresql_round(server, batches) for _ in range(rounds)]
        yield from _beside("PostgreSQL", turns, batches * BATCH, "of bytes")
        yield "memory of changes into PostgreSQL", _grown(server.database())


class Spent:
    """What so many rows took. Units: seconds by the wall, and of all processors."""

    def __init__(self, postmaster: int | None = None) -> None:
        self.wall = self.processors = 0.0
        self._postmaster = postmaster

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What is done inside."""
        before = self._processors()
        begun = time.perf_counter()
        yield
        self.wall += time.perf_counter() - begun
        self.processors += self._processors() - before

    def _processors(self) -> float:
        own = time.process_time()
        return own if self._postmaster is None else own + _server_seconds(self._postmaster)


def _server_seconds(postmaster: int) -> float:
    """Processor time of a server: of its first process, those that have ended, and those that live."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if int(stat.parent.name) == postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


Turn: TypeAlias = tuple[Spent, Spent, Spent]
"""Ours, a raw COPY of the same batches, and a raw COPY that has it easier."""


def _beside(name: str, turns: list[Turn], rows: int, easier: str) -> Iterator[tuple[str, float]]:
    for place, figure in enumerate(
        (f"changes into {name}", f"raw COPY into {name}", f"raw COPY into {name}, {easier}")
    ):
        yield figure, median(rows / turn[place].wall for turn in turns)
    for place, what in ((1, "a raw COPY"), (2, f"a raw COPY {easier}")):
        ratios = [100 * turn[place].processors / turn[0].processors for turn in turns]
        yield f"changes into {name}, of {what}", median(ratios)


# ---- changes -----------------------------------------------------------------------------------------------


@cache
def _flights() -> list[dict[str, dict[str, str]]]:
    """The bundled week, as DynamoDB has it; what is not known of a flight is not there."""
    week = load(flights_directory() / "replay.py").week_rows()
    return [
        {
            name: {"S": text} if name in TEXTS else {"N": str(int(text))}
            for name, text in row.items()
            if text not in ("", "NA")
        }
        for row in week
    ]


def _records(number: int) -> list[ChangeRecord]:
    """One batch."""
    return [_flight(number * BATCH + place) for place in range(BATCH)]


def _flight(number: int) -> ChangeRecord:
    flight = _flights()[number % len(_flights())]
    key = f"{flight['time_hour']['S']} {flight['carrier']['S']} {flight['flight']['N']} {number:08d}"
    return change_record(
        sequence=(1_700_000_000_000 << 20) + number,
        shard=1,
        created_ms=1_700_000_000_000 + number,
        partition=number,
        key=blake2b(key.encode(), digest_size=8).digest() + key.encode(),
        keys={"id": {"S": key}},
        old=None,
        new=orjson.dumps({"id": {"S": key}, **flight}),
        size_bytes=300,
    )


async def _mirrored(sink: Any, batches: int, spent: Spent, done: Callable[[], None] = lambda: None) -> Spent:
    """What they take from the second batch on: the first one makes the tables."""
    await sink.open(ManualClock())
    await sink.stamp("bench", "label", "s", 1)
    for number in range(batches + 1):
        records = _records(number)
        position = TargetPosition("label", "s", 1, records[-1].sequence)
        with spent.measured() if number else nullcontext():
            outcome = await sink.commit(RecordBatch(records, "bench", STREAM, "s"), position)
        assert outcome == Written()
        done()
    await sink.close()
    return spent


# ---- memory ------------------------------------------------------------------------------------------------


def _grown(place: str) -> float:
    """MiB by which a process of its own grows."""
    ended = subprocess.run(
        [sys.executable, "-m", "bench.sql_figures", place], capture_output=True, check=True, text=True
    )
    return float(ended.stdout)


def _grow(place: str) -> float:
    is_server = place.startswith("postgresql:")
    # What DuckDB keeps of its file is bounded by its limit, and would grow up to it.
    sink: Any = PostgreSQL(place, "flights") if is_server else DuckDB(place, "flights", memory_limit=LIMIT)
    resident: list[float] = []
    asyncio.run(_mirrored(sink, RUN - 1, Spent(), lambda: resident.append(_resident_mib())))
    return max(resident[WARM:]) - max(resident[:WARM])


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


# ---- rounds ------------------------------------------------------------------------------------------------


def _duckdb_round(folder: Path, turn: int, batches: int) -> Turn:
    path = folder / f"{turn}.duckdb"
    ours = asyncio.run(_mirrored(DuckDB(path, "flights"), batches, Spent()))
    files = [folder / f"{turn}-{number}.csv" for number in range(batches)]
    with duckdb.connect(str(path)) as connection:
        for number, file in enumerate(files):
            page = f"SELECT * FROM flights_all ORDER BY {OWN} LIMIT {BATCH} OFFSET {number * BATCH}"
            connection.execute(f"COPY ({page}) TO '{file}'")
        ((made,),) = connection.execute(
            "SELECT sql FROM duckdb_tables() WHERE table_name = 'flights_all'"
        ).fetchall()

    def copied(name: str, statements: list[str]) -> Spent:
        spent = Spent()
        with duckdb.connect(str(folder / name)) as connection:
            connection.execute(made)
            with spent.measured():
                for statement in statements:
                    connection.execute(statement)
        return spent

    raw = copied(f"{turn}-raw.duckdb", [f"COPY flights_all FROM '{file}'" for file in files])
    whole = copied(f"{turn}-whole.duckdb", [f"COPY flights_all FROM '{folder}/{turn}-*.csv'"])
    for file in folder.glob(f"{turn}[.-]*"):
        file.unlink()
    return ours, raw, whole


def _postgresql_round(server: PostgresServer, batches: int) -> Turn:
    url, postmaster = server.database(), server.process.pid
    ours = asyncio.run(_mirrored(PostgreSQL(url, "flights"), batches, Spent(postmaster)))
    raw, of_bytes = Spent(postmaster), Spent(postmaster)
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("rows", "bytes"):
            connection.execute(f"CREATE TABLE {name} (LIKE flights_all INCLUDING ALL)".encode())
        for number in range(batches):
            page = f"SELECT * FROM flights_all ORDER BY {OWN} LIMIT {BATCH} OFFSET {number * BATCH}"
            rows = connection.execute(page.encode()).fetchall()
            with connection.cursor().copy(f"COPY ({page}) TO STDOUT".encode()) as copy:
                data = b"".join(copy)
            with raw.measured(), connection.cursor().copy(b"COPY rows FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            with of_bytes.measured(), connection.cursor().copy(b"COPY bytes FROM STDIN") as copy:
                copy.write(data)
    return ours, raw, of_bytes


if __name__ == "__main__":
    sys.stdout.write(str(_grow(sys.argv[1])))
