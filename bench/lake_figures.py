"""What a lake costs: rows a second into Parquet files, beside pyarrow writing the same rows, and what a
compaction makes of them.

Rules of this file: the same items for both sides; a file system both times, synced as a lake does it. Called
by bench/__main__.py.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tailrace.clocks.system import SystemClock
from tailrace.columns.batches import columnise, decode_items
from tailrace.columns.schema import TableColumns
from tailrace.ports import RecordBatch, StreamRef, TargetPosition
from tailrace.sinks import ParquetLake, ParquetLog
from tailrace.sinks.lake.rows import rows_of
from tailrace.streams.record import ChangeRecord, change_record

BATCH = 10_000
STREAM = StreamRef("arn:aws:dynamodb:local:000000000000:table/t/stream/s", "t", "s", "NEW_IMAGE")


def change(number: int, items: int) -> ChangeRecord:
    """One change of some 250 bytes, of one of so many items."""
    key = f"o{number * 7_919 % items:09d}"
    item = {
        "id": {"S": key},
        "status": {"S": "paid" if number % 3 else "new"},
        "country": {"S": ("NL", "BE", "DE", "FR")[number % 4]},
        "total": {"N": f"{number % 90_000 / 100:g}"},
        "count": {"N": str(number % 7)},
        "placed_at": {"S": f"2026-11-{number % 28 + 1:02d}T12:00:00Z"},
        "address": {"M": {"city": {"S": "Delft"}, "zip": {"S": str(number % 9_999)}}},
    }
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


def batches(rows: int) -> list[list[ChangeRecord]]:
    """Batches as a mapping with `batch_size=10_000` gets them."""
    return [
        [change(number, rows // 2) for number in range(first, first + BATCH)]
        for first in range(0, rows, BATCH)
    ]


async def deliver(sink: Any, given: Sequence[list[ChangeRecord]]) -> None:
    """Commit the batches of one shard."""
    await sink.open(SystemClock())
    await sink.stamp("bench", STREAM.label, "shard", 1)
    for records in given:
        position = TargetPosition(STREAM.label, "shard", 1, records[-1].sequence)
        await sink.commit(RecordBatch(records, "bench", STREAM, "shard"), position)
    await sink.close()


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of lakes. Units: rows a second; MB of memory."""
    rows = 100_000 if quick else 500_000
    given = batches(rows)
    with tempfile.TemporaryDirectory() as folder:
        table = TableColumns("t", "t", ("id",))
        tables: list[pa.Table] = []
        begun = time.perf_counter()
        for records in given:
            columns = columnise(table, decode_items([record.new or b"" for record in records]))
            table = columns.table
            tables.append(rows_of(records, ["c"] * len(records), columns))
        yield "images put in columns alone", rows / (time.perf_counter() - begun)
        begun = time.perf_counter()
        for number, part in enumerate(tables):
            pq.write_table(part, Path(folder) / f"{number}.parquet", compression="zstd")
        raw = rows / (time.perf_counter() - begun)
        yield "pyarrow writes rows that are columns already", raw
        del tables
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for form in (ParquetLog, ParquetLake):
            sink = form(folder, f"t-{form.__name__}", compact_files=1_000_000)
            begun = time.perf_counter()
            asyncio.run(deliver(sink, given))
            rate = rows / (time.perf_counter() - begun)
            yield f"{form.__name__}: changes into files and manifest", rate
            yield f"{form.__name__}: of what pyarrow writes, %", 100 * rate / raw
            begun = time.perf_counter()
            sink.compact()
            yield f"{form.__name__}: compacted", rows / (time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        yield "memory that lakes took, MB", (after - before) / 1_024
