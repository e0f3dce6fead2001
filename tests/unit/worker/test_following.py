"""What a table's shards say about where an item may be read, and when that is not known."""

import asyncio
from collections.abc import Callable, Sequence

from tailrace.app.app import App, HandlerMapping
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.leases.fleet import Fleet
from tailrace.leases.lease import Owner, lease_key
from tailrace.leases.member import Identity, MemberRow
from tailrace.mapping.reader import Budget
from tailrace.rows.writes import Absent, Write
from tailrace.runtime.reading import SharedReads
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.shards import Shard
from tailrace.testing import ScriptedSource
from tailrace.worker.following import FollowedTable
from tests.unit.sinks.batches import STREAM

PARENT, CHILD = Shard("parent", 1, (), 9), Shard("child", 10, ("parent",))


def listed(*shards: Shard) -> FollowedTable:
    """A table whose shards were listed just now, for one mapping."""
    source = ScriptedSource("orders")
    table = FollowedTable("orders", "", source, SharedReads(source, Budget(1_000)), [])
    table.there["m"] = [(STREAM, list(shards))]
    table.fresh.add("m")
    return table


def test_where_an_item_is_read_is_not_known_from_a_listing_that_is_older_than_the_end_of_a_shard() -> None:
    table = listed(PARENT)
    assert table.readers("m", "parent", 0) == {("m", "", "parent")}
    table.finish(("m", "", "parent"))
    assert table.readers("m", "parent", 0) is None, "what continues it may have begun elsewhere"
    table.there["m"] = [(STREAM, [PARENT, CHILD])]
    table.fresh.add("m")
    assert table.readers("m", "parent", 0) == {("m", "", "child")}


def test_a_shard_that_is_still_read_and_no_longer_listed_may_have_the_item() -> None:
    table = listed(CHILD)
    table.begun.add(("m", "", "parent"))
    assert table.readers("m", "child", 0) == {("m", "", "parent"), ("m", "", "child")}


def test_nothing_is_known_of_a_mapping_that_nothing_was_listed_for() -> None:
    assert listed(PARENT).readers("another", "parent", 0) is None


def learned(finished: bool, finished_by: Callable[[Shard], Sequence[str] | None]) -> set[str]:
    """The shards that a worker knows to be finished, of two whose checkpoints another one has written."""
    app = App("shop")
    app.on(app.table("orders", pk="id"), id="note")(lambda change: None)
    (handler,) = app.mappings
    assert isinstance(handler, HandlerMapping)
    state, source = MemoryStateStore(), ScriptedSource("orders")
    table = FollowedTable("orders", "", source, SharedReads(source, Budget(1_000)), [handler])
    table.there["note"] = [(STREAM, [PARENT, CHILD])]

    async def learning() -> None:
        for shard, is_over in ((PARENT, finished), (CHILD, False)):
            key = table.place("shop", handler, STREAM, shard).checkpoint_key
            row = CheckpointRow(watermark=9, finished=is_over)
            await state.transact([Write(key, row.fields(), Absent())])
        await table.learn_finished(state, "shop", handler, finished_by)

    asyncio.run(learning())
    return {shard for _, _, shard in table.finished}


def test_that_a_shard_is_finished_is_read_in_its_checkpoint_where_no_lease_says_anything() -> None:
    assert learned(True, lambda shard: None) == {"parent"}
    assert learned(False, lambda shard: None) == set(), "a checkpoint that is there is no finished one"
    assert learned(True, lambda shard: ()) == set(), "nothing was heard: it is not asked at every look"


def test_a_lease_is_for_others_once_it_is_wanted_and_another_worker_is_to_have_it() -> None:
    fleet = Fleet(Owner("a"))
    keys = [lease_key("shop", "stream", f"shard-{number}") for number in range(20)]
    fleet.note_members([MemberRow(Identity("b"), 1, 0)], 1_000, 1_000)
    fleet.note_leases([], 1_000)
    assert not any(map(fleet.is_for_others, keys)), "nothing is wanted yet"
    fleet.offer(keys)
    assert {key for key in keys if fleet.is_for_others(key)} == {key for key in keys if not fleet.wants(key)}
    assert any(map(fleet.is_for_others, keys))
