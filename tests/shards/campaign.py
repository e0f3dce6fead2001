"""A whole `tailrace worker` over thousands of idle shards: what it takes, what it asks, what it tells.

Theory of operation. A server in this process has two tables of many shards each, and notes every call with
its moment. One worker, a process of its own with leases and checkpoints in SQLite, reads them until every
shard has been read twice; then each table gets a change, and these must be handled. Memory is the most that
the system has ever counted for the worker.
Rules of this file: time is real; limits are AWS's, and are counted where AWS counts them, at the server.
Called by `make shards` and, small, by test_shards.py.
"""

import json
import os
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tailrace.engine.streams import RecordsPage, Streams
from tailrace.runtime.pacing import DESCRIBES_PER_S, SHARD_READS_PER_S, idle_calls_per_s, idle_delay_ms
from tests.far_streams import FarTable, far
from tests.fleet import TERM, Command
from tests.patience import eventually

MOST_MIB = 500
TABLES = ("orders", "invoices")
APP = """
import os

from tailrace import App, Change

app = App("shards")


def note(change: Change) -> None:
    out = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, f"{change.table} {change.keys['pk']}\\n".encode())
    os.close(out)


for name in ("orders", "invoices"):
    app.on(app.table(name, pk="pk"), id=name)(note)
"""


class ServerCalls:
    """The calls of DynamoDB Streams that a server got. Units: moments in seconds of one clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.reads: dict[str, list[float]] = defaultdict(list)
        """Of each shard."""
        self.descriptions: list[float] = []
        self._of: dict[str, str] = {}
        """The shard of each iterator."""
        iterator, records, describe = Streams.iterator, Streams.records, Streams.describe

        def get_shard_iterator(streams: Streams, stream: str, shard: str, *more: Any) -> str:
            text = iterator(streams, stream, shard, *more)
            self._of[text] = f"{stream}/{shard}"
            return text

        def get_records(streams: Streams, text: str, *more: Any) -> RecordsPage:
            shard = self._of[text]
            self.reads[shard].append(time.monotonic())
            answer = records(streams, text, *more)
            if answer[1] is not None:
                self._of[answer[1]] = shard
            return answer

        def describe_stream(streams: Streams, *more: Any) -> dict[str, Any]:
            self.descriptions.append(time.monotonic())
            return describe(streams, *more)

        patch.setattr(Streams, "iterator", get_shard_iterator)
        patch.setattr(Streams, "records", get_records)
        patch.setattr(Streams, "describe", describe_stream)

    @property
    def all_reads(self) -> int:
        """GetRecords of all shards."""
        return sum(map(len, self.reads.values()))


class ShardsReport(Struct, frozen=True):
    """What was seen. Units: MiB; calls a second, on average at rest and the most in any second; seconds from
    the start until every shard was read.
    """

    shards: int
    memory_mib: float
    rest_reads_per_s: float
    most_reads_of_a_shard: int
    most_describes: int
    idle_delay_ms: int
    told_idle_delay_ms: int
    told_shards: int
    written: int
    handled: int
    processor_s_a_minute: float
    start_s: float

    def violations(self) -> list[str]:
        """What is beyond its limit."""
        limits = {
            f"{self.memory_mib:.0f} MiB of {MOST_MIB}": self.memory_mib <= MOST_MIB,
            f"{self.most_reads_of_a_shard} reads of a shard in a second": self.most_reads_of_a_shard
            <= SHARD_READS_PER_S,
            f"{self.most_describes} DescribeStream in a second": self.most_describes <= DESCRIBES_PER_S,
            f"{self.rest_reads_per_s:.0f} reads a second at rest": self.rest_reads_per_s
            <= idle_calls_per_s(self.shards),
            f"an idle delay of {self.told_idle_delay_ms} ms is told": self.told_idle_delay_ms
            == self.idle_delay_ms,
            f"{self.told_shards} shards are told": self.told_shards == self.shards,
            f"{self.handled} changes of {self.written} were handled": self.handled == self.written,
        }
        return [words for words, holds in limits.items() if not holds]


def most_in_a_second(moments: list[float]) -> int:
    """How many moments any second has.

    >>> most_in_a_second([0.0, 0.5, 0.99, 1.2, 1.4, 9.0]), most_in_a_second([])
    (4, 0)
    """
    most = first = 0
    for place, moment in enumerate(moments):
        while moments[first] <= moment - 1:
            first += 1
        most = max(most, place - first + 1)
    return most


def memory_mib(process: int) -> float:
    """The most that a process has ever had in memory."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the system does not tell the memory of a process")


def processor_s(process: int) -> float:
    """Processor time of a process with all of its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(path: Path, shards: int, rest_s: float) -> ShardsReport:
    """One worker over so many shards, half of them of each table, at rest for so long."""
    path.joinpath("app.py").write_text(APP)
    with far(shards // len(TABLES)) as (served, access), pytest.MonkeyPatch.context() as patch:
        served.clock.advance(round(time.time() * 1_000) - served.clock.now().wall_ms)
        tables = [FarTable(served, name=name) for name in TABLES]
        calls = ServerCalls(patch)
        made = Command("state", "create", "sqlite:state.db", cwd=path)
        assert made.end()[0] == 0
        worker = Command(
            "worker", "app.py", "--state", "sqlite:state.db", "--endpoint", str(access.endpoint_url),
            "--health", "127.0.0.1:0", "--json", cwd=path,
        )  # fmt: skip
        try:
            return _watched(path, worker, tables, calls, shards, rest_s)
        finally:
            for command in (made, worker):
                command.end(TERM)
                for pipe in (command.process.stdout, command.process.stderr):
                    assert pipe is not None
                    pipe.close()


def _watched(
    path: Path, worker: Command, tables: list[FarTable], calls: ServerCalls, shards: int, rest_s: float
) -> ShardsReport:
    worker.announced
    begun = time.monotonic()

    def read_twice() -> bool:
        return min(map(len, list(calls.reads.values()))) >= 2

    def told_read() -> str:
        return f"{len(calls.reads)} shards of {shards} were read"

    eventually(lambda: len(calls.reads) == shards, told_read)
    start_s = time.monotonic() - begun
    eventually(read_twice, told_read)
    process = worker.process.pid
    begun, before, spent = time.monotonic(), calls.all_reads, processor_s(process)
    time.sleep(rest_s)
    lasted, reads = time.monotonic() - begun, calls.all_reads - before
    spent = processor_s(process) - spent
    told = json.loads(worker.get("/health")[1])
    for table in tables:
        table.put("a")
    seen = path / "seen.txt"
    eventually(lambda: seen.exists() and len(seen.read_text().splitlines()) >= len(tables))
    handled = Counter(seen.read_text().splitlines())
    return ShardsReport(
        shards=shards,
        memory_mib=memory_mib(process),
        rest_reads_per_s=reads / lasted,
        most_reads_of_a_shard=max(map(most_in_a_second, calls.reads.values())),
        most_describes=most_in_a_second(calls.descriptions),
        idle_delay_ms=idle_delay_ms(shards),
        told_idle_delay_ms=told["idle_delay_ms"],
        told_shards=told["shards"],
        written=len(tables),
        handled=handled.total(),
        processor_s_a_minute=spent / lasted * 60,
        start_s=start_s,
    )
