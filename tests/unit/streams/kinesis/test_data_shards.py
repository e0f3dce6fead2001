"""Splits and merges: what is closed, what is opened, and whose numbers come first."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import InternalError
from tailrace.streams.kinesis.data_shards import (
    DataShard,
    Reshard,
    children_of,
    initial_shards,
    merge_shards,
    open_in_order,
    resharded,
    split_shard,
    unexpired,
)
from tailrace.streams.kinesis.hash_ranges import HASHES, HashRange

NOW_MS = 1_780_000_000_000


def is_parted(shards: list[DataShard]) -> bool:
    """Whether the open ones among these part the hash space."""
    ranges = [shard.hash_range for shard in open_in_order(shards)]
    firsts = [part.first for part in ranges]
    return firsts == [0, *(part.last + 1 for part in ranges[:-1])] and ranges[-1].last == HASHES - 1


def test_a_split_closes_one_and_opens_two_with_all_of_its_hashes() -> None:
    (shard,) = initial_shards(1, 40, NOW_MS)
    change = split_shard(shard, 7, 1, 41, NOW_MS + 5)
    assert [(one.index, one.closed_ms) for one in change.closed] == [(0, NOW_MS + 5)]
    assert [(one.index, one.number, one.hash_range, one.parents) for one in change.opened] == [
        (1, 41, HashRange(0, 6), (0,)),
        (2, 42, HashRange(7, HASHES - 1), (0,)),
    ]


@pytest.mark.parametrize("at", [1, HASHES - 1])
def test_each_half_may_have_one_hash(at: int) -> None:
    change = split_shard(initial_shards(1, 1, NOW_MS)[0], at, 1, 2, NOW_MS)
    assert is_parted(list(resharded(initial_shards(1, 1, NOW_MS), change)))


@pytest.mark.parametrize("at", [0, HASHES, -1])
def test_no_half_may_have_none(at: int) -> None:
    with pytest.raises(InternalError, match="cannot be split"):
        split_shard(initial_shards(1, 1, NOW_MS)[0], at, 1, 2, NOW_MS)


def test_a_merge_keeps_the_order_of_its_parents() -> None:
    lower, upper = initial_shards(2, 1, NOW_MS)
    change = merge_shards(upper, lower, 2, 3, NOW_MS)
    assert [one.index for one in change.closed] == [1, 0]
    (child,) = change.opened
    assert (child.parents, child.hash_range) == ((1, 0), HashRange(0, HASHES - 1))


def test_shards_that_do_not_touch_are_not_merged_and_closed_ones_are_not_changed() -> None:
    first, second, third = initial_shards(3, 1, NOW_MS)
    with pytest.raises(InternalError, match="cannot be merged"):
        merge_shards(first, third, 3, 4, NOW_MS)
    (closed,) = split_shard(first, 5, 3, 4, NOW_MS).closed
    with pytest.raises(InternalError, match="cannot be merged"):
        merge_shards(closed, second, 5, 6, NOW_MS)
    with pytest.raises(InternalError, match="cannot be split"):
        split_shard(closed, 5, 5, 6, NOW_MS)


def test_a_shard_is_there_until_its_last_record_may_be_old() -> None:
    (shard,) = initial_shards(1, 1, NOW_MS)
    (closed,) = split_shard(shard, 5, 1, 2, NOW_MS).closed
    assert unexpired([shard, closed], NOW_MS) == [shard, closed]
    assert unexpired([shard, closed], NOW_MS + 1) == [shard]


steps = st.lists(st.tuples(st.booleans(), st.integers(0, 1 << 20), st.integers(0, HASHES - 1)), max_size=30)


def grown(choices: list[tuple[bool, int, int]]) -> list[DataShard]:
    """The shards after a tree of splits and merges, all in one second."""
    shards: list[DataShard] = initial_shards(2, 1, NOW_MS)
    for is_split, which, at in choices:
        open_shards = open_in_order(shards)
        place = which % len(open_shards)
        index, number = len(shards), len(shards) + 1
        change: Reshard
        if is_split:
            first, last = open_shards[place].hash_range
            if first == last:
                continue
            change = split_shard(open_shards[place], first + 1 + at % (last - first), index, number, NOW_MS)
        elif place + 1 < len(open_shards):
            change = merge_shards(open_shards[place], open_shards[place + 1], index, number, NOW_MS)
        else:
            continue
        shards = list(resharded(shards, change))
    return shards


@given(steps)
def test_any_tree_of_splits_and_merges_parts_the_hash_space(choices: list[tuple[bool, int, int]]) -> None:
    shards = grown(choices)
    assert is_parted(shards)
    assert [shard.index for shard in shards] == list(range(len(shards)))


@given(steps)
def test_all_numbers_of_a_parent_are_below_those_of_its_children(
    choices: list[tuple[bool, int, int]],
) -> None:
    shards = grown(choices)
    for shard in shards:
        for child in children_of(shards, shard.index):
            assert int(shard.ending_sequence_number or "") < int(child.starting_sequence_number)


@given(steps, st.integers(0, HASHES - 1))
def test_a_key_is_in_one_lineage(choices: list[tuple[bool, int, int]], key: int) -> None:
    shards = grown(choices)
    held = [shard for shard in shards if shard.hash_range.has(key)]
    for earlier, later in pairwise(held):
        assert earlier.index in later.parents
    assert [shard.is_closed for shard in held] == [True] * (len(held) - 1) + [False]


def test_a_hole_would_be_seen() -> None:
    first, _, third = initial_shards(3, 1, NOW_MS)
    assert not is_parted([first, third])
