"""Shards: a range of partition hashes, open for a while, then closed and continued by its children.

Rules of this file: pure layouts and transitions of a stream's lineage.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from tailrace.errors import InternalError

HASH_BITS: Final = 64
HASHES: Final = 1 << HASH_BITS


class Shard(msgspec.Struct, frozen=True):
    """One shard of one stream.

    Shape:   hashes `first <= partition <= last` belong to it; `number` is the engine's own, unique in a data
             directory; `ending` is None while it is open.
             `before` is the last record there was in ancestors that are gone: whoever stands below it has lost something.
    Units:   created_ms, closed_ms since the epoch; starting, ending are sequence numbers.
    """

    shard_id: str
    number: int
    first: int
    last: int
    starting: int
    created_ms: int
    parent_id: str | None = None
    ending: int | None = None
    closed_ms: int | None = None
    before: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether no record will ever be added."""
        return self.ending is not None


def _shard_id(stream_label: str, number: int, wall_ms: int) -> str:
    """`shardId-`, twenty digits of milliseconds, eight hexadecimal digits. Source: semantics §1.5."""
    name = blake2b(f"{stream_label}/{number}".encode(), digest_size=4).hexdigest()
    return f"shardId-{wall_ms:020d}-{name}"


def initial(stream_label: str, count: int, number: int, wall_ms: int, starting: int) -> list[Shard]:
    """The first shards of a stream: equal parts of the hash space, numbered from `number`.

    >>> [(shard.first, shard.last == HASHES - 1) for shard in initial("l", 1, 7, 0, 1)]
    [(0, True)]
    """
    return [
        Shard(
            _shard_id(stream_label, number + index, wall_ms), number + index,
            HASHES * index // count, HASHES * (index + 1) // count - 1, starting, wall_ms,
        )
        for index in range(count)
    ]  # fmt: skip


def close(shard: Shard, ending: int, wall_ms: int) -> Shard:
    """The shard with nothing more to come. Raises: InternalError when it is closed or would end before it began."""
    if shard.is_closed or ending < shard.starting:
        raise InternalError(f"shard {shard.number} cannot end at {ending}: {shard}")
    return msgspec.structs.replace(shard, ending=ending, closed_ms=wall_ms)


def rollover(
    shard: Shard, stream_label: str, number: int, wall_ms: int, *, ending: int, starting: int
) -> tuple[Shard, Shard]:
    """The closed shard and the one child that continues it."""
    child = _child(shard, stream_label, number, wall_ms, starting, shard.first, shard.last)
    return close(shard, ending, wall_ms), child


def split(
    shard: Shard, stream_label: str, number: int, wall_ms: int, *, ending: int, starting: int
) -> tuple[Shard, Shard, Shard]:
    """The closed shard and two children, each with half of its hashes. Raises: InternalError for a single hash."""
    if shard.first == shard.last:
        raise InternalError(f"shard {shard.number} has one hash and cannot be split")
    middle = (shard.first + shard.last) // 2
    low = _child(shard, stream_label, number, wall_ms, starting, shard.first, middle)
    high = _child(shard, stream_label, number + 1, wall_ms, starting, middle + 1, shard.last)
    return close(shard, ending, wall_ms), low, high


def _child(
    parent: Shard, stream_label: str, number: int, wall_ms: int, starting: int, first: int, last: int
) -> Shard:
    shard_id = _shard_id(stream_label, number, wall_ms)
    return Shard(shard_id, number, first, last, starting, wall_ms, parent.shard_id)


def forget(shards: Iterable[Shard], gone: Mapping[int, int]) -> tuple[Shard, ...]:
    """A lineage without some shards; their children remember the last record that went with them.

    Shape:   `gone` are last records (0: there was none) by the numbers of shards; parents stand before their children.
    """
    kept: list[Shard] = []
    before: dict[str, int] = {}
    for shard in shards:
        inherited = max(shard.before, before.get(shard.parent_id or "", 0))
        if shard.number in gone:
            before[shard.shard_id] = max(inherited, gone[shard.number])
        else:
            kept.append(msgspec.structs.replace(shard, before=inherited))
    return tuple(kept)


def shard_for(open_shards: Sequence[Shard], partition: int) -> Shard:
    """The open shard that a partition hash belongs to; the shards are sorted by their first hash."""
    return open_shards[bisect_right(open_shards, partition, key=_first) - 1]


def _first(shard: Shard) -> int:
    return shard.first


def children(shards: Iterable[Shard], shard_id: str) -> list[Shard]:
    """The direct children of a shard: what ShardFilter CHILD_SHARDS lists."""
    return [shard for shard in shards if shard.parent_id == shard_id]
