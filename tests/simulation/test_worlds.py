"""Whole worlds under faults: handlers of every kind with drawn settings, one poison item, and everything that
`world.faults` can do.

Rules of this file: a seed draws the app and the faults; what is checked is what a user was promised. Beside
the simulation of the machine this runs the engine, the worker, the sinks and the marks. More seeds:
`python -m tests.simulation.test_worlds 1000`.
"""

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace import App, Batch, Change, Discard, Retry
from tailrace.deadletters.core.notice import Notice
from tailrace.deadletters.run.courier import Courier, FailureDocument
from tailrace.ports import ReadDone, Shard
from tailrace.rows.writes import ALWAYS, Write
from tailrace.runtime import effects
from tailrace.sources.embedded import EmbeddedSource
from tailrace.testing import World

KEYS = [f"o{number}" for number in range(12)]


@dataclass
class FlakyDestination:
    """Fails at about every second document. Shape: `told` has the event ids of the records
    it has heard of.
    """

    random: Random
    told: set[str] = field(default_factory=set)
    failed: int = 0

    async def deliver(self, failure: FailureDocument) -> None:
        """Take it, or not; sometimes it has taken it and says that it has not."""
        is_failing = self.random.random() < 0.5
        if not is_failing or self.random.random() < 0.2:
            for record in json.loads(json.loads(failure.object)["payload"])["Records"]:
                self.told.add(record["eventID"])
        if is_failing:
            self.failed += 1
            raise OSError("the destination is out of order")


@dataclass
class Drawn:
    """An app of one seed. Shape: `first` has the sequence numbers by handler and item, in the order
    of their first calls.
    """

    seed: int
    app: App = field(default_factory=lambda: App("drawn"))
    first: dict[tuple[str, Any], list[int]] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    handlers: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.destination = FlakyDestination(Random(self.seed))
        self.poison = {self.random.choice(KEYS)} if self.random.random() < 0.7 else set()
        self.orders = self.app.table("orders", pk="id")
        self.totals = self.app.table("totals", pk="id", stream=None)
        self._declare()

    def see(self, handler: str, change: Change) -> None:
        """A handler is called; it cannot do what is poison."""
        seen = self.first.setdefault((handler, change.key), [])
        if change.record.sequence not in seen:
            seen.append(change.record.sequence)

    def refuse(self, *changes: Change) -> None:
        """What is poison raises."""
        if any(change.key in self.poison for change in changes):
            raise ValueError("poison")

    def settings(self) -> dict[str, Any]:
        """Some of a handler's settings."""
        drawn: list[dict[str, Any]] = [
            {"retry": Retry(1, backoff="1s..5s")},
            {"concurrency": self.random.choice((2, 4, 8))},
            {"batch_size": self.random.choice((1, 2, 5))},
        ]
        return {
            name: value
            for fault in self.random.sample(drawn, self.random.randrange(3))
            for name, value in fault.items()
        }

    def _declare(self) -> None:
        app, orders, random = self.app, self.orders, self.random

        @app.on(orders, id="once", once=True, timeout=40, **self.settings())
        async def once(change: Change) -> None:
            await asyncio.sleep(random.random())
            self.see("once", change)
            self.refuse(change)

        @app.on(orders, id="counted", **self.settings())
        def counted(change: Change) -> None:
            self.see("counted", change)
            self.refuse(change)
            change.transaction.update(self.totals, {"id": change.key}, "ADD n :one", values={":one": 1})

        @app.batch(orders, id="batched", batch_size=random.choice((1, 3, 50)))
        def batched(batch: Batch) -> None:
            self.refuse(*batch)
            for change in batch:
                change.transaction.update(
                    self.totals, {"id": f"b{change.key}"}, "ADD n :one", values={":one": 1}
                )

        @app.on(orders, id="discards", on_failure=Discard(to=self.destination), **self.settings())
        def discards(change: Change) -> None:
            self.see("discards", change)
            self.refuse(change)

        def function(event: Any, context: Any) -> dict[str, Any]:
            failed = [
                record["dynamodb"]["SequenceNumber"]
                for record in event["Records"]
                if record["dynamodb"]["Keys"]["id"]["S"] in self.poison
            ]
            return {"batchItemFailures": [{"itemIdentifier": number} for number in failed[:1]]}

        app.function(
            function,
            orders,
            BatchSize=random.choice((1, 10, 100)),
            MaximumRetryAttempts=random.choice((0, 2)),
            BisectBatchOnFunctionError=random.random() < 0.5,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ParallelizationFactor=random.choice((1, 3)),
        )
        self.handlers = [once, counted, batched, discards, function]

    def faults(self) -> dict[str, Any]:
        """Some faults."""
        choice = self.random.choice
        return {
            "duplicates": choice((0, 0.3)),
            "crash": choice(("anywhere", "after-effect", "after-commit", ["park.begun", "park.done"])),
            "reshard": choice((None, "1h", "4h")),
            "throttle": choice((0, 0.1, 0.3)),
            "outage": choice((None, "10m")),
            "slow": choice((None, "1m")),
        }

    def play(self) -> World:
        """Write, under faults, and settle."""
        world = World(self.app, seed=self.seed, shards=1 + self.seed % 3, allow_failures=True)
        with world.faults(**self.faults()):
            for number in range(self.random.choice((2, 4))):
                for key in KEYS:
                    world.put(self.orders, {"id": key, "n": number})
                    self.written[key] += 1
                if self.random.random() < 0.3:
                    world.advance(self.random.choice(("1m", "5h")))
            world.settle(within="72h")
        world.advance("1h")  # a destination that fails is asked again
        return world

    def check(self, world: World) -> None:
        """Nothing is lost or out of order, and what is applied once is applied once."""
        assert (world.lag(), world.gaps()) == (0, [])
        for handler in self.handlers:
            given_up = Counter(letter["key"] for letter in world.dlq(handler))
            delivered = Counter(world.delivered(handler))
            for key, count in self.written.items():
                times = delivered[key] + given_up[key]
                assert times >= count, f"{handler} lost changes of {key}: {times} of {count}"
                if handler.__name__ in ("once", "counted"):
                    assert times == count, f"{handler} applied {key} {times} times instead of {count}"
        kept = {letter.change.event_id for letter in world.dead_letters("discards")}
        assert self.destination.told >= kept, "a dead letter that its destination was never told of"
        for place, seen in self.first.items():
            assert seen == sorted(seen), f"out of order: {place}"
        for key, count in self.written.items():
            for name in (key, f"b{key}"):
                total = (world.get(self.totals, {"id": name}) or {"n": 0})["n"]
                assert total == (0 if key in self.poison else count), f"{name} is {total}"


