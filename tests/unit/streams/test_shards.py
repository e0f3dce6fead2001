"""A stream's lineage: first shards, closing, rollover, split."""

import re

import pytest

from tailrace.errors import InternalError
from tailrace.streams.shards import (
    HASHES,
    Forgotten,
    HashedShard,
    Shard,
    children,
    close,
    forget,
    in_order,
    initial,
    published,
    rollover,
    shard_for,
    split,
)

LABEL = "2026-09-17T13:27:38.987"
WALL_MS = 1_789_651_619_772


def first(count: int = 1) -> list[HashedShard]:
    return initial(LABEL, count, 7, WALL_MS, 100)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_first_shards_divide_all_hashes_evenly(count: int) -> None:
    shards = first(count)
    assert shards[0].first == 0
    assert shards[-1].last == HASHES - 1
    assert [shard.first for shard in shards[1:]] == [shard.last + 1 for shard in shards[:-1]]
    widths = [shard.last - shard.first + 1 for shard in shards]
    assert max(widths) - min(widths) <= 1
    assert [shard.number for shard in shards] == list(range(7, 7 + count))


def test_an_id_tells_when_the_shard_was_made_and_is_its_own() -> None:
    ids = [shard.shard_id for shard in first(64)]
    assert len(set(ids)) == 64
    for one in ids:
        assert re.fullmatch(r"shardId-00000001789651619772-[0-9a-f]{8}", one)
        assert 28 <= len(one) <= 65
    other = initial("another label", 1, 7, WALL_MS, 100)[0].shard_id
    assert other not in ids


def test_closing_ends_a_shard() -> None:
    closed = close(first()[0], 200, WALL_MS + 5)
    assert closed.is_closed
    assert (closed.ending, closed.closed_ms, closed.starting) == (200, WALL_MS + 5, 100)


@pytest.mark.parametrize("ending", [0, 99])
def test_a_shard_cannot_end_before_it_began(ending: int) -> None:
    with pytest.raises(InternalError):
        close(first()[0], ending, WALL_MS)


def test_a_shard_is_closed_once() -> None:
    with pytest.raises(InternalError):
        close(close(first()[0], 200, WALL_MS), 300, WALL_MS)


def test_a_rollover_is_continued_by_one_child_with_the_same_hashes() -> None:
    (parent,) = first()
    closed, child = rollover(parent, LABEL, 9, WALL_MS + 14_400_000, ending=200, starting=201)
    assert closed.is_closed
    assert not child.is_closed
    assert (child.first, child.last, child.parent_id, child.number) == (0, HASHES - 1, parent.shard_id, 9)
    assert (child.starting, child.created_ms) == (201, WALL_MS + 14_400_000)
    assert child.shard_id.startswith(f"shardId-{WALL_MS + 14_400_000:020d}-")


def test_a_split_is_continued_by_two_halves() -> None:
    parent = first(3)[1]
    closed, low, high = split(parent, LABEL, 20, WALL_MS, ending=200, starting=201)
    assert closed.is_closed
    assert (low.first, low.last + 1, high.last) == (parent.first, high.first, parent.last)
    assert abs((low.last - low.first) - (high.last - high.first)) <= 1
    assert [low.number, high.number] == [20, 21]
    assert {low.parent_id, high.parent_id} == {parent.shard_id}
    assert low.shard_id != high.shard_id


def test_a_shard_of_one_hash_cannot_be_split() -> None:
    single = HashedShard("shardId", 1, 5, 5, 0, WALL_MS)
    with pytest.raises(InternalError):
        split(single, LABEL, 2, WALL_MS, ending=9, starting=10)


def test_a_hash_has_the_shard_whose_range_holds_it() -> None:
    shards = first(5)
    for shard in shards:
        for partition in (shard.first, (shard.first + shard.last) // 2, shard.last):
            assert shard_for(shards, partition) is shard


def test_children_are_the_direct_ones() -> None:
    (parent,) = first()
    closed, child = rollover(parent, LABEL, 9, WALL_MS, ending=200, starting=201)
    closed_child, low, high = split(child, LABEL, 10, WALL_MS, ending=300, starting=301)
    shards = [closed, closed_child, low, high]
    assert children(shards, parent.shard_id) == [closed_child]
    assert children(shards, child.shard_id) == [low, high]
    assert children(shards, high.shard_id) == children(shards, "unknown") == []


def test_children_remember_the_last_record_of_what_is_forgotten() -> None:
    (first,) = initial("label", 1, 1, 0, 10)
    closed, second = rollover(first, "label", 2, 100, ending=20, starting=21)
    second, low, high = split(second, "label", 3, 200, ending=30, starting=31)
    lineage = [closed, second, low, high]
    assert [shard.before for shard in forget(lineage, {1: 15}).remaining] == [15, 0, 0]
    assert [shard.before for shard in forget(lineage, {1: 15, 2: 0}).remaining] == [15, 15]
    left = forget(lineage, {1: 15}).remaining
    assert [shard.before for shard in forget(left, {2: 27}).remaining] == [27, 27]
    assert forget(lineage, {}).remaining == tuple(lineage)


def test_what_went_with_a_shard_is_what_went_before_it_too() -> None:
    (first,) = initial("label", 1, 1, 0, 10)
    closed, second = rollover(first, "label", 2, 100, ending=20, starting=21)
    second, third = rollover(second, "label", 3, 200, ending=30, starting=31)
    lineage = [closed, second, third]
    assert forget(lineage, {1: 15, 2: 0}).through == {1: 15, 2: 15}
    assert forget(forget(lineage, {1: 15}).remaining, {2: 0}).through == {2: 15}
    assert forget(forget(lineage, {1: 15}).remaining, {2: 27}).through == {2: 27}


def test_no_shard_goes_before_what_it_continues() -> None:
    (first,) = initial("label", 1, 1, 0, 10)
    closed, second = rollover(first, "label", 2, 100, ending=20, starting=21)
    second, low, high = split(second, "label", 3, 200, ending=30, starting=31)
    lineage = [closed, second, low, high]
    assert forget(lineage, {2: 25, 3: 33}) == Forgotten(tuple(lineage), {})
    assert forget(lineage, {1: 15, 3: 33}).through == {1: 15}
    assert forget(lineage, {1: 15, 2: 25, 3: 33}).through == {1: 15, 2: 25, 3: 33}


def test_parents_are_ordered_before_their_children_whatever_their_numbers_are() -> None:
    merged = Shard("m", 9, ("a", "b"))
    shards = [Shard("c", 0, ("m",)), merged, Shard("b", 7), Shard("a", 8, ("gone",))]
    assert [shard.shard_id for shard in in_order(shards)] == ["b", "a", "m", "c"]


def test_a_circle_of_parents_is_listed_all_the_same() -> None:
    assert {shard.shard_id for shard in in_order([Shard("a", 1, ("b",)), Shard("b", 2, ("a",))])} == {
        "a",
        "b",
    }


def test_what_readers_see_of_a_shard_says_what_it_continues_and_no_number_of_the_engine() -> None:
    _, child = rollover(first()[0], LABEL, 9, WALL_MS, ending=200, starting=201)
    seen = published(child, LABEL)
    assert (seen.parents, seen.first, seen.last, seen.is_closed) == ((first()[0].shard_id,), 201, None, False)
    assert seen.place == (LABEL, child.shard_id)
    assert (seen.may_have(0), Shard("s", 1, hash_range=(5, 9)).may_have(4), Shard("s", 1).may_have(4)) == (
        True,
        False,
        True,
    )
