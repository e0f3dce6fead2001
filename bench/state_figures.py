"""What state in DynamoDB costs, and how it spreads: the production worker over a table, its state in another
`tailrace serve`, every write counted as AWS would charge it.

Rules of this file: a write unit is a kilobyte begun, two in a transaction. Shares depend on nothing but keys;
units of changes depend on how often a checkpoint is saved meanwhile, so on the machine. The spread is printed
beside the figures.
"""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.aws_figures import ACCOUNT
from bench.serving import tailrace
from tailrace import App, Change
from tailrace.aws.places import Access
from tailrace.clocks.system import SystemClock
from tailrace.compose import EngineOptions, Joined, Turns, create_tables, open_engine
from tailrace.compose_worker import WorkerOptions, build_worker
from tailrace.engine.settings import EngineSettings
from tailrace.ports import StateStore
from tailrace.runtime.around import Around
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.stores.dynamodb_table import create_table
from tailrace.tables.mutate import Put

SHARDS = 64
"""As many as a stream of the engine may begin with; the figures are for a thousand."""
UNIT = 1_024
PARTITION_UNITS = 1_000
"""Write units that a partition of DynamoDB's takes in a second. Source: AWS, "Service quotas"."""
SEEN_S = 10.0


class CountedTables:
    """DynamoDB, whose writes are counted by partition. Units: write units."""

    def __init__(self, under: Any) -> None:
        self._under = under
        self.units: Counter[str] = Counter()

    async def call(self, operation: str, members: Mapping[str, Any]) -> Any:
        """One request."""
        match operation:
            case "PutItem" | "DeleteItem":
                self._count(members, 1)
            case "TransactWriteItems":
                for action in members["TransactItems"]:
                    (parameters,) = action.values()
                    self._count(parameters, 2)
        return await self._under.call(operation, members)

    def call_here(self, operation: str, members: Mapping[str, Any]) -> Any:
        """The same; this thread waits."""
        return self._under.call_here(operation, members)

    def _count(self, parameters: Mapping[str, Any], price: int) -> None:
        item = parameters.get("Item", parameters.get("Key", {}))
        partition = item["pk"]["S"]
        self.units[partition] += price * (len(orjson.dumps(item)) // UNIT + 1)

    def taken(self) -> Counter[str]:
        """What was counted since."""
        units, self.units = self.units, Counter()
        return units


class StateElsewhere(Around):
    """A worker's state in a table of DynamoDB's."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def state(self, state: StateStore) -> StateStore:
        """The table's."""
        return self._store


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Write units for shards and changes, and how they spread over partitions."""
    os.environ.update(ACCOUNT)
    changes = 500 if quick else 5_000
    with tailrace() as server:
        access = Access("us-east-1", f"http://127.0.0.1:{server.port}")
        create_table(access, "state")
        begun, idle, handled = asyncio.run(_counted(access, changes, 3.0 if quick else SEEN_S))
    seconds = 3.0 if quick else SEEN_S
    yield "state: write units to begin with 1,000 shards", begun.total() / SHARDS * 1_000
    yield "state: write units a minute for 1,000 idle shards", idle.total() / SHARDS * 1_000 * 60 / seconds
    yield "state: write units for 1,000 changes with once", handled.total() / changes * 1_000
    yield "state: partitions that were written to", len(handled)
    busiest = max(handled.values())
    yield "state: share of the busiest partition", busiest / handled.total() * 100
    yield "state: changes a second until AWS throttles that partition", PARTITION_UNITS * changes / busiest
    Console(stderr=True).print(spread(handled))


def spread(units: Counter[str]) -> Table:
    """How writes spread over the partitions of each kind."""
    table = Table("kind", "partitions", "write units", "busiest partition", title="state by kind")
    kinds: dict[str, Counter[str]] = {}
    for partition, count in units.items():
        kinds.setdefault(partition.partition("/")[0], Counter())[partition] += count
    for kind, counts in sorted(kinds.items(), key=lambda entry: -entry[1].total()):
        (busiest, most), *_ = counts.most_common(1)
        table.add_row(
            kind, str(len(counts)), str(counts.total()), f"{busiest}: {most / counts.total():.0%} of its kind"
        )
    return table


async def _counted(
    access: Access, changes: int, seconds: float
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Units to begin, units of idle time, units of changes."""
    app, seen, done = App("bench"), 0, asyncio.Event()
    table = app.table("bench", pk="pk")

    @app.on(table, once=True)
    async def note(change: Change) -> None:
        nonlocal seen
        seen += 1
        if seen == changes:
            done.set()

    store = DynamoDbStateStore(access, "state", SystemClock())
    counted = CountedTables(store._tables)
    store._tables = counted
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        engine = open_engine(EngineOptions(Path(directory), settings=EngineSettings(shards=SHARDS)))
        loop = asyncio.get_running_loop()
        turns = Turns(engine, loop, in_thread=False)
        create_tables(app, engine)
        options = WorkerOptions(owner="bench", around=StateElsewhere(store))
        worker = build_worker(app, engine, Joined(turns, loop), options)
        await worker.check()
        working = loop.create_task(worker.run())
        while len(worker.status()) < SHARDS:
            await asyncio.sleep(0.1)
        begun = counted.taken()
        await asyncio.sleep(seconds)
        idle = counted.taken()
        for number in range(changes):
            engine.put(Put("bench", {"pk": {"S": f"order-{number}"}, "text": {"S": "x" * 200}}))
            if number % 100 == 99:
                engine.committer.flush()
                await asyncio.sleep(0)
        engine.committer.flush()
        await asyncio.wait_for(done.wait(), 300)
        worker.stop()
        await working
        await turns.settle()
        turns.close()
        engine.close()
    return begun, idle, counted.taken()
