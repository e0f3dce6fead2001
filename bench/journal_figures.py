"""What a journal costs: changes a second into segments beside a raw pyarrow write of the same rows, what puts
lose while they are archived, bytes a change, and how long the past takes to answer.

Theory of operation: ratios of writing are of processor time, which leaves out how long disks take to sync,
and ours syncs. The changes are those of the flights, both images whole, delivered as an archive gets
them. The raw side writes the same Python values as Parquet, zstd, one file a batch, without order, bloom
filters, checksums, manifest or sync, and with leaves that are there already: what any program would do. A put
is of 300 bytes, over HTTP; with and without an archive take turns. The fold that DuckDB makes itself is one
query over the same segments, into Python's rows, as ours is. The changes of a whole run are held in one list,
which no program does: Python's collector is told to leave it alone, or either side's time is mostly that of
walking through it again and again.
Rules of this file: figures and limits are of one run. Answers are warm: the second of two, but for the
command's, which starts Python. Called by bench/__main__.py.
"""

import asyncio
import gc
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bench.http_figures import checked, puts
from bench.load import run
from bench.serving import Server, free_port, started
from tailrace.archives import DirectoryArchive
from tailrace.cli.demo import flights_directory, load
from tailrace.clocks.system import SystemClock
from tailrace.journal.core.places import JournaledStream, JournaledTable
from tailrace.journal.run.archiver import Archiver
from tailrace.journal.run.merging import Merger
from tailrace.journal.run.opening import opened_journal
from tailrace.journal.run.past import PastReader
from tailrace.ports import RecordBatch, StreamRef, TargetPosition, Written
from tailrace.streams.record import ChangeRecord, change_record

BATCH: Final = 10_000
TABLE: Final = JournaledTable("flights", "us-east-1", "000000000000")
STREAM: Final = StreamRef("arn:flights", "flights", "2013-01-01T00:00:00.000", "NEW_AND_OLD_IMAGES")
MINUTE_MS: Final = 60_000
APP: Final = """
from tailrace import App

app = App("bench")
bench = app.table("bench", pk="pk", sk="sk")
"""
ARCHIVE: Final = "app.archive(bench, {place!r}, merge=None)\n"


