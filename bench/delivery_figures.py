"""Delivery in one process: the rate through one mapping, and the time from a put to its handler.

Rules of this file: the embedded engine on a data directory with `serve`'s defaults, the production worker, no
HTTP. The limit is decoding the event and calling a function, with nothing in between.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import orjson

from bench.http_figures import item
from bench.serving import LOAD_CORE, SERVER_CORE
from tailrace import App, Batch, Change
from tailrace.compose import EngineOptions, create_tables, open_engine, running_worker
from tailrace.engine.engine import Engine
from tailrace.patterns.pattern import Pattern, compile_pattern
from tailrace.streams.envelopes import lambda_event
from tailrace.streams.record import ChangeRecord
from tailrace.tables.mutate import Put

RECORDS = 200_000
FILTERS: tuple[Pattern, ...] = (
    compile_pattern(
        {
            "eventName": ["INSERT", "MODIFY"],
            "dynamodb": {
                "NewImage": {"pk": {"S": [{"prefix": "customer#"}]}, "country": {"S": ["NL", "BE"]}}
            },
        }
    ),
)
"""Three tests that every record passes, so that every record is decoded and handled."""


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All delivery figures."""
    os.sched_setaffinity(0, LOAD_CORE)
    yield "decode and call", _decode_and_call(20_000)
    yield "decode, filter and call", _decode_and_call(20_000, FILTERS)
    yield "delivery through one mapping", asyncio.run(_delivery(20_000 if quick else RECORDS))
    yield (
        "delivery with a filter of three tests",
        asyncio.run(_delivery(20_000 if quick else RECORDS, FILTERS)),
    )
    yield "three mappings on one read", asyncio.run(_fan_out(20_000 if quick else RECORDS, quick=3))
    yield "a mapping beside a slow one", asyncio.run(_fan_out(20_000 if quick else RECORDS, quick=1, slow=1))
    yield "functions in processes", asyncio.run(_functions(20_000 if quick else RECORDS // 2))
    p50, p99 = asyncio.run(_latency(2_000 if quick else 10_000, per_second=1_000))
    yield "put returned → handler called, p50", p50 * 1000
    yield "put returned → handler called, p99", p99 * 1000


def _decode_and_call(count: int, filters: tuple[Pattern, ...] = ()) -> float:
    """Records a second: parse a Lambda event of 100 records of 966 bytes and hand on the filtered ones."""
    image = orjson.dumps({**item(1), "more": {"S": "y" * 120}})
    keys = orjson.dumps({"pk": item(1)["pk"], "sk": item(1)["sk"]})
    records = [
        ChangeRecord(number, 1, "MODIFY", 1_700_000_000_000_000, 600, 1, b"k", keys, old=image, new=image)
        for number in range(1, 101)
    ]
    event = lambda_event(
        records, "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/l", "NEW_AND_OLD_IMAGES", "us-east-1"
    )
    calls: list[int] = []
    handler: Callable[[dict[str, list[object]]], None] = lambda decoded: calls.append(len(decoded["Records"]))  # noqa: E731
    begun = time.perf_counter()
    while sum(calls[-1:]) * len(calls) < count:
        decoded = orjson.loads(event)
        if filters:
            decoded["Records"] = [
                record for record in decoded["Records"] if any(pattern.matches(record) for pattern in filters)
            ]
        handler(decoded)
    return len(calls) * 100 / (time.perf_counter() - begun)


async def _delivery(count: int, filters: tuple[Pattern, ...] = ()) -> float:
    """Write first, then let one trivial batch handler catch up."""
    seen = 0
    done = asyncio.Event()
    app = App("bench")
    app.table("bench", pk="pk", sk="sk")

    @app.batch(app.tables["bench"], batch_size=1_000, filters=filters)
    async def tally(batch: Batch) -> None:
        nonlocal seen
        seen += len(batch)
        if seen >= count:
            done.set()

    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        options = EngineOptions(Path(directory))
        _fill(app, options, count)
        begun = time.perf_counter()
        async with running_worker(app, options):
            await asyncio.wait_for(done.wait(), 120)
            return seen / (time.perf_counter() - begun)


async def _fan_out(count: int, quick: int, slow: int = 0) -> float:
    """Records a second of each quick handler, beside other quick ones and slow ones of 100 a second."""
    seen = [0] * quick
    done = asyncio.Event()
    app = App("bench")
    table = app.table("bench", pk="pk", sk="sk")

    def tallying(place: int) -> Callable[[Batch], Awaitable[None]]:
        async def tally(batch: Batch) -> None:
            seen[place] += len(batch)
            if min(seen) >= count:
                done.set()

        return tally

    async def wait(change: Change) -> None:
        await asyncio.sleep(0.01)

    for place in range(quick):
        app.batch(table, id=f"quick {place}", batch_size=1_000)(tallying(place))
    for place in range(slow):
        app.on(table, id=f"slow {place}", batch_size=1)(wait)
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        options = EngineOptions(Path(directory))
        _fill(app, options, count)
        begun = time.perf_counter()
        async with running_worker(app, options):
            await asyncio.wait_for(done.wait(), 120)
            return count / (time.perf_counter() - begun)


def count_records(event: dict[str, list[object]], context: object) -> None:
    """The function in a process of its own: the last event of all ends the measurement."""
    path = os.environ["BENCH_COUNT"]
    with open(path, "ab") as file:  # one byte a record: its size is what was handled
        file.write(b"." * len(event["Records"]))


async def _functions(count: int) -> float:
    """Write first, then let a function catch up, in a process on the other core; batches of 1,000."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        counted = Path(directory) / "count"
        counted.touch()
        app = App("bench")
        table = app.table("bench", pk="pk", sk="sk")
        app.function(
            count_records,
            table,
            BatchSize=1_000,
            Timeout=60,
            Environment={"Variables": {"BENCH_COUNT": str(counted)}},
        )
        options = EngineOptions(Path(directory))
        _fill(app, options, count)
        os.sched_setaffinity(0, LOAD_CORE | SERVER_CORE)
        begun = 0.0
        async with running_worker(app, options):
            while counted.stat().st_size < count:
                if (
                    not begun and counted.stat().st_size
                ):  # the process is there: its start is no figure of this
                    begun, first = time.perf_counter(), counted.stat().st_size
                await asyncio.sleep(0.005)
            return (count - first) / (time.perf_counter() - begun)


def _fill(app: App, options: EngineOptions, count: int) -> None:
    engine = open_engine(options)
    create_tables(app, engine)
    for number in range(count):
        _put(engine, number)
        if number % 100 == 99:
            engine.committer.flush()
    engine.close()


def _put(engine: Engine, number: int) -> None:
    engine.put(Put("bench", item(number)))


async def _latency(count: int, per_second: int) -> tuple[float, float]:
    """p50 and p99 in seconds between the durable put and the call of its handler."""
    written: dict[str, float] = {}
    taken: list[float] = []
    done = asyncio.Event()
    app = App("bench")
    app.table("bench", pk="pk", sk="sk")

    @app.on(app.tables["bench"])
    async def note(change: Change) -> None:
        taken.append(time.perf_counter() - written[change.raw_new["pk"]["S"]])
        if len(taken) == count:
            done.set()

    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        async with running_worker(app, EngineOptions(Path(directory))) as engine:
            begun = time.perf_counter()
            for number in range(count):
                _put(engine, number)
                engine.committer.flush()
                written[f"customer#{number:09d}"] = time.perf_counter()
                await asyncio.sleep(max(0.0, begun + number / per_second - time.perf_counter()))
            await asyncio.wait_for(done.wait(), 60)
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def simulation_figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Steps of the delivery machine a second, with world, faults and checkers."""
    from tests.simulation.campaign import campaign

    report = campaign(0, 100 if quick else 500)
    yield "simulation", report.steps / report.seconds
