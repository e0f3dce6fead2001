"""A data stream of the engine keeps the contract of Source, and is caught where it does not.

Rules of this file: what test_source.py shows of the check is not shown again; canaries are of
positions alone.
"""

from collections.abc import Callable
from typing import ClassVar

import pytest
from msgspec.structs import replace

from tailrace.ports import ReadDone, Shard, Source
from tailrace.sources.data_streams import DataStreamSource
from tailrace.streams.kinesis.hash_ranges import HASHES
from tailrace.streams.kinesis.sequence_numbers import own_of
from tailrace.testing import check_source
from tailrace.testing.contracts import source
from tests.contracts.breaking import breaks
from tests.kinesis import Orders


class Fed(DataStreamSource):
    """A data stream over an engine of its own, and how records are put in it."""

    shards_at_first: ClassVar[int] = 2

    def __init__(self) -> None:
        self.orders = Orders(self.shards_at_first)
        self.total = 0
        super().__init__(self.orders.engine, "orders")

    def close(self) -> None:
        self.orders.engine.close()


class OneShard(Fed):
    shards_at_first = 1


def write(fed: Source, count: int) -> int:
    assert isinstance(fed, Fed)
    for _ in range(count):
        fed.orders.put(b"%d" % fed.total, key=f"key {fed.total}")
        fed.total += 1
    return fed.total


def split(fed: Source) -> None:
    """Every open shard in its middle."""
    assert isinstance(fed, Fed)
    for shard in fed.orders.call("ListShards", StreamName="orders")["Shards"]:
        if "EndingSequenceNumber" in shard["SequenceNumberRange"]:
            continue
        first, last = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
        fed.orders.call(
            "SplitShard",
            StreamName="orders",
            ShardToSplit=shard["ShardId"],
            NewStartingHashKey=str((first + last) // 2),
        )


def merge(fed: Source) -> None:
    """Both shards into one."""
    assert isinstance(fed, Fed)
    shards = fed.orders.call("ListShards", StreamName="orders")["Shards"]
    shards = [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
    assert shards[-1]["HashKeyRange"]["EndingHashKey"] == str(HASHES - 1)
    fed.orders.call(
        "MergeShards",
        StreamName="orders",
        ShardToMerge=shards[0]["ShardId"],
        AdjacentShardToMerge=shards[1]["ShardId"],
    )


@pytest.mark.parametrize(("make", "roll"), [(Fed, split), (OneShard, split), (Fed, merge)])
def test_a_data_stream_keeps_the_contract(make: Callable[[], Source], roll: Callable[[Source], None]) -> None:
    check_source(make, write, roll=roll, idle_ms=3)


class TellsOwnNumbers(Fed):
    """Positions of the engine, where records have those of the stream."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await super().read(shard, after, limit)
        return replace(page, next_after=own_of(page.next_after))


class EndsBeforeItsRecords(Fed):
    async def shards(self, stream: object = None) -> list[Shard]:
        return [replace(shard, last=shard.first) for shard in await super().shards()]


@pytest.mark.parametrize(
    ("canary", "rule"),
    [
        (TellsOwnNumbers, source.every_record_is_read_once),
        (EndsBeforeItsRecords, source.records_are_within_their_shard),
    ],
)
def test_a_broken_copy_is_caught(canary: Callable[[], Source], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_source(canary, write, roll=split, idle_ms=3))
