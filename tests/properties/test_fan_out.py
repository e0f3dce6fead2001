"""A consumer of enhanced fan-out reads every record once and in order, whatever happens to it and its shards.

Rules of this file: the consumer is what AWS's reference says one is: it subscribes behind its last
continuation, and to a child when all of its parents have ended. Wrong servers are canaries: each is caught.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import ApiError
from tailrace.streams.kinesis import subscriptions
from tailrace.streams.kinesis.data_records import DataPage
from tailrace.streams.kinesis.subscriptions import Subscription
from tests.kinesis import Orders
from tests.subscriber import Heard, subscribe, turns

KEYS: Final = ("a", "b", "c", "0", "1")
Step: TypeAlias = tuple[str, int]
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            ("put", "put", "put", "look", "advance", "block", "unblock", "cut", "split", "merge", "steal")
        ),
        st.integers(0, 2**16),
    ),
    max_size=40,
)


class Consumer:
    """Reads a tree of shards. Shape: `seen` are the texts in the order in which they were read."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.arn = orders.consumer()
        self.seen: list[str] = []
        self.faults: list[str] = []
        self._subscribed: dict[str, Heard] = {}
        self._positions: dict[str, dict[str, str]] = {}
        self._parents: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        for shard in orders.call("ListShards", StreamName="orders")["Shards"]:
            self._add(shard["ShardId"], [])

    def _add(self, shard: str, parents: list[str]) -> None:
        if shard not in self._positions:
            self._positions[shard] = {"Type": "TRIM_HORIZON"}
            self._parents[shard] = parents

    @property
    def open(self) -> list[str]:
        """The shards that may be read now."""
        return [
            shard
            for shard, parents in self._parents.items()
            if shard not in self._ended and self._ended.issuperset(parents)
        ]

    def heard(self, number: int) -> Heard | None:
        """One of the subscriptions, if there is one."""
        subscribed = [heard for _, heard in sorted(self._subscribed.items())]
        return subscribed[number % len(subscribed)] if subscribed else None

    async def look(self) -> None:
        """Subscribe where nothing is told any more, then read what there is."""
        for shard in self.open:
            if shard not in self._subscribed:
                try:
                    self._subscribed[shard] = subscribe(
                        self.orders, self.arn, shard, **self._positions[shard]
                    )
                except ApiError as error:  # in the first five seconds of the last one
                    assert error.code == "ResourceInUseException"
        for shard, heard in sorted(self._subscribed.items()):
            for told in await heard.more():
                self._read(shard, told)
            if heard.is_over:
                del self._subscribed[shard]

    def _read(self, shard: str, told: dict[str, Any]) -> None:
        if "Records" not in told:
            return  # the first event, or an exception
        self.seen += [record["PartitionKey"] for record in told["Records"]]
        children = told.get("ChildShards", [])
        if (told["ContinuationSequenceNumber"] is None) != bool(children):
            self.faults.append(f"{shard} ends without children, or has children without an end")
        if children:
            self._ended.add(shard)
            for child in children:
                self._add(child["ShardId"], child["ParentShards"])
        elif told["ContinuationSequenceNumber"] is not None:
            self._positions[shard] = {
                "Type": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": told["ContinuationSequenceNumber"],
            }


async def lived(steps: list[Step]) -> tuple[list[str], Consumer]:
    """What was put, and the consumer at the end of all."""
    orders = Orders(shards=2)
    consumer, put = Consumer(orders), list[str]()
    for what, number in steps:
        await _happens(orders, consumer, put, what, number)
    for _ in range(8):  # a tree of forty steps is less deep than the shards of these looks
        while (
            heard := next((one for one in consumer._subscribed.values() if one.is_blocked), None)
        ) is not None:
            heard.unblock()
        for _ in range(6):
            await consumer.look()
        orders.clock.advance(5_000)
    await consumer.look()
    return put, consumer


