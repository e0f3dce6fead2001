"""What `tailrace worker` does a second, and what a thousand records cost: eight shards of another server over
HTTP, one worker on a core of its own, then two that share it.

Theory of operation: workers begin on an empty table, until the rows of the leases say that each has its part
of the shards, which takes a lease's time, ten seconds and more. Then the handlers are held, all records are
written, and the handlers are let go: so the last shard is shared before the first record is there, and no
start of a process counts. One worker is measured before the two and after them: a machine is not the same for
minutes.
Rules of this file: everything is the process that a user starts; the server has the other core. The rate is
taken between the first record handled and the last. Processor seconds are what the system counted for the
workers from before the first record was written, so that what they read ahead counts, and a heartbeat, too.
A run in which one of two workers did not handle its part is no figure. AWS's limit for eight shards is five
reads a second of at most a thousand records each; what this machine can do is decoding the pages and calling
a function, with nothing in between.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from bench.http_figures import create_table, item
from bench.load import request, run
from bench.serving import LOAD_CORE, tailrace
from bench.stream_reader import STREAMS, call
from tailrace.runtime.pacing import SHARD_READS_PER_S

SHARDS = 8
PAGE = 1_000
RECORDS = 160_000
WRITTEN_AT_ONCE = 25
"""Items of a BatchWriteItem."""
APP = """
import asyncio
import os

from tailrace import App, Batch

