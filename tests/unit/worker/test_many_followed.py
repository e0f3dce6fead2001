"""What a worker asks of the state about thousands of shards: one query where it was one question for each."""

import asyncio

import pytest

from tailrace import App
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.leases.lineage import KnownShards
from tailrace.rows.writes import StateRow, Write
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.shards import Shard
from tailrace.worker.following import FEW, FollowedTable, Ready
from tests.unit.sinks.batches import STREAM
from tests.unit.worker.test_following import listed


class Asked(MemoryStateStore):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = self.queries = 0

    async def get(self, key: str) -> StateRow | None:
        self.gets += 1
        return await super().get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        self.queries += 1
        return await super().query(prefix, after=after, limit=limit)


def of_shards(shards: list[Shard]) -> tuple[FollowedTable, list[Ready]]:
    """A table with these shards, and one mapping that may begin all of them."""
    app = App("shop")
    app.on(app.table("orders", pk="id"), id="m")(lambda change: None)
    table = listed(*shards)
    table.handlers = list(app.mappings)
    known = KnownShards.of(shards, (), (STREAM.label,))
    return table, [Ready(table.handlers[0], STREAM, shard, known) for shard in shards]


@pytest.mark.parametrize(
    ("shards", "gets", "queries"), [(1, 1, 0), (FEW, FEW, 0), (FEW + 1, 0, 1), (500, 0, 1)]
)
def test_what_others_have_finished_is_read_at_once_where_that_is_much(
    shards: int, gets: int, queries: int
) -> None:
    table, new = of_shards([Shard(f"shard-{number}", 1, (), 9) for number in range(shards)])
    state, (handler, *_) = Asked(), table.handlers
    places = [table.place("shop", handler, STREAM, ready.shard) for ready in new]
    rows = [CheckpointRow(1, 0, 9, finished=place is not places[0]) for place in places]
    for place, row in zip(places, rows, strict=True):
        asyncio.run(state.transact([Write(place.checkpoint_key, row.fields())]))
    asyncio.run(table.learn_finished(state, "shop", handler, lambda _: ("m",)))
    assert table.finished == table.begun == {("m", *ready.shard.place) for ready in new[1:]}
    assert (state.gets, state.queries) == (gets, queries), "the lease's row is a hint, the checkpoint says it"


@pytest.mark.parametrize(("shards", "is_known"), [(FEW, False), (FEW + 1, True), (300, True)])
def test_what_was_read_of_shards_that_are_gone_is_asked_once_for_all_that_begin(
    shards: int, is_known: bool
) -> None:
    table, new = of_shards([Shard(f"shard-{number}", 9, (f"gone-{number}",)) for number in range(shards)])
    state = Asked()
    for shard_id in ("gone-1", "shard-2"):
        place = table.place("shop", table.handlers[0], STREAM, Shard(shard_id, 1))
        asyncio.run(state.transact([Write(place.checkpoint_key, CheckpointRow().fields())]))
    seen = asyncio.run(table.with_vanished(state, "shop", new))
    assert [ready.shard for ready in seen] == [ready.shard for ready in new]
    assert {ready.known.vanished for ready in seen} == ({frozenset({"gone-1"})} if is_known else {None})
    assert state.queries == is_known


def test_nothing_is_asked_where_every_shard_knows_what_it_continues() -> None:
    shards = [Shard(f"shard-{number}", 1) for number in range(50)]
    children = [Shard(f"child-{number}", 9, (f"shard-{number}",)) for number in range(50)]
    table, new = of_shards([*shards, *children])
    state = Asked()
    assert asyncio.run(table.with_vanished(state, "shop", new)) == new
    assert state.queries == 0
