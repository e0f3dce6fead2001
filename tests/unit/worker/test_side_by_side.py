"""Thousands of shards begin beside each other, within a bound, and the mappings of one shard one after the
other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import pytest

from tailrace import App
from tailrace.errors import StoreError
from tailrace.leases.lineage import KnownShards
from tailrace.streams.shards import Shard
from tailrace.worker.following import Ready
from tailrace.worker.side_by_side import AT_ONCE, FEW, begin_side_by_side
from tests.unit.sinks.batches import STREAM

Beginning = Callable[[Iterable[Ready], Callable[[Ready], Awaitable[None]]], Awaitable[object]]


def ready(shards: int, mappings: int = 1) -> list[Ready]:
    app = App("shop")
    orders = app.table("orders", pk="id")
    for number in range(mappings):
        app.on(orders, id=f"m{number}")(lambda change: None)
    return [
        Ready(mapping, STREAM, Shard(f"shard-{number}", 1, stream="label"), KnownShards())
        for mapping in app.mappings
        for number in range(shards)
    ]


class Watched:
    """Begins shards, and notes which were being begun at the same time."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.under_way: list[str] = []
        self.most = 0
        self.most_of_a_shard = 0
        self.begun: list[tuple[str, str]] = []

    async def begin(self, new: Ready) -> None:
        shard_id = new.shard.shard_id
        self.under_way.append(shard_id)
        self.most = max(self.most, len(self.under_way))
        self.most_of_a_shard = max(self.most_of_a_shard, self.under_way.count(shard_id))
        for _ in range(3):
            await asyncio.sleep(0)
        self.under_way.remove(shard_id)
        if shard_id == self.failing:
            raise StoreError("it is gone")
        self.begun.append((new.handler.id, shard_id))


def watched(all_of: Sequence[Ready], beginning: Beginning = begin_side_by_side) -> Watched:
    seen = Watched()

    async def story() -> None:
        await beginning(all_of, seen.begin)

    asyncio.run(story())
    return seen


def all_at_once(new: Iterable[Ready], begin: Callable[[Ready], Awaitable[None]]) -> Awaitable[object]:
    """A canary: no bound, and no regard for what a shard's mappings share."""
    return asyncio.gather(*map(begin, new))


def test_so_many_shards_begin_beside_each_other_as_there_may_and_every_one_begins_once() -> None:
    seen = watched(ready(100))
    assert seen.most == AT_ONCE
    assert sorted(seen.begun) == sorted(("m0", f"shard-{number}") for number in range(100))
    assert watched(ready(100), all_at_once).most == 100


def test_the_mappings_of_a_shard_begin_one_after_the_other_for_they_share_its_lease() -> None:
    seen = watched(ready(40, mappings=3))
    assert (seen.most_of_a_shard, len(seen.begun)) == (1, 120)
    assert [mapping for mapping, shard_id in seen.begun if shard_id == "shard-7"] == ["m0", "m1", "m2"]
    assert watched(ready(40, mappings=3), all_at_once).most_of_a_shard == 3
    assert watched(ready(FEW + 1, mappings=3)).most_of_a_shard == 1, "though most of them could begin at once"


@pytest.mark.parametrize(
    ("shards", "most"),
    [(0, 0), (1, 1), (FEW, 1), (FEW + 1, FEW + 1), (AT_ONCE, AT_ONCE), (AT_ONCE + 1, AT_ONCE)],
)
def test_any_number_of_shards_begins_and_few_in_their_order(shards: int, most: int) -> None:
    seen = watched(ready(shards))
    assert (len(seen.begun), seen.most) == (shards, most)
    if most == 1:
        assert seen.begun == [("m0", f"shard-{number}") for number in range(shards)]


def test_what_beginning_a_shard_raises_goes_through() -> None:
    async def story(shards: int) -> None:
        await begin_side_by_side(ready(shards), Watched("shard-0").begin)

    with pytest.raises(StoreError):
        asyncio.run(story(1))
    with pytest.raises(ExceptionGroup) as several:
        asyncio.run(story(FEW + 1))
    assert [type(error) for error in several.value.exceptions] == [StoreError]
