"""Shards: parts of a stream, open for a while, then closed and continued by their children.

Theory of operation: a worker sees a `Shard`, of any stream anywhere: what it is called, which shards
it continues, and where its numbers begin and end. Which keys are in it is told by none of the streams of
others, so nothing may need it. The streams of this engine have a `HashedShard`: a range of partition hashes,
with the engine's own number.
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
    """One shard of one stream, as a source tells of it.

    Shape:   `parents` are the shards that it continues: one after a rollover or a split, several after a
             merge, none at the beginning of a stream; they are named whether or not they can still be read.
             `first` is not above its first sequence number, `last` not below its last one, None while it is
             open. `hash_range` are the partition hashes that belong to it, both inclusive; None where the
             stream does not tell. `stream` is the label of its stream. `before` is the last record there was
             in ancestors that are gone: who stands below it has lost something; None: the source does not
             know.
    Units:   created_ms since the epoch; 0: not known.
    """

    shard_id: str
    first: int
    parents: tuple[str, ...] = ()
    last: int | None = None
    hash_range: tuple[int, int] | None = None
    stream: str = ""
    created_ms: int = 0
    before: int | None = None

    @property
    def is_closed(self) -> bool:
        """Whether no record will ever be added."""
        return self.last is not None

    @property
    def place(self) -> tuple[str, str]:
        """Its name among the shards of all streams: the stream's label and its id."""
        return self.stream, self.shard_id

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that tell it from others, for the names of requests."""
        return blake2b("/".join(self.place).encode(), digest_size=4).hexdigest()

    def may_have(self, partition: int) -> bool:
        """Whether changes of items with this partition hash can be in it, as far as it is known."""
        return self.hash_range is None or self.hash_range[0] <= partition <= self.hash_range[1]

    def may_share(self, other: "Shard") -> bool:
        """Whether both may have changes of one item, as far as it is known.

        >>> Shard("a", 1, hash_range=(0, 5)).may_share(Shard("b", 2, hash_range=(6, 9)))
        False
        """
        if self.hash_range is None or other.hash_range is None:
            return True
        return self.hash_range[0] <= other.hash_range[1] and other.hash_range[0] <= self.hash_range[1]


def in_order(shards: Iterable[Shard]) -> list[Shard]:
    """Parents before their children, else by their first sequence numbers.

    >>> [shard.shard_id for shard in in_order([Shard("c", 1, ("b",)), Shard("b", 5), Shard("a", 3)])]
    ['a', 'b', 'c']
    """
    waiting = {
        shard.shard_id: shard for shard in sorted(shards, key=lambda shard: (shard.first, shard.shard_id))
    }
    placed: list[Shard] = []
    while waiting:
        ready = [shard for shard in waiting.values() if waiting.keys().isdisjoint(shard.parents)]
        # A circle of parents is no lineage: their numbers have to do.
        for shard in ready or list(waiting.values()):
            placed.append(waiting.pop(shard.shard_id))
    return placed


class HashedShard(msgspec.Struct, frozen=True):
    """One shard of one of the engine's own streams.

    Shape:   hashes `first <= partition <= last` belong to it; `number` is the engine's own, unique in a data
             directory; `ending` is None while it is open. `before` is the last record there was in ancestors
             that are gone: a reader below it has lost something.
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


def published(shard: HashedShard, stream_label: str) -> Shard:
    """A shard of the engine's as its readers see it."""
    return Shard(
        shard.shard_id,
        shard.starting,
        () if shard.parent_id is None else (shard.parent_id,),
        shard.ending,
        (shard.first, shard.last),
        stream_label,
        shard.created_ms,
        shard.before,
    )


def _shard_id(stream_label: str, number: int, wall_ms: int) -> str:
    """`shardId-`, twenty digits of milliseconds, eight hexadecimal digits. Source: semantics §1.5."""
    return f"shardId-{wall_ms:020d}-{_digest(stream_label, number)}"


def _digest(stream_label: str, number: int) -> str:
    return blake2b(f"{stream_label}/{number}".encode(), digest_size=4).hexdigest()


def number_behind(stream_label: str, shard_id: str, most: int) -> int | None:
    """The number below `most` that one of our shards has, by its id, which was made of it; None: it is none
    of ours. It takes as long as the number is large.

    >>> number_behind("l", initial("l", 1, 7, 0, 1)[0].shard_id, 100)
    7
    """
    name = shard_id.rpartition("-")[2]
    return next((number for number in range(most) if _digest(stream_label, number) == name), None)


