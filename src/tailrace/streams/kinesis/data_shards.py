"""Shards of data streams: ranges of the hash space, open for a while, then split or merged into others.

Theory of operation: a stream's open shards part the hash space. A split closes one and opens two, a merge
closes two and opens one; a parent's records are read before its children's, so each key's order outlives
both. Indexes count up and are never used again.
Rules of this file: pure layouts and transitions; `DataShard` is kept in the catalog as it is
(docs/formats/catalog.md). Source: semantics §5.1, §5.3; fleet §4.1.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from tailrace.errors import InternalError
from tailrace.streams.kinesis.hash_ranges import HashRange, equal_parts
from tailrace.streams.kinesis.names import shard_id
from tailrace.streams.kinesis.sequence_numbers import FIRST, LAST, DataSequence, numbering

SECOND_MS: Final = 1_000


class DataShard(msgspec.Struct, frozen=True):
    """One shard of a data stream.

    Shape:   `index` is its place among all shards that the stream ever had, `number` the engine's own over
             all streams. Hash keys are texts, as they are wider than numbers of JSON. `parents` are indexes:
             none at first, one after a split, two after a merge, the one that was named first.
    Units:   created_ms and closed_ms since the epoch; `second` is what its sequence numbers begin with, at
             least created_ms in seconds and above those of its parents.
    """

    index: int
    number: int
    starting_hash_key: str
    ending_hash_key: str
    created_ms: int
    second: int
    parents: tuple[int, ...] = ()
    closed_ms: int | None = None

    @property
    def shard_id(self) -> str:
        """What clients call it."""
        return shard_id(self.index)

    @property
    def is_closed(self) -> bool:
        """Whether no record will ever be added."""
        return self.closed_ms is not None

    @property
    def hash_range(self) -> HashRange:
        """The hashes that belong to it."""
        return HashRange.from_keys(self.starting_hash_key, self.ending_hash_key)

    @property
    def numbering(self) -> int:
        """What all of its sequence numbers have in common."""
        return numbering(self.second, self.index)

    @property
    def starting_sequence_number(self) -> str:
        """Below the numbers of all of its records."""
        return DataSequence(self.second, self.index, FIRST, self.second).wire

    @property
    def ending_sequence_number(self) -> str | None:
        """Above the numbers of all of its records; None while it is open."""
        if self.closed_ms is None:
            return None
        return DataSequence(self.second, self.index, LAST, self.closed_ms // SECOND_MS).wire

    def was_open_at(self, moment_ms: int) -> bool:
        """Whether it took records at a moment."""
        return self.created_ms <= moment_ms and (self.closed_ms is None or self.closed_ms > moment_ms)


class Reshard(msgspec.Struct, frozen=True):
    """What a split or a merge makes of shards: those that are closed, and those that are new."""

    closed: tuple[DataShard, ...]
    opened: tuple[DataShard, ...]


def initial_shards(count: int, number: int, wall_ms: int) -> list[DataShard]:
    """The first shards of a stream: equal parts of the hash space, numbered from `number`.

    >>> [shard.shard_id for shard in initial_shards(2, 40, 0)]
    ['shardId-000000000000', 'shardId-000000000001']
    """
    return [
        _opened(index, number + index, part, wall_ms, ()) for index, part in enumerate(equal_parts(count))
    ]


def split_shard(shard: DataShard, at: int, index: int, number: int, wall_ms: int) -> Reshard:
    """Close a shard and open two; `at` is the first hash of the second.

    Raises:  InternalError when it is closed, or when one of both would have no hash.
    """
    first, last = shard.hash_range
    if shard.is_closed or not first < at <= last:
        raise InternalError(f"{shard.shard_id} cannot be split at {at}: {shard}")
    parents = (shard,)
    return Reshard(
        (replace(shard, closed_ms=wall_ms),),
        (
            _opened(index, number, HashRange(first, at - 1), wall_ms, parents),
            _opened(index + 1, number + 1, HashRange(at, last), wall_ms, parents),
        ),
    )


def merge_shards(shard: DataShard, adjacent: DataShard, index: int, number: int, wall_ms: int) -> Reshard:
    """Close two shards that are neighbours and open one with the hashes of both.

    Raises:  InternalError when one is closed, or when they are no neighbours.
    """
    mine, other = shard.hash_range, adjacent.hash_range
    if shard.is_closed or adjacent.is_closed or not mine.touches(other):
        raise InternalError(f"{shard.shard_id} and {adjacent.shard_id} cannot be merged")
    whole = HashRange(min(mine.first, other.first), max(mine.last, other.last))
    return Reshard(
        (replace(shard, closed_ms=wall_ms), replace(adjacent, closed_ms=wall_ms)),
        (_opened(index, number, whole, wall_ms, (shard, adjacent)),),
    )


def _opened(
    index: int, number: int, part: HashRange, wall_ms: int, parents: tuple[DataShard, ...]
) -> DataShard:
    after = max((parent.second + 1 for parent in parents), default=0)
    return DataShard(
        index,
        number,
        str(part.first),
        str(part.last),
        wall_ms,
        max(wall_ms // SECOND_MS, after),
        tuple(parent.index for parent in parents),
    )


def resharded(shards: Iterable[DataShard], *changes: Reshard) -> tuple[DataShard, ...]:
    """All shards of a stream after splits and merges, one after the other, in the order of their indexes."""
    present = {shard.index: shard for shard in shards}
    for change in changes:
        present |= {shard.index: shard for shard in (*change.closed, *change.opened)}
    return tuple(present.values())


def open_in_order(shards: Iterable[DataShard]) -> list[DataShard]:
    """The open shards in the order of their hashes."""
    return sorted(
        (shard for shard in shards if not shard.is_closed), key=lambda shard: shard.hash_range.first
    )


def children_of(shards: Sequence[DataShard], index: int) -> tuple[DataShard, ...]:
    """The shards that continue a shard: two after a split, one after a merge, none while it is open."""
    return tuple(shard for shard in shards if index in shard.parents)


def unexpired(shards: Iterable[DataShard], horizon_ms: int) -> list[DataShard]:
    """Those that may still have records: open ones, and those that were closed at the horizon or later.

    >>> old, young = initial_shards(2, 1, 0)
    >>> [shard.index for shard in unexpired([replace(old, closed_ms=4), replace(young, closed_ms=5)], 5)]
    [1]
    """
    return [shard for shard in shards if shard.closed_ms is None or shard.closed_ms >= horizon_ms]
