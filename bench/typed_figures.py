"""What types cost: reading an item into its class, beside boto3's deserializer, and typed handlers beside raw
batches.

Rules of this file: the same items and the same worker for both sides of a ratio, one after the other in one
process.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from tailrace import App, Batch, Change, Item, new
from tailrace.app.plain import to_plain_item
from tailrace.compose import EngineOptions, create_tables, open_engine, running_worker
from tailrace.tables.mutate import Put


class Status(StrEnum):
    """As an application has it."""

    NEW = "new"
    PAID = "paid"


class Address(Item):
    """A map inside the item."""

    city: str
    zip: str = ""


app = App("typed")
shop = app.table("shop", pk="pk", sk="sk")


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    """Ten attributes, of about 300 bytes."""

    id: str
    status: Status = Status.NEW
    country: str = "NL"
    total: Decimal = Decimal(0)
    count: int = 0
    placed_at: datetime | None = None
    address: Address | None = None
    note: str = ""


entity = app.entity(Order)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def order(number: int) -> Order:
    """One order."""
    return Order(
        id=f"{number:09d}",
        status=Status.PAID,
        total=Decimal("150.25"),
        count=3,
        placed_at=NOON,
        address=Address(city="Delft", zip="2611"),
        note="y" * 100,
    )


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of types."""
    item = entity.encode(order(1))
    deserializer = TypeDeserializer()
    count = 20_000 if quick else 100_000
    yield (
        "boto3's TypeDeserializer",
        _rate(lambda: {k: deserializer.deserialize(v) for k, v in item.items()}, count),
    )
    yield "an item as plain values", _rate(lambda: to_plain_item(item), count)
    yield "an item as its class", _rate(lambda: entity.decode(item), count)
    yield "an instance as its item", _rate(lambda: entity.encode(order(1)), count // 4)
    count = 20_000 if quick else 100_000
    for name, declare in HANDLERS.items():
        yield name, asyncio.run(_delivery(count, declare))


def _rate(work: Callable[[], object], count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - begun)


def _raw(seen: Callable[[int], None]) -> None:
    @app.batch(shop, batch_size=1_000, id="raw")
    async def raw(batch: Batch) -> None:
        for change in batch:
            assert change.new["total"]
        seen(len(batch))


def _typed(seen: Callable[[int], None]) -> None:
    @app.batch(Order, batch_size=1_000, id="typed")
    async def typed(batch: Batch[Order]) -> None:
        for change in batch:
            assert change.new.total
        seen(len(batch))


def _single(seen: Callable[[int], None]) -> None:
    @app.on(Order, batch_size=1_000, where=new(Order.status) == Status.PAID, id="single")
    async def single(change: Change[Order]) -> None:
        assert change.new.total
        seen(1)


HANDLERS: dict[str, Callable[[Callable[[int], None]], None]] = {
    "raw batches that read every item": _raw,
    "typed batches that read every item": _typed,
    "typed single changes with a predicate": _single,
}


async def _delivery(count: int, declare: Callable[[Callable[[int], None]], None]) -> float:
    total, done = 0, asyncio.Event()

    def seen(changes: int) -> None:
        nonlocal total
        total += changes
        if total >= count:
            done.set()

    for mapping in app.mappings:
        app.withdraw(mapping.id)
    declare(seen)
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        options = EngineOptions(Path(directory))
        engine: Any = open_engine(options)
        create_tables(app, engine)
        for number in range(count):
            engine.put(Put("shop", entity.encode(order(number))))
            if number % 100 == 99:
                engine.committer.flush()
        engine.close()
        begun = time.perf_counter()
        async with running_worker(app, options):
            await asyncio.wait_for(done.wait(), 120)
            return total / (time.perf_counter() - begun)
