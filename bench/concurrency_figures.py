"""Delivery that waits for others: many calls beside each other, of few items.

Rules of this file: in one process, as delivery_figures.py. The limit of ten items is ten coroutines that do
nothing but wait: it is what the loop's own clock makes of a millisecond. What a queue grants is what calls
without delivery, none of them throttled, reach, less the tenth.
"""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.serving import LOAD_CORE
from tailrace import App, Change, Throttled, sinks
from tailrace.compose import EngineOptions, create_tables, open_engine, running_worker
from tailrace.sinks.aws import AwsAccess
from tailrace.sinks.entries import ENTRIES
from tailrace.tables.mutate import Put

WAIT_S = 0.001
HOT = 10
CALL_S = 0.005
THROTTLED = 0.1


@dataclass(frozen=True)
class Queue(AwsAccess):
    """A queue that takes 5 ms for a call and throttles a share of them."""

    throttled: float = 0.0
    random: Random = field(default_factory=lambda: Random(1), compare=False)
    taken: list[int] = field(default_factory=list, compare=False)

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """One call."""
        await asyncio.sleep(CALL_S)
        if self.random.random() < self.throttled:
            raise Throttled("sqs.send_message_batch: RequestThrottled: slower")
        self.taken.append(len(parameters["Entries"]))
        return {}


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of concurrency."""
    os.sched_setaffinity(0, LOAD_CORE)
    count = 10_000 if quick else 50_000
    yield "ten sleepers", asyncio.run(_sleepers(count))
    yield "ten hot items, 1 ms each, 100 beside each other", asyncio.run(_hot(count))
    messages = 5_000 if quick else 20_000
    granted = (1 - THROTTLED) * asyncio.run(_bare_calls(messages))
    yield "messages to SQS that throttles a tenth, granted", granted
    taken = asyncio.run(_queue(messages))
    yield "messages to SQS that throttles a tenth", taken
    yield "SQS that throttles a tenth, of what it grants", 100 * taken / granted


async def _sleepers(count: int) -> float:
    """Waits a second of ten coroutines that wait 1 ms again and again."""

    async def sleep() -> None:
        for _ in range(count // HOT):
            await asyncio.sleep(WAIT_S)

    begun = time.perf_counter()
    await asyncio.gather(*(sleep() for _ in range(HOT)))
    return count / (time.perf_counter() - begun)


async def _bare_calls(count: int) -> float:
    """Messages a second of calls of ten messages, one after the other."""
    queue = Queue()
    begun = time.perf_counter()
    for _ in range(count // ENTRIES):
        await queue.call("sqs", "send_message_batch", Entries=range(ENTRIES))
    return count / (time.perf_counter() - begun)


async def _queue(count: int) -> float:
    """Messages a second of a sink with the default settings, the last of them included."""
    logging.getLogger("tailrace.handlers").setLevel(logging.ERROR)  # a tenth fails, and is said to
    app = App("bench")
    table = app.table("bench", pk="pk")
    queue = Queue(throttled=THROTTLED)
    app.sink(table, sinks.Sqs("https://queue.invalid/1/bench", queue))
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        options = EngineOptions(Path(directory))
        _fill(app, options, count, items=count)
        begun = time.perf_counter()
        async with running_worker(app, options):
            while sum(queue.taken) < count:
                if time.perf_counter() > begun + 300:
                    raise TimeoutError(f"{sum(queue.taken)} of {count} messages after 300 s")
                await asyncio.sleep(0.01)
            return count / (time.perf_counter() - begun)


def _fill(app: App, options: EngineOptions, count: int, items: int) -> None:
    engine = open_engine(options)
    create_tables(app, engine)
    for number in range(count):
        engine.put(Put("bench", {"pk": {"S": f"item {number % items}"}, "n": {"N": str(number)}}))
        if number % 100 == 99:
            engine.committer.flush()
    engine.close()


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
        _fill(app, options, count, items=HOT)
        begun = time.perf_counter()
        async with running_worker(app, options):
            await asyncio.wait_for(done.wait(), 300)
            return seen / (time.perf_counter() - begun)