@pytest.mark.parametrize("seed", range(12))
def test_every_promise_holds_in_a_drawn_world_under_drawn_faults(seed: int) -> None:
    drawn = Drawn(seed)
    with drawn.play() as world:
        drawn.check(world)


def is_noticed() -> bool:
    """Whether one of some worlds does not keep its promises."""
    for seed in range(6):
        drawn = Drawn(seed)
        with drawn.play() as world:
            try:
                drawn.check(world)
            except AssertionError:
                return True
    return False


def test_a_source_that_skips_a_record_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    read = EmbeddedSource.read

    async def skipping(source: EmbeddedSource, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await read(source, shard, after, limit)
        return replace(page, records=[*page.records[:3], *page.records[4:]])

    monkeypatch.setattr(EmbeddedSource, "read", skipping)
    assert is_noticed()


def test_marks_that_always_hold_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = effects.mark_write

    def unconditional(*arguments: Any) -> Write:
        return replace(marked(*arguments), guard=ALWAYS)

    monkeypatch.setattr(effects, "mark_write", unconditional)
    assert is_noticed()


def test_a_courier_that_forgets_what_a_destination_refused_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetting(courier: Courier, key: str, notice: Notice) -> None:
        letters = await courier._letters(notice)
        document = courier._document(
            notice, letters, await courier._stream_of(notice.handler, notice.shard_id)
        )
        with suppress(OSError):
            await courier._destinations[notice.handler].deliver(document)
        await courier._state.transact([Write(key, None)])

    monkeypatch.setattr(Courier, "_deliver", forgetting)
    assert is_noticed()


def test_the_drawn_worlds_have_destinations_that_fail() -> None:
    failed = 0
    for seed in range(6):
        drawn = Drawn(seed)
        with drawn.play():
            failed += drawn.destination.failed
    assert failed > 10


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        test_every_promise_holds_in_a_drawn_world_under_drawn_faults(number)
