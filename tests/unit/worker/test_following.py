"""What a table's shards say about where an item may be read, and when that is not known."""

from tailrace.mapping.reader import Budget
from tailrace.runtime.reading import SharedReads
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