async def _happens(orders: Orders, consumer: Consumer, put: list[str], what: str, number: int) -> None:
    heard = consumer.heard(number)
    match what:
        case "put":
            key = KEYS[number % len(KEYS)] + f"-{len(put)}"
            orders.call(
                "PutRecord",
                StreamName="orders",
                Data=bytes(number),
                PartitionKey=key,
                ExplicitHashKey=str(2**125 * (number % 8)),
            )
            put.append(key)
        case "look":
            await consumer.look()
        case "advance":
            orders.clock.advance(number)
            await turns()
        case "block" if heard is not None:
            heard.is_blocked = True
        case "unblock" if heard is not None:
            heard.unblock()
        case "cut" if heard is not None and heard.task is not None:
            heard.task.cancel()
            await turns()
        case "steal" if consumer.open:
            orders.clock.advance(5_000)
            shard = consumer.open[number % len(consumer.open)]
            thief = subscribe(orders, consumer.arn, shard)
            await turns()
            assert thief.task is not None
            thief.task.cancel()
        case "split" | "merge":
            reshard(orders, what, number)


def reshard(orders: Orders, what: str, number: int) -> None:
    """Split a shard in the middle, or merge it with the next one, where that can be done."""
    shards = orders.engine.kinesis.streams.named("orders").open_shards
    place = number % len(shards)
    shard = shards[place]
    if what == "split" and len(shards) < 8 and shard.hash_range.last - shard.hash_range.first > 8:
        middle = (shard.hash_range.first + shard.hash_range.last + 1) // 2
        orders.call(
            "SplitShard", StreamName="orders", ShardToSplit=shard.shard_id, NewStartingHashKey=str(middle)
        )
    elif what == "merge" and place + 1 < len(shards):
        orders.call(
            "MergeShards",
            StreamName="orders",
            ShardToMerge=shard.shard_id,
            AdjacentShardToMerge=shards[place + 1].shard_id,
        )


def by_hash(put: list[str], steps: list[Step]) -> dict[int, list[str]]:
    """What was put, by the hash that it had: of one hash the order is kept."""
    numbers = [number for what, number in steps if what == "put"]
    told: dict[int, list[str]] = {}
    for text, number in zip(put, numbers, strict=True):
        told.setdefault(number % 8, []).append(text)
    return told


def faults(steps: list[Step]) -> list[str]:
    """What is wrong about a life."""
    put, consumer = asyncio.run(lived(steps))
    wrong = list(consumer.faults)
    if sorted(consumer.seen) != sorted(put):
        wrong.append(f"put {put}, read {consumer.seen}")
    for texts in by_hash(put, steps).values():
        if [text for text in consumer.seen if text in texts] != texts:
            wrong.append(f"out of order: {consumer.seen}")
    return wrong


@given(STEPS)
def test_every_record_is_read_once_and_in_order_through_every_tree(steps: list[Step]) -> None:
    assert faults(steps) == []


PUTS: Final[list[Step]] = [("put", 3), ("look", 0), ("put", 3), ("look", 0)]


def behind(self: Subscription, page: DataPage, now_ms: int) -> Subscription:
    """A server that tells its last record again."""
    return told(self, page, now_ms) if not page.records else replaced(told(self, page, now_ms), -1)


def ahead(self: Subscription, page: DataPage, now_ms: int) -> Subscription:
    """A server whose heart-beats stand for records that come later."""
    return replaced(told(self, page, now_ms), 2**20 if page.records else 0)


told: Final = Subscription.told


def replaced(subscription: Subscription, more: int) -> Subscription:
    """The same, somewhere else."""
    return subscriptions.replace(subscription, after=subscription.after + more)


@pytest.mark.parametrize("wrong", [behind, ahead])
def test_a_server_that_is_wrong_about_where_it_is_is_caught(
    wrong: Callable[..., Subscription], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Subscription, "told", wrong)
    assert faults(PUTS)


def test_a_server_that_ends_a_shard_without_its_children_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.engine.kinesis.reading.children_of", lambda *_: ())
    assert faults([*PUTS, ("split", 0), ("look", 0)])


def test_a_server_that_forgets_where_a_client_goes_on_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Subscription, page: DataPage, now_ms: int) -> Subscription:
        return subscriptions.replace(told(self, page, now_ms), continuation=self.continuation)

    monkeypatch.setattr(Subscription, "told", forgetful)
    assert faults([*PUTS, ("cut", 0), ("cut", 1)])
