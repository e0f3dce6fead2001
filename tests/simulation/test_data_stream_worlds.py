"""Whole worlds over a data stream: a table with a destination, DynamoDB's records late and again, and
handlers and batches that read them beside one that reads the table's own stream; a worker that dies.

Rules of this file: what the table's own stream has told is the truth; a seed draws the rest. What is handed
over again after a crash has the version that it had.
"""

from random import Random
from typing import Any

import pytest

from tailrace import App, Batch, Change
from tailrace.streams.kinesis.hash_ranges import HASHES
from tailrace.testing import World
from tests.kinesis import OPERATIONS

KEYS = ("a", "b", "c", "d")
Told = dict[Any, dict[int, tuple[Any, Any]]]
"""By item, what was handed over by its version."""


def note(told: Told, change: Change) -> None:
    """A change is handed over."""
    images, version = (change.old, change.new), change.record.version.sequence
    assert told.setdefault(change.key, {}).setdefault(version, images) == images


def in_order(told: Told) -> dict[Any, list[tuple[Any, Any]]]:
    """What was handed over of each item, in the order of its versions."""
    return {key: [images for _, images in sorted(changes.items())] for key, changes in told.items()}


def is_in_order(told: Told) -> bool:
    """Whether it was handed over in that order."""
    return all(list(changes) == sorted(changes) for changes in told.values())


class Drawn:
    """An app of one seed, played."""

    def __init__(self, seed: int) -> None:
        self.random, self.seed = Random(seed), seed
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.own: Told = {}
        self.over: Told = {}
        self.batched: Told = {}
        changes = self.app.kinesis("orders-changes", disorder="5m", waits_always=True)

        @self.app.on(self.orders, id="own")
        def own(change: Change) -> None:
            note(self.own, change)

        @self.app.on(changes.of(self.orders), id="over", concurrency=self.random.choice((1, 4)))
        def over(change: Change) -> None:
            if self.random.random() < 0.1:
                raise ValueError("not now")
            note(self.over, change)

        @self.app.batch(changes.of(self.orders), id="batched", batch_size=self.random.choice((1, 50)))
        def batched(batch: Batch) -> None:
            for change in batch:
                note(self.batched, change)

    def call(self, world: World, target: str, **members: Any) -> None:
        """One operation of the world's engine."""
        operation = OPERATIONS[target.encode()]
        operation.run(world.engine, operation.check(members))
        world.engine.committer.flush()

    def play(self, **faults: Any) -> World:
        """Write, remove and put in again, under faults, with shards that split; then settle."""
        world = World(self.app, seed=self.seed)
        self.call(world, "Kinesis_20131202.CreateStream", StreamName="orders-changes", ShardCount=1)
        stream = "arn:aws:kinesis:us-east-1:000000000000:stream/orders-changes"
        self.call(
            world, "DynamoDB_20120810.EnableKinesisStreamingDestination", TableName="orders", StreamArn=stream
        )
        with world.faults(kinesis=0.4, **faults):
            for number in range(12):
                key = self.random.choice(KEYS)
                if world.get(self.orders, {"id": key}) and self.random.random() < 0.3:
                    world.delete(self.orders, {"id": key})
                else:
                    world.put(self.orders, {"id": key, "n": self.random.randrange(3), "at": number // 4})
                world.advance(self.random.choice(("5ms", "1s", "20s")))
                if number == 6:
                    self.call(
                        world, "Kinesis_20131202.SplitShard", StreamName="orders-changes",
                        ShardToSplit="shardId-000000000000", NewStartingHashKey=str(HASHES // 2),
                    )  # fmt: skip
            world.settle(within="72h")
        return world


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("faults", [{}, {"crash": "anywhere"}], ids=["", "dies"])
def test_what_comes_over_a_data_stream_is_what_the_table_was_told(seed: int, faults: dict[str, Any]) -> None:
    drawn = Drawn(seed)
    with drawn.play(**faults) as world:
        for told in (drawn.over, drawn.batched):
            assert in_order(told) == in_order(drawn.own)
            assert is_in_order(told)
        assert (world.lag(), world.gaps(), world.dead_letters("over")) == (0, [], [])
