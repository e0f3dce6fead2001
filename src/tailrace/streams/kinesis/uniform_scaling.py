"""UpdateShardCount: which splits and merges make a stream's open shards equal parts of another number.

Theory of operation: what the target's borders lack is split first, what they have not is merged then. A
border that stands nearly where one of the target is wanted stays where it is: parts of the hash space do not
divide evenly, and moving a border by a hash would cost a split and a merge. So twice as many shards are one
split each, half as many one merge a pair.
Rules of this file: pure; the steps are done in their order, by `data_shards`. Source: semantics §5.3.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from msgspec import Struct

from tailrace.streams.kinesis.data_shards import DataShard, Reshard, merge_shards, split_shard
from tailrace.streams.kinesis.hash_ranges import HASHES, HashRange, equal_parts

MOST_SHARDS: Final = 10_000
"""More than so many open shards no scaling makes."""
NEAR: Final = MOST_SHARDS
"""How far a border may be from where it is wanted: as far as rounding can move one. Units: hashes."""


class SplitAt(Struct, frozen=True):
    """Split the open shard with this range; `at` is the first hash of its second half."""

    part: HashRange
    at: int


class MergeAt(Struct, frozen=True):
    """Merge the two open shards with these ranges, which are neighbours in this order."""

    lower: HashRange
    upper: HashRange


ScalingStep: TypeAlias = SplitAt | MergeAt


def uniform_plan(parts: Sequence[HashRange], target: int) -> list[ScalingStep]:
    """The steps from these open ranges, in order, to `target` equal ones.

    >>> uniform_plan(equal_parts(1), 2) == [SplitAt(HashRange(0, HASHES - 1), HASHES // 2)]
    True
    >>> uniform_plan(equal_parts(4), 4)
    []
    """
    borders = [part.first for part in parts[1:]]
    wanted = _snapped([part.first for part in equal_parts(target)[1:]], borders)
    steps: list[ScalingStep] = []
    for border in wanted:
        place = bisect_left(borders, border)
        if borders[place : place + 1] != [border]:
            first = borders[place - 1] if place else 0
            after = borders[place] if place < len(borders) else HASHES
            steps.append(SplitAt(HashRange(first, after - 1), border))
            borders.insert(place, border)
    kept = set(wanted)
    edges = [0, *borders, HASHES]
    lower: HashRange | None = None
    for first, after in pairwise(edges):
        part = HashRange(first, after - 1)
        if first in kept or lower is None:
            lower = part
        else:
            steps.append(MergeAt(lower, part))
            lower = HashRange(lower.first, part.last)
    return steps


def _snapped(wanted: Sequence[int], borders: Sequence[int]) -> list[int]:
    """The wanted borders, each replaced by one that is near it already."""
    snapped: list[int] = []
    for border in wanted:
        place = bisect_left(borders, border - NEAR)
        is_near = place < len(borders) and borders[place] <= border + NEAR
        snapped.append(borders[place] if is_near else border)
    return snapped


def scaled(
    open_shards: Sequence[DataShard], steps: Sequence[ScalingStep], index: int, number: int, wall_ms: int
) -> list[Reshard]:
    """What the steps make of the open shards, in order; new ones are numbered from `index` and `number`."""
    present = {shard.hash_range: shard for shard in open_shards}
    changes: list[Reshard] = []
    for step in steps:
        match step:
            case SplitAt(part, at):
                change = split_shard(present.pop(part), at, index, number, wall_ms)
            case MergeAt(lower, upper):
                change = merge_shards(present.pop(lower), present.pop(upper), index, number, wall_ms)
        present |= {shard.hash_range: shard for shard in change.opened}
        index, number = index + len(change.opened), number + len(change.opened)
        changes.append(change)
    return changes
