"""What a lake costs: changes a second into Parquet files and their manifest, beside a raw COPY of the same
rows to Parquet files, and what a compaction makes of them.

Theory of operation: ours begins with change records in batches of ten thousand, whose images it reads; its
files are synced, and positions are kept. The raw side begins with a CSV file a batch, as a COPY into a table
does, and is DuckDB's COPY of each to a Parquet file of its own, with the same columns and the same
compression, in one thread, as a commit of one shard is. One that has it easier begins with rows in a table in
DuckDB's memory. They take turns, and of a round's ratios the middle one counts: that of processor time, which
leaves out how long disks take to sync.
Rules of this file: the machine may have other work, so a ratio is of runs that followed each other. Called by
bench/__main__.py.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import duckdb
import orjson

from tailrace.clocks.system import SystemClock
from tailrace.ports import RecordBatch, StreamRef, TargetPosition, Written
from tailrace.sinks import ParquetLake, ParquetLog
from tailrace.streams.record import ChangeRecord, change_record

BATCH = 10_000
Rates: TypeAlias = tuple[float, float]
"""Rows a second by the wall, and a second of the processor."""
FORM = "FORMAT parquet, COMPRESSION zstd"
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


async def deliver(sink: Any, given: Sequence[list[ChangeRecord]]) -> Rates:
    """Commit the batches of one shard. Returns: rows a second, and a second of the processor, from the second
    batch: the first one makes the columns.
    """
    await sink.open(SystemClock())
    there = await sink.stamp("bench", STREAM.label, "shard", 1)
    spent = worked = 0.0
    for number, records in enumerate(given):
        position = TargetPosition(STREAM.label, "shard", 1, records[-1].sequence, there.watermark)
        begun, begun_work = time.perf_counter(), time.process_time()
        outcome = await sink.commit(RecordBatch(records, "bench", STREAM, "shard"), position)
        spent += (time.perf_counter() - begun) * (number > 0)
        worked += (time.process_time() - begun_work) * (number > 0)
        assert outcome == Written()
        there = position
    await sink.close()
    rows = (len(given) - 1) * BATCH
    return rows / spent, rows / worked


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of lakes. Units: rows a second, %, MiB of memory."""
    turns, rows = (3, 110_000) if quick else (5, 210_000)
    for name, is_nested in (("", False), (" of nested items", True)):
        given = batches(rows, is_nested=is_nested)
        rates: dict[str, list[Rates]] = {"log": [], "lake": [], "raw": [], "ready": []}
        resident: list[float] = []
        with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
            for turn in range(turns):
                log, lake = sinks_of(folder, turn)
                rates["log"].append(asyncio.run(deliver(log, given)))
                for side, rate in zip(("raw", "ready"), raw_rates(log, Path(folder), rows), strict=True):
                    rates[side].append(rate)
                rates["lake"].append(asyncio.run(deliver(lake, given)))
                resident.append(resident_mib())
            begun = time.perf_counter()
            lake.compact()
            compacted = rows / (time.perf_counter() - begun)
        for form in ("log", "lake"):
            yield f"changes{name} into a Parquet {form}", median(rate for rate, _ in rates[form])
            for side, what in (("raw", "a raw COPY"), ("ready", "a raw COPY of rows in memory")):
                pairs = zip(rates[form], rates[side], strict=True)
                ratio = median(100 * ours[1] / raw[1] for ours, raw in pairs)
                yield f"changes{name} into a Parquet {form}, of {what}", ratio
        yield f"raw COPY{name} to Parquet", median(rate for rate, _ in rates["raw"])
        yield f"raw COPY{name} of rows in memory to Parquet", median(rate for rate, _ in rates["ready"])
        yield f"changes{name} of a lake compacted", compacted
        yield f"memory of changes{name} into Parquet", max(resident) - resident[0]


def sinks_of(folder: str, turn: int) -> tuple[ParquetLog, ParquetLake]:
    """A log and a lake that are empty, and are compacted from outside alone."""
    return (
        ParquetLog(folder, f"log-{turn}", compact_files=1_000_000),
        ParquetLake(folder, f"lake-{turn}", compact_files=1_000_000),
    )


def raw_rates(log: ParquetLog, folder: Path, rows: int) -> tuple[Rates, Rates]:
    """Raw COPYs of the rows that a log has, a batch a file: from CSV files, and from a table in memory."""
    with duckdb.connect() as memory:
        memory.execute("SET threads = 1")
        memory.execute(f"CREATE TABLE rows AS {log.sql()}")
        described = memory.execute("DESCRIBE rows").fetchall()
        types = ", ".join(f"'{name}': '{kind}'" for name, kind, *_ in described)
        ready, texts = [], []
        for first in range(0, rows, BATCH):
            asked = f"SELECT * FROM rows WHERE rowid >= {first} AND rowid < {first + BATCH}"
            file = folder / f"raw-{first}.csv"
            memory.execute(f"COPY ({asked}) TO '{file}' (FORMAT csv, HEADER false)")
            ready.append(asked)
            texts.append(f"SELECT * FROM read_csv('{file}', header = false, columns = {{{types}}})")
        return _copied(memory, texts, folder, rows), _copied(memory, ready, folder, rows)


def _copied(memory: duckdb.DuckDBPyConnection, asked: Sequence[str], folder: Path, rows: int) -> Rates:
    begun, begun_work = time.perf_counter(), time.process_time()
    for number, select in enumerate(asked):
        memory.execute(f"COPY ({select}) TO '{folder}/raw-{number}.parquet' ({FORM})")
    return rows / (time.perf_counter() - begun), rows / (time.process_time() - begun_work)


def resident_mib() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