def initial(stream_label: str, count: int, number: int, wall_ms: int, starting: int) -> list[HashedShard]:
    """The first shards of a stream: equal parts of the hash space, numbered from `number`.

    >>> [(shard.first, shard.last == HASHES - 1) for shard in initial("l", 1, 7, 0, 1)]
    [(0, True)]
    """
    return [
        HashedShard(
            _shard_id(stream_label, number + index, wall_ms),
            number + index,
            HASHES * index // count,
            HASHES * (index + 1) // count - 1,
            starting,
            wall_ms,
        )
        for index in range(count)
    ]


def close(shard: HashedShard, ending: int, wall_ms: int) -> HashedShard:
    """The shard with nothing more to come. Raises: InternalError when it is closed or would end before it
    began.
    """
    if shard.is_closed or ending < shard.starting:
        raise InternalError(f"shard {shard.number} cannot end at {ending}: {shard}")
    return msgspec.structs.replace(shard, ending=ending, closed_ms=wall_ms)


def rollover(
    shard: HashedShard, stream_label: str, number: int, wall_ms: int, *, ending: int, starting: int
) -> tuple[HashedShard, HashedShard]:
    """The closed shard and the one child that continues it."""
    child = _child(shard, stream_label, number, wall_ms, starting, shard.first, shard.last)
    return close(shard, ending, wall_ms), child


def split(
    shard: HashedShard, stream_label: str, number: int, wall_ms: int, *, ending: int, starting: int
) -> tuple[HashedShard, HashedShard, HashedShard]:
    """The closed shard and two children, each with half of its hashes. Raises: InternalError for a single
    hash.
    """
    if shard.first == shard.last:
        raise InternalError(f"shard {shard.number} has one hash and cannot be split")
    middle = (shard.first + shard.last) // 2
    low = _child(shard, stream_label, number, wall_ms, starting, shard.first, middle)
    high = _child(shard, stream_label, number + 1, wall_ms, starting, middle + 1, shard.last)
    return close(shard, ending, wall_ms), low, high


def _child(
    parent: HashedShard, stream_label: str, number: int, wall_ms: int, starting: int, first: int, last: int
) -> HashedShard:
    shard_id = _shard_id(stream_label, number, wall_ms)
    return HashedShard(shard_id, number, first, last, starting, wall_ms, parent.shard_id)


class Forgotten(msgspec.Struct, frozen=True):
    """A lineage without some shards. Shape: `through` is, by the number of each shard that went, the last
    record that went with it and with all before it (0: there was none).
    """

    remaining: tuple[HashedShard, ...]
    through: dict[int, int]


def forget(shards: Iterable[HashedShard], gone: Mapping[int, int]) -> Forgotten:
    """Let shards go; their children remember the last record that went with them.

    Shape:     `gone` are last records (0: there was none) by the numbers of shards; parents stand before
               their children.
    Guarantee: none goes before its parent, also when it is named: what it continues would be read after what
               continues it, and nobody would hear what is lost of it later.
    """
    remaining: list[HashedShard] = []
    through: dict[int, int] = {}
    before: dict[str, int] = {}
    kept: set[str | None] = set()
    for shard in shards:
        inherited = max(shard.before, before.get(shard.parent_id or "", 0))
        if shard.number in gone and shard.parent_id not in kept:
            before[shard.shard_id] = through[shard.number] = max(inherited, gone[shard.number])
        else:
            kept.add(shard.shard_id)
            remaining.append(msgspec.structs.replace(shard, before=inherited))
    return Forgotten(tuple(remaining), through)


def shard_for(open_shards: Sequence[HashedShard], partition: int) -> HashedShard:
    """The open shard that a partition hash belongs to; the shards are sorted by their first hash."""
    return open_shards[bisect_right(open_shards, partition, key=_first) - 1]


def _first(shard: HashedShard) -> int:
    return shard.first


def children(shards: Iterable[HashedShard], shard_id: str) -> list[HashedShard]:
    """The direct children of a shard: what ShardFilter CHILD_SHARDS lists."""
    return [shard for shard in shards if shard.parent_id == shard_id]
