"""How fast changes get into SQL databases, with their positions, beside a raw COPY of the same rows into a
table of the same columns and the same primary key.

Theory of operation: the rows are those of flights, fifteen attributes and a key, in batches of ten thousand.
Ours begins with change records, whose images it reads. The raw side begins with what is ready: for PostgreSQL
rows of Python values, which psycopg writes into COPY FROM STDIN (and once more as bytes that are COPY's
already); for DuckDB a CSV file a batch, each copied in a transaction (and once more all rows in one). Ours
and raw take turns, a new table each time, and of a pair's ratios the middle one counts.
Rules of this file: the machine may have other work, so a ratio is of runs that followed each other. Memory is
what a process of its own has grown by from 50,000 rows to 300,000.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any, Final

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
        ours, raw, whole = zip(*[_duckdb_round(folder, turn, batches) for turn in range(rounds)], strict=True)
        yield from _beside("DuckDB", ours, raw)
        yield "raw COPY into DuckDB, all rows at once", median(whole)
        yield "memory of changes into DuckDB", _grown(str(folder / "long.duckdb"))
    with postgres() as server:
        ours, raw, of_bytes = zip(*[_postgresql_round(server, batches) for _ in range(rounds)], strict=True)
        yield from _beside("PostgreSQL", ours, raw)
        yield "raw COPY into PostgreSQL, of bytes", median(of_bytes)
        yield "memory of changes into PostgreSQL", _grown(server.database())


def _beside(name: str, ours: tuple[float, ...], raw: tuple[float, ...]) -> Iterator[tuple[str, float]]:
    yield f"changes into {name}", median(ours)
    yield f"raw COPY into {name}", median(raw)
    yield f"changes into {name}, of a raw COPY", median(map(lambda a, b: 100 * a / b, ours, raw))


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


async def _mirrored(sink: Any, batches: int, done: Callable[[int], None] = lambda number: None) -> float:
    """Rows a second, from the second batch: the first one makes the tables."""
    spent = 0.0
    await sink.open(ManualClock())
    await sink.stamp("bench", "label", "s", 1)
    for number in range(batches + 1):
        records = _records(number)
        position = TargetPosition("label", "s", 1, records[-1].sequence)
        begun = time.perf_counter()
        outcome = await sink.commit(RecordBatch(records, "bench", STREAM, "s"), position)
        spent += (time.perf_counter() - begun) * (number > 0)
        assert outcome == Written()
        done(number + 1)
    await sink.close()
    return batches * BATCH / spent


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
    asyncio.run(_mirrored(sink, RUN, lambda number: resident.append(_resident_mib())))
    return max(resident[WARM:]) - max(resident[:WARM])


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


# ---- rounds ------------------------------------------------------------------------------------------------


def _duckdb_round(folder: Path, turn: int, batches: int) -> tuple[float, float, float]:
    """Rows a second: ours, raw a file a batch, raw all at once."""
    path = folder / f"{turn}.duckdb"
    ours = asyncio.run(_mirrored(DuckDB(path, "flights"), batches))
    files = [folder / f"{turn}-{number}.csv" for number in range(batches)]
    with duckdb.connect(str(path)) as connection:
        for number, file in enumerate(files):
            page = f"SELECT * FROM flights_all ORDER BY {OWN} LIMIT {BATCH} OFFSET {number * BATCH}"
            connection.execute(f"COPY ({page}) TO '{file}'")
        ((made,),) = connection.execute(
            "SELECT sql FROM duckdb_tables() WHERE table_name = 'flights_all'"
        ).fetchall()

    def copied(name: str, statements: list[str]) -> float:
        with duckdb.connect(str(folder / name)) as connection:
            connection.execute(made)
            begun = time.perf_counter()
            for statement in statements:
                connection.execute(statement)
            return batches * BATCH / (time.perf_counter() - begun)

    raw = copied(f"{turn}-raw.duckdb", [f"COPY flights_all FROM '{file}'" for file in files])
    whole = copied(f"{turn}-whole.duckdb", [f"COPY flights_all FROM '{folder}/{turn}-*.csv'"])
    for file in folder.glob(f"{turn}[.-]*"):
        file.unlink()
    return ours, raw, whole


def _postgresql_round(server: PostgresServer, batches: int) -> tuple[float, float, float]:
    """Rows a second: ours, raw of rows, raw of bytes."""
    url = server.database()
    ours = asyncio.run(_mirrored(PostgreSQL(url, "flights"), batches))
    with psycopg.connect(url, autocommit=True) as connection:
        spent = {"rows": 0.0, "bytes": 0.0}
        for name in spent:
            connection.execute(f"CREATE TABLE {name} (LIKE flights_all INCLUDING ALL)".encode())
        for number in range(batches):
            page = f"SELECT * FROM flights_all ORDER BY {OWN} LIMIT {BATCH} OFFSET {number * BATCH}"
            rows = connection.execute(page.encode()).fetchall()
            with connection.cursor().copy(f"COPY ({page}) TO STDOUT".encode()) as copy:
                data = b"".join(copy)
            begun = time.perf_counter()
            with connection.cursor().copy(b"COPY rows FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            between = time.perf_counter()
            with connection.cursor().copy(b"COPY bytes FROM STDIN") as copy:
                copy.write(data)
            spent["rows"] += between - begun
            spent["bytes"] += time.perf_counter() - between
    return ours, batches * BATCH / spent["rows"], batches * BATCH / spent["bytes"]


if __name__ == "__main__":
    sys.stdout.write(str(_grow(sys.argv[1])))
