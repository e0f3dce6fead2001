"""Delivery that waits for others: many calls beside each other, of few items.

Rules of this file: in one process, as delivery_figures.py. The limit of ten items is ten coroutines that do nothing but wait: it is what the
loop's own clock makes of a millisecond.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.serving import LOAD_CORE
from tailrace import App, Change
from tailrace.compose import EngineOptions, create_tables, open_engine, running_worker
from tailrace.tables.mutate import Put

WAIT_S = 0.001
HOT = 10


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of concurrency."""
    os.sched_setaffinity(0, LOAD_CORE)
    count = 10_000 if quick else 50_000
    yield "ten sleepers", asyncio.run(_sleepers(count))
    yield "ten hot items, 1 ms each, 100 beside each other", asyncio.run(_hot(count))


async def _sleepers(count: int) -> float:
    """Waits a second of ten coroutines that wait 1 ms again and again."""

    async def sleep() -> None:
        for _ in range(count // HOT):
            await asyncio.sleep(WAIT_S)

    begun = time.perf_counter()
    await asyncio.gather(*(sleep() for _ in range(HOT)))
    return count / (time.perf_counter() - begun)


async def _hot(count: int) -> float:
    """Records a second of a handler that waits 1 ms for each, with the default batch size."""
    seen = 0
    done = asyncio.Event()
    app = App("bench")
    table = app.table("bench", pk="pk")

    async def wait(change: Change) -> None:
        nonlocal seen
        await asyncio.sleep(WAIT_S)
        seen += 1
        if seen >= count:
            done.set()

    app.on(table, id="wait", concurrency=100)(wait)
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        options = EngineOptions(Path(directory))
        engine = open_engine(options)
        create_tables(app, engine)
        for number in range(count):
            engine.put(Put("bench", {"pk": {"S": f"item {number % HOT}"}, "n": {"N": str(number)}}))
            if number % 100 == 99:
                engine.committer.flush()
        engine.close()
        begun = time.perf_counter()
        async with running_worker(app, options):
            await asyncio.wait_for(done.wait(), 300)
            return seen / (time.perf_counter() - begun)