def changes(count: int) -> list[ChangeRecord]:
    """The first changes of the year of flights, or the week's again and again where it is not installed."""
    replay: Any = load(flights_directory() / "replay.py")
    try:
        writes: Sequence[Any] = replay.replay(replay.year_rows(replay.year_path())[: count // 2])
    except replay.YearNotInstalled:
        writes = replay.replay(replay.week_rows())
    items: dict[str, bytes] = {}
    records: list[ChangeRecord] = []
    for turn in itertools.count():
        for one in writes:
            key = one.flight if not turn else f"{turn}/{one.flight}"
            old = None if one.is_first else items[key]
            item = {"id": {"S": key}} if old is None else orjson.loads(old)
            for name, value in one.changes.items():
                item[name] = {"N": str(value)} if isinstance(value, int) else {"S": value}
            items[key] = new = orjson.dumps(item)
            records.append(
                change_record(
                    sequence=len(records) + 1,
                    shard=1,
                    created_ms=one.instant * MINUTE_MS,
                    partition=0,
                    key=key.encode(),
                    keys={"id": item["id"]},
                    old=old,
                    new=new,
                    size_bytes=len(new),
                )
            )
            if len(records) == count:
                return records
    raise AssertionError


Rates: TypeAlias = tuple[float, float]
"""Changes a second by the wall, and a second of the processor."""


def timed(count: int, begun: float, begun_work: float) -> Rates:
    """What was done since."""
    return count / (time.perf_counter() - begun), count / (time.process_time() - begun_work)


async def archived(place: Path, given: Sequence[ChangeRecord]) -> Rates:
    """Archive all of it."""

    async def identify(label: str) -> JournaledStream:
        return JournaledStream(label, "id", STREAM.arn)

    archiver = Archiver(DirectoryArchive(place), TABLE, identify, SystemClock())
    await archiver.open(SystemClock())
    there = await archiver.stamp("bench", STREAM.label, "shard", 1)
    begun, begun_work = time.perf_counter(), time.process_time()
    for first in range(0, len(given), BATCH):
        records = given[first : first + BATCH]
        position = TargetPosition(STREAM.label, "shard", 1, records[-1].sequence, there.watermark)
        assert await archiver.commit(RecordBatch(records, "bench", STREAM, "shard"), position) == Written()
        there = position
    return timed(len(given), begun, begun_work)


def raw(place: Path, given: Sequence[ChangeRecord]) -> Rates:
    """The same rows as any program would write them."""
    place.mkdir()
    leaves = [os.urandom(32) for _ in given]  # which are there already, where only rows are written
    begun, begun_work = time.perf_counter(), time.process_time()
    for first in range(0, len(given), BATCH):
        records = given[first : first + BATCH]
        rows = pa.table(
            {
                "key": [record.key for record in records],
                "generation": [record.generation for record in records],
                "sequence": [record.sequence.to_bytes(24, "big") for record in records],
                "created_us": [record.created_us for record in records],
                "event": [record.event_name for record in records],
                "old": [record.old for record in records],
                "new": [record.new for record in records],
                "origin": pa.nulls(len(records), pa.string()),
                "shard": ["shard"] * len(records),
                "leaf": leaves[first : first + BATCH],
                "ancestry": pa.nulls(len(records), pa.string()),
            }
        )
        pq.write_table(rows, place / f"{first}.parquet", compression="zstd")
    return timed(len(given), begun, begun_work)


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of journals. Units: rows a second, %, bytes, ms, s."""
    turns, count = (3, 60_000) if quick else (5, 200_000)
    given = changes(count)
    gc.freeze()
    rates: list[tuple[Rates, Rates]] = []
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
        for turn in range(turns):
            place = Path(folder) / f"journal-{turn}"
            rates.append((asyncio.run(archived(place, given)), raw(Path(folder) / f"raw-{turn}", given)))
        yield "changes of flights into a journal", median(ours[0] for ours, _ in rates)
        yield "raw pyarrow write of the same rows", median(theirs[0] for _, theirs in rates)
        yield (
            "changes of flights into a journal, of a raw pyarrow write",
            median(100 * ours[1] / theirs[1] for ours, theirs in rates),
        )
        yield from asyncio.run(past_figures(place, given))
        yield "tailrace history of a key, cold", cold(Path(folder), place, given[-1])
    yield from put_figures(3.0 if quick else 9.0)


async def past_figures(place: Path, given: Sequence[ChangeRecord]) -> Iterator[tuple[str, float]]:
    """Sizes and answers, before and after a merge."""
    archive, clock = DirectoryArchive(place), SystemClock()
    journal = opened_journal(archive, f"{TABLE.folder}/id", clock)
    told: list[tuple[str, float]] = []
    for after in ("", ", merged"):
        if after:
            await Merger(archive).merge(journal)
        files = (await journal.target.manifest()).files.values()
        told.append((f"bytes of a change of flights{after}", sum(file.size for file in files) / len(given)))
        reader = PastReader(archive, TABLE, clock)
        try:
            told.append((f"history of a key{after}", 1_000 * await timed_history(reader, given)))
            at_us = given[len(given) * 3 // 4].created_us
            ours = await timed_fold(reader, at_us)
            paths = [str(archive.path(file.name)) for file in files]
            theirs = median(duckdb_fold(paths, at_us) for _ in range(3))
        finally:
            reader.close()
        told.append((f"the whole table as of a moment{after}", ours))
        told.append((f"DuckDB's own fold of it{after}", theirs))
        told.append((f"the whole table as of a moment{after}, of DuckDB's own fold", ours / theirs))
    return iter(told)


async def timed_history(reader: PastReader, given: Sequence[ChangeRecord]) -> float:
    """Seconds for the history of one key, of several."""
    spent = []
    for place in range(0, len(given), len(given) // 7):
        begun = time.perf_counter()
        assert await reader.history(given[place].key)
        spent.append(time.perf_counter() - begun)
    return median(spent[1:])


async def timed_fold(reader: PastReader, at_us: int) -> float:
    """Seconds for all items as of a moment."""
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        then = await reader.at(at_us, incomplete=True)
        then.now = then.now.__class__(then.now.view, known(then.now.coverage), then.now.live)
        assert len([item async for item in then.items()])
        spent.append(time.perf_counter() - begun)
    return median(spent)


def known(coverage: Any) -> Any:
    """A coverage with a base, so that the whole table is known: flights begin with none."""
    from msgspec.structs import replace

    return replace(coverage, base_us=coverage.begin_us)


def duckdb_fold(paths: Sequence[str], at_us: int) -> float:
    """Seconds for the same rows by one query."""
    begun = time.perf_counter()
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        rows = connection.execute(
            "SELECT key, item FROM (SELECT key, arg_max_null(new, sequence) AS item FROM read_parquet(?) "
            "WHERE created_us <= ? GROUP BY key) WHERE item IS NOT NULL ORDER BY key",
            [list(paths), at_us],
        ).fetchall()
    assert rows
    return time.perf_counter() - begun


def cold(folder: Path, place: Path, record: ChangeRecord) -> float:
    """Seconds of the command, the start of Python among them."""
    (folder / "app.py").write_text(
        'from tailrace import App\n\napp = App("bench")\nflights = app.table("flights", pk="id")\n'
        f"app.archive(flights, {str(place)!r})\n"
    )
    flight = orjson.loads(record.new or b"")["id"]["S"]
    words = ["history", "flights/" + orjson.dumps({"id": flight}).decode(), "--app", "app.py"]
    spent = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tailrace", *words], cwd=folder, check=False, capture_output=True
        )
        spent.append(time.perf_counter() - begun)
    return median(spent)


@contextmanager
def dev(app: str) -> Iterator[Server]:
    """`tailrace dev` of an app, with its tables."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        file = Path(directory) / "app.py"
        file.write_text(app.replace("PLACE", str(Path(directory) / "history")))
        words = ["dev", str(file), "--no-reload", "--port", str(port), "--data", f"{directory}/data"]
        with started([sys.executable, "-m", "tailrace", *words], port) as server:
            time.sleep(1)
            yield server


def put_figures(seconds: float) -> Iterator[tuple[str, float]]:
    """Puts a second of an app with an archive, and of the same without one, in turns."""
    rates: list[tuple[float, float]] = []
    archive = ARCHIVE.format(place="PLACE")
    with dev(APP + archive) as ours, dev(APP) as bare:
        for turn in range(5):
            rate = [
                checked(run(server.port, puts(turn * 10_000_000), 16, seconds / 3), "PutItem").rate
                for server in (ours, bare)
            ]
            rates.append((rate[0], rate[1]))
            time.sleep(2)
    yield "PutItem while it is archived", median(ours for ours, _ in rates)
    yield "PutItem of the same app without an archive", median(bare for _, bare in rates)
    yield "PutItem while it is archived, of without", median(100 * ours / bare for ours, bare in rates)
