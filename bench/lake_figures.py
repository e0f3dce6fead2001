"""What a lake costs: changes a second into Parquet files and their manifest, beside a raw COPY of the same
rows to a Parquet file, and what a compaction makes of them.

Rules of this file: the same rows for both sides, in one process. Raw is DuckDB's COPY of a table in memory to
one file, with the same columns and the same compression, in one thread, as a commit of one shard is; it
decodes no image, syncs nothing and keeps no position. The sides take turns, and a figure is the median of the
turns. Called by bench/__main__.py.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import orjson

from tailrace.clocks.system import SystemClock
from tailrace.ports import RecordBatch, StreamRef, TargetPosition, Written
from tailrace.sinks import ParquetLake, ParquetLog
from tailrace.streams.record import ChangeRecord, change_record

TURNS = 3
BATCH = 10_000
STREAM = StreamRef("arn:aws:dynamodb:local:000000000000:table/t/stream/s", "t", "s", "NEW_IMAGE")


def change(number: int, items: int, *, is_nested: bool) -> ChangeRecord:
    """One change of some 250 bytes, of one of so many items; nested: with a map inside."""
    key = f"o{number * 7_919 % items:09d}"
    item = {
        "id": {"S": key},
        "status": {"S": "paid" if number % 3 else "new"},
        "country": {"S": ("NL", "BE", "DE", "FR")[number % 4]},
        "total": {"N": f"{number % 90_000 / 100:g}"},
        "count": {"N": str(number % 7)},
        "placed_at": {"S": f"2026-11-{number % 28 + 1:02d}T12:00:00Z"},
        "city": {"S": "Delft"},
        "zip": {"S": str(number % 9_999)},
    }
    if is_nested:
        item["address"] = {"M": {"city": item.pop("city"), "zip": item.pop("zip")}}
    return change_record(
        sequence=number + 1,
        shard=1,
        created_ms=1_767_225_600_000 + number,
        partition=number,
        key=key.encode(),
        keys={"id": item["id"]},
        old=None,
        new=orjson.dumps(item),
        size_bytes=250,
    )


def batches(rows: int, *, is_nested: bool = False) -> list[list[ChangeRecord]]:
    """Batches as a mapping with `batch_size=10_000` gets them."""
    return [
        [change(number, rows // 2, is_nested=is_nested) for number in range(first, first + BATCH)]
        for first in range(0, rows, BATCH)
    ]


async def deliver(sink: Any, given: Sequence[list[ChangeRecord]]) -> float:
    """Commit the batches of one shard. Returns: seconds."""
    await sink.open(SystemClock())
    there = await sink.stamp("bench", STREAM.label, "shard", 1)
    begun = time.perf_counter()
    for records in given:
        position = TargetPosition(STREAM.label, "shard", 1, records[-1].sequence, there.watermark)
        outcome = await sink.commit(RecordBatch(records, "bench", STREAM, "shard"), position)
        assert outcome == Written()
        there = position
    seconds = time.perf_counter() - begun
    await sink.close()
    return seconds


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of lakes. Units: rows a second, MiB of memory."""
    rows = 100_000 if quick else 300_000
    for name, is_nested in (("", False), (" of nested items", True)):
        given = batches(rows, is_nested=is_nested)
        rates: dict[str, list[float]] = {"log": [], "lake": [], "raw": []}
        grown = 0.0
        with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
            for turn in range(TURNS):
                log, lake = sinks_of(folder, turn)
                before = resident_mib()
                rates["log"].append(rows / asyncio.run(deliver(log, given)))
                rates["lake"].append(rows / asyncio.run(deliver(lake, given)))
                if turn:
                    grown = max(grown, resident_mib() - before)
                rates["raw"].append(raw_rate(log, folder))
            begun = time.perf_counter()
            lake.compact()
            compacted = rows / (time.perf_counter() - begun)
        yield f"changes{name} into a Parquet log", median(rates["log"])
        yield f"changes{name} into a Parquet lake", median(rates["lake"])
        yield f"raw COPY{name} to Parquet", median(rates["raw"])
        yield f"changes{name} of a lake compacted", compacted
        yield f"memory of changes{name} into Parquet", grown


def sinks_of(folder: str, turn: int) -> tuple[ParquetLog, ParquetLake]:
    """A log and a lake that are empty, and are compacted from outside alone."""
    return (
        ParquetLog(folder, f"log-{turn}", compact_files=1_000_000),
        ParquetLake(folder, f"lake-{turn}", compact_files=1_000_000),
    )


def raw_rate(log: ParquetLog, folder: str) -> float:
    """Rows a second of a raw COPY of the rows that a log has."""
    with duckdb.connect() as memory:
        memory.execute("SET threads = 1")
        memory.execute(f"CREATE TABLE rows AS {log.sql()}")
        begun = time.perf_counter()
        copy = f"COPY rows TO '{folder}/raw.parquet' (FORMAT parquet, COMPRESSION zstd)"
        ((count,),) = memory.execute(copy).fetchall()
        return float(count / (time.perf_counter() - begun))


def resident_mib() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
