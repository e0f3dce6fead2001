"""A seeded world with handlers of every kind under every fault, and everything that happened in it:
`python -m tests.unit.testing.replayed SEED…`.

Rules of this file: what it prints is a line a seed: the seed and a digest of the whole journal, of what was
sent, delivered and struck, and of every row. Run in several processes by test_replays.py.
"""

import hashlib
import sys
from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tailrace import App, Batch, Change, Discard, Item, Retry, Window, sinks
from tailrace.testing import World

QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000"


class Shop:
    """An app of everything."""

    def __init__(self) -> None:
        self.app = app = App("shop")
        orders, readings = app.table("orders", pk="id"), app.table("readings", pk="sensor", sk="at")
        totals = app.table("totals", pk="id", stream=None)

        class Reading(Item, table=readings):
            sensor: str
            at: datetime
            celsius: Decimal

        class Order(Item, table=orders):
            id: str
            country: str = "NL"
            total: Decimal = Decimal(0)

        self.order, self.reading = Order, Reading

        @app.on(orders, id="plain", retry=Retry(2), concurrency=4)
        async def plain(change: Change) -> dict[str, Any]:
            if change.key == "o3":
                raise ValueError("poison")
            return {"key": change.key}

        @app.on(orders, id="counted")
        def counted(change: Change) -> None:
            change.transaction.update(totals, {"id": change.key}, "ADD n :one", values={":one": 1})

        @app.on(orders, id="once", once=True)
        def once(change: Change) -> None: ...

        @app.batch(orders, id="batched", batch_size=7)
        def batched(batch: Batch) -> None: ...

        @app.on(orders, id="discards", retry=Retry(0), on_failure=Discard(to=sinks.Sqs(f"{QUEUE}/failed")))
        def discards(change: Change) -> None:
            if change.key in ("o1", "o2"):
                raise ValueError("no")

        def function(event: Any, context: Any) -> dict[str, Any]:
            return {"batchItemFailures": []}

        def tumbling(event: Any, context: Any) -> dict[str, Any]:
            return {"state": {"n": event["state"].get("n", 0) + len(event["Records"])}}

        app.function(
            function,
            orders,
            id="function",
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ParallelizationFactor=3,
            MaximumRetryAttempts=3,
        )
        app.function(tumbling, orders, id="tumbling", TumblingWindowInSeconds=60, MaximumRetryAttempts=3)

        @app.window(
            Reading, every="1m", by=Reading.sensor, at=Reading.at, lateness="10s", keep="6h", id="minutes"
        )
        def minutes(window: Window[Reading]) -> dict[str, Any]:
            return {"count": len(window), "revision": window.revision}

        @app.window(Reading, gap="5m", by=Reading.sensor, at=Reading.at, id="sessions")
        def sessions(window: Window[Reading]) -> None: ...

        @app.projection(Order, by=Order.country, id="sales")
        def sales(total: Decimal, order: Order, sign: int) -> Decimal:
            return total + sign * order.total

        app.sink(plain, sinks.EventBridge("ops", "Order"))
        app.sink(minutes, sinks.Sqs(f"{QUEUE}/minutes"))
        app.sink(orders, sinks.Sqs(f"{QUEUE}/changes"), id="changes")

    def write(self, world: World, chance: Random, number: int) -> None:
        """An order and a reading."""
        key, country = f"o{chance.randrange(12)}", chance.choice(("NL", "BE", "DE"))
        world.put(self.order(id=key, country=country, total=Decimal(number)))
        at = world.moment + timedelta(seconds=chance.randrange(-300, 300))
        world.put(self.reading(sensor=chance.choice("abc"), at=at, celsius=Decimal(number)))


def lines_of(seed: int) -> list[str]:
    """Everything that happens in one world."""
    shop, chance = Shop(), Random(seed)
    with World(shop.app, seed=seed, shards=3, allow_failures=True) as world:
        world._journal._lines = deque(maxlen=None)
        with world.faults(
            duplicates=0.3, crash="anywhere", reshard="1h", throttle=0.15, slow="20s", outage="2m"
        ):
            for number in range(30):
                shop.write(world, chance, number)
                if number % 9 == 0:
                    world.advance("1m")
                if number == 20:
                    world.restart()
            world.advance("30m")
            world.settle()
        world.dlq("plain").redrive()
        world.settle()
        lines = world.events(sys.maxsize)
        lines += [
            f"{name} {world.delivered(name)}" for name in ("plain", "counted", "once", "batched", "function")
        ]
        lines += [
            f"{name} {message}"
            for name in ("plain", "minutes", "changes", "discards")
            for message in world.sent(name)
        ]
        lines += [str(world.struck), str(list(world.projected("sales").items()))]
        for table, rows in sorted(world._store._rows.items()):
            lines += [f"{table} {key!r} {rows[key]!r}" for key in sorted(rows)]
        return lines


def main(seeds: list[str]) -> None:
    """A line a seed."""
    for seed in map(int, seeds):
        digest = hashlib.sha256("\n".join(lines_of(seed)).encode()).hexdigest()
        sys.stdout.write(f"{seed} {digest}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
