"""UpdateShardCount's plan: what it comes to, and how few steps it takes."""

from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.kinesis.data_shards import DataShard, initial_shards, open_in_order, resharded
from tailrace.streams.kinesis.hash_ranges import HASHES, equal_parts
from tailrace.streams.kinesis.uniform_scaling import (
    NEAR,
    MergeAt,
    SplitAt,
    uniform_plan,
)
from tailrace.streams.kinesis.uniform_scaling import scaled as changes_of


def scaled(shards: list[DataShard], target: int) -> list[DataShard]:
    """All shards after the plan was done."""
    steps = uniform_plan([shard.hash_range for shard in open_in_order(shards)], target)
    return list(resharded(shards, *changes_of(open_in_order(shards), steps, len(shards), len(shards) + 1, 0)))


@given(st.integers(1, 40), st.integers(1, 80))
def test_the_open_shards_are_equal_parts_but_for_rounding(count: int, target: int) -> None:
    ranges = [shard.hash_range for shard in open_in_order(scaled(initial_shards(count, 1, 0), target))]
    assert len(ranges) == target
    for part, wanted in zip(ranges, equal_parts(target), strict=True):
        assert abs(part.first - wanted.first) <= NEAR
        assert abs(part.last - wanted.last) <= NEAR


@given(st.integers(1, 300))
def test_twice_as_many_are_one_split_each(count: int) -> None:
    plan = uniform_plan(equal_parts(count), 2 * count)
    assert [type(step) for step in plan] == [SplitAt] * count


@given(st.integers(1, 300))
def test_half_as_many_are_one_merge_a_pair(count: int) -> None:
    plan = uniform_plan(equal_parts(2 * count), count)
    assert [type(step) for step in plan] == [MergeAt] * count


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_scalings_one_after_the_other_keep_the_parts_equal(targets: list[int]) -> None:
    shards = initial_shards(3, 1, 0)
    for target in targets:
        shards = scaled(shards, target)
    ranges = [shard.hash_range for shard in open_in_order(shards)]
    assert len(ranges) == targets[-1]
    assert (ranges[0].first, ranges[-1].last) == (0, HASHES - 1)
    sizes = [part.last - part.first for part in ranges]
    assert max(sizes) - min(sizes) <= 2 * len(targets) * NEAR


def test_as_many_as_there_are_is_no_step() -> None:
    assert uniform_plan(equal_parts(7), 7) == []


def test_two_become_three_by_two_splits_and_a_merge() -> None:
    assert [type(step) for step in uniform_plan(equal_parts(2), 3)] == [SplitAt, SplitAt, MergeAt]
