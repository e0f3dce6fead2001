"""How fast changes get into SQL databases, with their positions, beside a raw COPY of the same rows into a
table of the same layout.

Rules of this file: the same rows on both sides, in batches of ten thousand, one after the other in one
process; what is copied raw is encoded before the clock starts. Memory is what the process has grown by since
the third batch.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import orjson
import psycopg
from tests.postgres import postgres

from tailrace.clocks.manual import ManualClock
from tailrace.ports import RecordBatch, StreamRef, TargetPosition, Written
from tailrace.sinks.duckdb_table import DuckDB
from tailrace.sinks.postgresql_table import PostgreSQL
from tailrace.streams.record import ChangeRecord, change_record

BATCH: Final = 10_000
STREAM: Final = StreamRef("arn", "flights", "label", "NEW_AND_OLD_IMAGES")
CARRIERS: Final = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX")
WARM: Final = 3
"""Batches until caches are filled."""


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Rows a second into DuckDB and PostgreSQL, and of a raw COPY there."""
    batches = 6 if quick else 30
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as name:
        folder = Path(name)
        sink = DuckDB(folder / "mirror.duckdb", "flights")
        rate, grown = asyncio.run(_mirrored(sink, batches))
        yield "changes into DuckDB", rate
        yield "raw COPY into DuckDB", _raw_duckdb(folder, folder / "mirror.duckdb")
        yield "memory of changes into DuckDB", grown
    with postgres() as server:
        url = server.database()
        rate, grown = asyncio.run(_mirrored(PostgreSQL(url, "flights"), batches))
        yield "changes into PostgreSQL", rate
        yield "raw COPY into PostgreSQL", _raw_postgresql(url, batches)
        yield "memory of changes into PostgreSQL", grown


def _records(number: int) -> list[ChangeRecord]:
    """One batch: flights as the demo has them, of ten attributes."""
    return [_flight(number * BATCH + place) for place in range(BATCH)]


def _flight(number: int) -> ChangeRecord:
    key = f"2013-{number % 365:03d}-{number:08d}"
    image = {
        "id": {"S": key},
        "carrier": {"S": CARRIERS[number % 10]},
        "flight": {"N": str(number % 9_999)},
        "origin": {"S": ("EWR", "JFK", "LGA")[number % 3]},
        "destination": {"S": f"D{number % 105:02d}"},
        "scheduled": {"S": "2013-01-01T05:15:00Z"},
        "status": {"S": "arrived"},
        "departure_delay": {"N": str(number % 90 - 10)},
        "distance": {"N": str(number % 4_983)},
        "tail": {"S": f"N{number % 4_043}"},
    }
    return change_record(
        sequence=(1_700_000_000_000 << 20) + number,
        shard=1,
        created_ms=1_700_000_000_000 + number,
        partition=number,
        key=os.urandom(8) + key.encode(),
        keys={"id": {"S": key}},
        old=None,
        new=orjson.dumps(image),
        size_bytes=300,
    )


async def _mirrored(sink: Any, batches: int) -> tuple[float, float]:
    """Rows a second, and by how many MiB the process has grown."""
    spent, before = 0.0, 0.0
    await sink.open(ManualClock())
    await sink.stamp("bench", "label", "s", 1)
    for number in range(batches):
        records = _records(number)
        position = TargetPosition("label", "s", 1, records[-1].sequence)
        begun = time.perf_counter()
        outcome = await sink.commit(RecordBatch(records, "bench", STREAM, "s"), position)
        spent += time.perf_counter() - begun
        assert outcome == Written()
        if number == WARM:
            before = _resident_mib()
    grown = _resident_mib() - before
    await sink.close()
    return batches * BATCH / spent, grown


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _raw_duckdb(folder: Path, path: Path) -> float:
    with duckdb.connect(str(path)) as connection:
        rows = f"'{folder}/rows.csv'"
        ((count,),) = connection.execute(f"COPY (SELECT * FROM flights_all) TO {rows}").fetchall()
        ((made,),) = connection.execute(
            "SELECT sql FROM duckdb_tables() WHERE table_name = 'flights_all'"
        ).fetchall()
        connection.execute(made.replace("flights_all", "raw"))
        begun = time.perf_counter()
        connection.execute(f"COPY raw FROM {rows}")
        return float(count / (time.perf_counter() - begun))


def _raw_postgresql(url: str, batches: int) -> float:
    spent = 0.0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE raw (LIKE flights_all INCLUDING ALL)")
        for number in range(batches):
            query = f"COPY (SELECT * FROM flights_all OFFSET {number * BATCH} LIMIT {BATCH}) TO STDOUT"
            with connection.cursor().copy(query.encode()) as copy:
                data = b"".join(copy)
            begun = time.perf_counter()
            with connection.cursor().copy(b"COPY raw FROM STDIN") as copy:
                copy.write(data)
            spent += time.perf_counter() - begun
    return batches * BATCH / spent