app = App("bench")
table = app.table("bench", pk="pk", sk="sk")
out = os.open(os.environ["BENCH_COUNT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@app.batch(table, batch_size=1_000)
async def tally(batch: Batch) -> None:
    while os.path.exists("held"):
        await asyncio.sleep(0.05)
    os.write(out, b"." * len(batch))  # its size is what was handled
"""
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
TICKS = os.sysconf("SC_CLK_TCK")
LOOK_S = 0.005
MOST_S = 300
LEAST_PART, MOST_PART = 0.35, 0.65
"""Of the records, that each of two workers must have handled."""


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Records a second and processor seconds of a thousand, by one worker and by two."""
    records = 40_000 if quick else RECORDS
    yield "eight shards at AWS's pace", float(SHARDS * SHARD_READS_PER_S * PAGE)
    rates, spent = zip(*(_measured(records, workers) for workers in (1, 2, 1)), strict=True)
    alone, together = (spent[0] + spent[2]) / 2, spent[1]
    with tailrace("--shards", str(SHARDS)) as server:
        run(server.port, lambda _: iter([create_table()]), connections=1)
        _fill(server.port, SHARDS * PAGE)
        yield "decode pages and call", _decode_and_call(server.port)
    yield "one worker, eight shards over HTTP", max(rates[0], rates[2])
    yield "one worker, a thousand records over HTTP", alone
    yield "one worker, records a processor second over HTTP", 1_000 / alone
    yield "two workers, eight shards over HTTP", rates[1]
    yield "two workers, a thousand records over HTTP", together
    yield "two workers' processor time, against one", together / alone


def _measured(records: int, workers: int) -> tuple[float, float]:
    """What `_handled` gives, of a server of its own."""
    with tailrace("--shards", str(SHARDS)) as server:
        run(server.port, lambda _: iter([create_table()]), connections=1)
        return _handled(server.port, records, workers)


def _fill(port: int, records: int) -> None:
    """Write so many records, to all shards."""

    def writes(place: int) -> Iterator[bytes]:
        for first in range(place * WRITTEN_AT_ONCE, records, 16 * WRITTEN_AT_ONCE):
            numbers = range(first, min(first + WRITTEN_AT_ONCE, records))
            puts = [{"PutRequest": {"Item": item(number)}} for number in numbers]
            yield request("BatchWriteItem", {"RequestItems": {"bench": puts}})

    load = run(port, writes, connections=16)
    if load.errors:
        raise RuntimeError(f"the table could not be written: {load.first_error!r}")


def _pages(port: int) -> Iterator[bytes]:
    """A page of each shard, as it is answered."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    with contextlib.closing(connection):
        table = call(connection, "DynamoDB_20120810", "DescribeTable", {"TableName": "bench"})["Table"]
        arn = table["LatestStreamArn"]
        described = call(connection, STREAMS, "DescribeStream", {"StreamArn": arn})["StreamDescription"]
        for shard in described["Shards"]:
            members = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            text = call(connection, STREAMS, "GetShardIterator", members)["ShardIterator"]
            yield orjson.dumps(call(connection, STREAMS, "GetRecords", {"ShardIterator": text}))


def _decode_and_call(port: int) -> float:
    """Records a second of decoding pages as they came, and a function called with each page."""
    pages, handled = list(_pages(port)), 0
    handler = lambda records: len(records)  # noqa: E731
    begun, spent = time.perf_counter(), time.process_time()
    while time.perf_counter() < begun + 1:
        for page in pages:
            handled += handler(orjson.loads(page)["Records"])
    return handled / (time.process_time() - spent)


# ---- workers -----------------------------------------------------------------------------------------------


def _handled(port: int, records: int, workers: int) -> tuple[float, float]:
    """Records a second between the first and the last, and processor seconds of a thousand. Raises:
    RuntimeError when a worker has not handled its part.
    """
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        path = Path(directory)
        (path / "app.py").write_text(APP)
        subprocess.run([sys.executable, "-m", "tailrace", "state", "create", "sqlite:state.db"],
                       cwd=path, check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        counts = [path / f"count-{number}" for number in range(workers)]
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(_worker(path, port, count)) for count in counts]
            _until_shared(path / "state.db", workers)
            spent = sum(map(_spent_s, processes))
            (path / "held").touch()
            _fill(port, records)
            (path / "held").unlink()
            begun, first = _until(counts, 1)
            ended, last = _until(counts, records)
            spent = sum(map(_spent_s, processes)) - spent
        parts = [count.stat().st_size / last for count in counts]
        if workers == 2 and not LEAST_PART <= parts[0] <= MOST_PART:
            raise RuntimeError(
                f"of the records one worker has handled {parts[0]:.0%}, the other {parts[1]:.0%}"
            )
        return (last - first) / (ended - begun), spent / last * 1_000


def _until_shared(state: Path, workers: int) -> None:
    """Return when each worker has its part of the leases. Raises: TimeoutError."""
    begun = time.perf_counter()
    with contextlib.closing(sqlite3.connect(state, timeout=10)) as rows:
        while sorted(parts := leases_of(rows)) != [SHARDS // workers] * workers:
            if time.perf_counter() > begun + MOST_S:
                raise TimeoutError(f"after {MOST_S} s the workers have {parts} of {SHARDS} leases")
            time.sleep(LOOK_S)


def leases_of(rows: sqlite3.Connection) -> Sequence[int]:
    """How many leases each worker has, and how many have no owner."""
    owner = "json_extract(fields, '$.owner')"
    owners = rows.execute(f"SELECT {owner} FROM rows WHERE key >= 'lease/' AND key < 'lease0'")
    return list(Counter(name for (name,) in owners).values())


@contextlib.contextmanager
def _worker(path: Path, port: int, count: Path) -> Iterator[int]:
    """A worker on the core of the load. Returns: its process id."""
    command = [
        sys.executable, "-m", "tailrace", "worker", "app.py", "--state", "sqlite:state.db", "--endpoint",
        f"http://127.0.0.1:{port}", "--health", "off", "--json",
    ]  # fmt: skip
    environment = {**os.environ, **ACCOUNT, "BENCH_COUNT": str(count)}
    process = subprocess.Popen(
        command, cwd=path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.sched_setaffinity(process.pid, LOAD_CORE)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(MOST_S)


def _until(counts: Sequence[Path], records: int) -> tuple[float, int]:
    """When so many records were handled, and how many were then. Raises: TimeoutError."""
    begun = time.perf_counter()
    while (handled := sum(count.stat().st_size for count in counts if count.exists())) < records:
        if time.perf_counter() > begun + MOST_S:
            raise TimeoutError(f"{handled} of {records} records were handled in {MOST_S} s")
        time.sleep(LOOK_S)
    return time.perf_counter(), handled


def _spent_s(process: int) -> float:
    """Processor time of a process with all of its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
