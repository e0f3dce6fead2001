"""What `tailrace worker` does a second, and what a thousand records cost: eight shards of another server over
HTTP, one worker on a core of its own, then two that share it.

Rules of this file: everything is the process that a user starts; the server has the other core. All records
are written first. A figure is taken between the first record handled and the last, so that no start of a
process counts; processor seconds are what the system counted for the workers meanwhile. AWS's limit for
eight shards is five reads a second of at most a thousand records each; what this machine can do is decoding
the pages and calling a function, with nothing in between.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench.http_figures import create_table, item
from bench.load import request, run
from bench.serving import LOAD_CORE, tailrace
from bench.stream_reader import STREAMS, call
from tailrace.runtime.pacing import SHARD_READS_PER_S

SHARDS = 8
PAGE = 1_000
RECORDS = 240_000
WRITTEN_AT_ONCE = 25
"""Items of a BatchWriteItem."""
APP = """
import os

from tailrace import App, Batch

app = App("bench")
table = app.table("bench", pk="pk", sk="sk")
out = os.open(os.environ["BENCH_COUNT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@app.batch(table, batch_size=1_000)
async def tally(batch: Batch) -> None:
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


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Records a second and processor seconds of a thousand, by one worker and by two."""
    records = 40_000 if quick else RECORDS
    yield "eight shards at AWS's pace", float(SHARDS * SHARD_READS_PER_S * PAGE)
    with tailrace("--shards", str(SHARDS)) as server:
        _fill(server.port, records)
        yield "decode pages and call", _decode_and_call(server.port)
        rate, alone = _handled(server.port, records, workers=1)
        yield "one worker, eight shards over HTTP", rate
        yield "one worker, a thousand records over HTTP", alone
        yield "one worker, records a processor second over HTTP", 1_000 / alone
        rate, together = _handled(server.port, records, workers=2)
        yield "two workers, eight shards over HTTP", rate
        yield "two workers, a thousand records over HTTP", together
        yield "two workers' processor time, against one", together / alone


def _fill(port: int, records: int) -> None:
    """Write so many records, to all shards."""

    def writes(place: int) -> Iterator[bytes]:
        for first in range(place * WRITTEN_AT_ONCE, records, 16 * WRITTEN_AT_ONCE):
            numbers = range(first, min(first + WRITTEN_AT_ONCE, records))
            puts = [{"PutRequest": {"Item": item(number)}} for number in numbers]
            yield request("BatchWriteItem", {"RequestItems": {"bench": puts}})

    run(port, lambda _: iter([create_table()]), connections=1)
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
    """Records a second between the first and the last, and processor seconds of a thousand."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        path = Path(directory)
        (path / "app.py").write_text(APP)
        subprocess.run([sys.executable, "-m", "tailrace", "state", "create", "sqlite:state.db"],
                       cwd=path, check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(_worker(path, port)) for _ in range(workers)]
            count = path / "count"
            begun, first = _until(count, 1)
            spent = sum(map(_spent_s, processes))
            ended, last = _until(count, records)
            spent = sum(map(_spent_s, processes)) - spent
        return (last - first) / (ended - begun), spent / (last - first) * 1_000


@contextlib.contextmanager
def _worker(path: Path, port: int) -> Iterator[int]:
    """A worker on the core of the load. Returns: its process id."""
    command = [
        sys.executable, "-m", "tailrace", "worker", "app.py", "--state", "sqlite:state.db", "--endpoint",
        f"http://127.0.0.1:{port}", "--health", "off", "--json",
    ]  # fmt: skip
    environment = {**os.environ, **ACCOUNT, "BENCH_COUNT": str(path / "count")}
    process = subprocess.Popen(
        command, cwd=path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.sched_setaffinity(process.pid, LOAD_CORE)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(MOST_S)


def _until(count: Path, records: int) -> tuple[float, int]:
    """When so many records were handled, and how many were then. Raises: TimeoutError."""
    begun = time.perf_counter()
    while (handled := count.stat().st_size if count.exists() else 0) < records:
        if time.perf_counter() > begun + MOST_S:
            raise TimeoutError(f"{handled} of {records} records were handled in {MOST_S} s")
        time.sleep(LOOK_S)
    return time.perf_counter(), handled


def _spent_s(process: int) -> float:
    """Processor time of a process with all of its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
