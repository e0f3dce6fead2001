"""`python -m tests.planned [--seconds N]`: a worker in real time beside a plan of the same changes, and a
dated summary.

Theory of operation: a node with an engine, a handler that sleeps and writers that are independent of each
other run for some seconds. Then the plan is given the very changes that were written and the durations that
were measured. The two differ by what a plan does not know: how long the loop, the writers and the engine
need for themselves.
Rules of this file: real clocks, one process; a comparison, never a test.
"""

import argparse
import asyncio
from random import Random
from time import time
from typing import Any, Final

import boto3
from msgspec import Struct

from tailrace import App, Batch
from tailrace.compose import EngineOptions, Node
from tailrace.planning.core.durations import STEPS, Duration, ServiceTimes
from tailrace.planning.core.interpreter import PlannedHandler, PlannedReads, PlanRun
from tailrace.planning.core.measures import PlanFigures, percentile
from tailrace.planning.core.sweep import PlannedSetting
from tailrace.planning.core.traffic import Arrivals, KeyPlace, KeyShares, traffic_of
from tailrace.server.http import HttpSettings
from tests.evidence import write_evidence


class PlannedWorld(Struct, frozen=True):
    """One comparison. Units: rate in changes a second, sleeps_ms a call."""

    name: str
    rate: float
    keys: str
    sleeps_ms: float
    concurrency: int
    batch_size: int


WORLDS: Final = (
    PlannedWorld("keeps up", 60, "uniform:200", 20, 4, 10),
    PlannedWorld("one batch at a time", 60, "uniform:200", 30, 1, 5),
    PlannedWorld("falls behind", 60, "uniform:200", 50, 1, 2),
    PlannedWorld("a hot item", 60, "hot:50%:200", 50, 4, 1),
)


class Happened(Struct):
    """What a handler saw. Shape: `records` of all batches; `calls` (began, ended, changes). Units: ms."""

    records: list[Any]
    calls: list[tuple[float, float, int]]
    lags: list[int]


async def happen(world: PlannedWorld, seconds: float) -> tuple[Happened, int, float]:
    """Let it happen. Returns: what did, when it began and how long it was. Units: ms since the epoch, s."""
    app, happened = App("planned"), Happened([], [], [])
    orders = app.table("orders", pk="id")

    @app.batch(orders, batch_size=world.batch_size, concurrency=world.concurrency)
    async def note(batch: Batch) -> None:
        began = time()
        await asyncio.sleep(world.sleeps_ms / 1_000)
        ended = time()
        happened.records += [change.record for change in batch]
        happened.calls.append((began * 1_000, ended * 1_000, len(batch)))
        happened.lags += [round(ended * 1_000) - change.record.created_ms for change in batch]

    node = Node(EngineOptions(directory=None), HttpSettings(port=0), app)
    port = await node.start()
    client = boto3.client(
        "dynamodb", region_name=app.region, endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="any", aws_secret_access_key="any",
    )  # fmt: skip
    random, draw = Random(1), KeyShares.read(world.keys)
    chosen = draw.draw(random.random)
    began, at = time(), 0.0
    puts = set[asyncio.Task[Any]]()
    number = 0
    while (at := at + random.expovariate(world.rate)) < seconds:
        await asyncio.sleep(max(0.0, began + at - time()))
        number += 1
        item = {"id": {"S": f"key-{chosen()}"}, "n": {"N": str(number)}}
        put = asyncio.create_task(asyncio.to_thread(client.put_item, TableName="orders", Item=item))
        puts.add(put)
        put.add_done_callback(puts.discard)
    lasted = time() - began
    kept = Happened([*happened.records], [*happened.calls], [*happened.lags])
    while puts or len(happened.records) < number:  # what is left is handled, so that all changes are known
        await asyncio.sleep(0.05)
    await node.stop()
    kept.records = happened.records
    return kept, round(began * 1_000), lasted


def plan(world: PlannedWorld, happened: Happened, began_ms: int, lasted: float) -> PlanFigures:
    """What a plan says of the same changes, with the durations that were measured."""
    records = sorted(happened.records, key=lambda record: record.sequence)
    places = {record.key: place for place, record in enumerate(records)}
    items = [KeyPlace(record.key, record.keys, record.partition) for record in records]
    arrivals = Arrivals(
        [record.created_ms - began_ms for record in records], [places[record.key] for record in records]
    )
    took = sorted(round((ended - began) * 1_000) for began, ended, _ in happened.calls)
    quantiles = tuple(took[len(took) * step // STEPS] for step in range(STEPS))
    length_us = round(lasted * 1_000_000)
    traffic = traffic_of(world.keys, arrivals, items, 1, began_ms, length_us, item_bytes=60)
    app = App("planned")

    @app.batch(app.table("orders", pk="id"), batch_size=world.batch_size, concurrency=world.concurrency)
    def note(batch: Batch) -> None: ...

    setting = PlannedSetting({}, app.mapping_of("plan", note).settings, 1)
    handler = PlannedHandler(ServiceTimes(Duration("measured", quantiles)))
    run = PlanRun(setting, traffic, handler, PlannedReads())
    for _ in run.run():
        pass
    return run.figures()


def compared(world: PlannedWorld, seconds: float) -> dict[str, Any]:
    """Both, side by side. Units: milliseconds."""
    happened, began_ms, lasted = asyncio.run(happen(world, seconds))
    told, lags = plan(world, happened, began_ms, lasted), sorted(happened.lags)
    busy = sum(ended - began for began, ended, _ in happened.calls) / 1_000
    return {
        "world": world.name,
        "seconds": round(lasted, 3),
        "changes": told.changes,
        "real": {
            "handled": len(lags),
            "calls": len(happened.calls),
            "lag_p50_ms": percentile(lags, 50),
            "lag_p99_ms": percentile(lags, 99),
            "concurrency": round(busy / lasted, 3),
        },
        "planned": {
            "handled": told.handled,
            "calls": told.invocations,
            # Of what was handled, as of the worker: what is left has no lag yet there.
            "lag_p50_ms": percentile(told.handled_lags, 50) // 1_000,
            "lag_p99_ms": percentile(told.handled_lags, 99) // 1_000,
            "concurrency": round(told.concurrency, 3),
        },
    }


def main() -> None:
    """Compare every world, and write down both."""
    parser = argparse.ArgumentParser(prog="python -m tests.planned", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each world lasts")
    worlds = []
    for world in WORLDS:
        worlds.append(compared(world, parser.parse_args().seconds))
        print(worlds[-1], flush=True)
    print(write_evidence("planned", {"worlds": worlds}))


if __name__ == "__main__":
    main()
