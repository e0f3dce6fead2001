"""`python -m tests.shards.simulated --shards N`: the worker of a fleet, whole, over so many idle shards that
are simulated: leases, checkpoints and drivers are real, only the streams are not over HTTP.

Rules of this file: a process of its own, because its memory is what is asked; time is real, state is a file.
It prints its report as JSON. Called by `make shards`, through __main__.py.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace import App, Change, compose_fleet
from tailrace.aws.places import Access
from tailrace.clocks.system import SystemClock
from tailrace.runtime.pacing import idle_delay_ms
from tailrace.sources.far_tables import FarPlace
from tailrace.stores.sqlite_state import SqliteStateStore, create_file
from tailrace.streams.arns import ACCOUNT
from tests.patience import PATIENCE_S
from tests.shards.campaign import ShardsReport, memory_mib, most_in_a_second, processor_s
from tests.unit.runtime.test_pace_of_ten_thousand import QuietStream

LOOK_S = 0.5
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the state's file is: how fast a disk is, is not asked here."""


async def watched(path: Path, stream: QuietStream, rest_s: float) -> ShardsReport:
    """A worker until every shard was read twice, at rest for so long, and until it has handled a change."""
    app, clock, handled = App("shards"), SystemClock(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @app.on(app.table("orders", pk="pk"), id="orders")
    def note(change: Change) -> None:
        loop.call_soon_threadsafe(handled.set)

    create_file(path / "state.db")
    state = SqliteStateStore(path / "state.db")
    options = compose_fleet.FleetOptions(
        "worker", state, "state.db", Access("us-east-1", "http://127.0.0.1:9"),
        FarPlace("us-east-1", ACCOUNT), state.close,
    )  # fmt: skip
    fleet = compose_fleet.build_fleet_worker(app, clock, options)
    await fleet.worker.check()
    working, began = asyncio.create_task(fleet.worker.run()), time.monotonic()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    ended = time.monotonic() + PATIENCE_S * 2
    shards = len(stream.all)
    start_s = 0.0
    while not _is_read(stream, 2) and time.monotonic() < ended and not working.done():
        await asyncio.sleep(LOOK_S)
        if not start_s and _is_read(stream, 1):
            start_s = time.monotonic() - began
    begun, before, spent = time.monotonic(), len(stream.reads), processor_s(os.getpid())
    await asyncio.sleep(rest_s)
    lasted, reads = time.monotonic() - begun, len(stream.reads) - before
    spent = processor_s(os.getpid()) - spent
    told = fleet.pacer
    report = ShardsReport(
        shards=shards, memory_mib=0.0, rest_reads_per_s=reads / lasted,
        most_reads_of_a_shard=max(map(most_in_a_second, _moments(stream).values())),
        most_describes=most_in_a_second([page / 1_000 for page in stream.pages]),
        idle_delay_ms=idle_delay_ms(shards), told_idle_delay_ms=told.idle_ms, told_shards=told.open_shards,
        written=1, handled=0, processor_s_a_minute=spent / lasted * 60,
        start_s=start_s,
    )  # fmt: skip
    stream.written[stream.all[shards // 2].place].append(2)
    await asyncio.wait_for(handled.wait(), PATIENCE_S)
    fleet.worker.stop()
    await working
    await fleet.close()
    return msgspec.structs.replace(report, handled=1, memory_mib=memory_mib(os.getpid()))


def _is_read(stream: QuietStream, times: int) -> bool:
    """Whether every shard was read so often."""
    counts = Counter(place for _, place in stream.reads)
    return len(counts) == len(stream.all) and min(counts.values()) >= times


def _moments(stream: QuietStream) -> dict[tuple[str, str], list[float]]:
    moments: dict[tuple[str, str], list[float]] = {}
    for moment, place in stream.reads:
        moments.setdefault(place, []).append(moment / 1_000)
    return moments


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(prog="python -m tests.shards.simulated", description=__doc__)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--rest", type=float, default=60.0, metavar="SECONDS")
    arguments = parser.parse_args()
    stream: Any = QuietStream(arguments.shards, SystemClock())  # type: ignore[arg-type]
    with (
        tempfile.TemporaryDirectory(prefix="tailrace-shards-", dir=IN_MEMORY) as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(compose_fleet, "DynamoDbStreamsSource", lambda *_, **__: stream)
        report = asyncio.run(watched(Path(directory), stream, arguments.rest))
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
