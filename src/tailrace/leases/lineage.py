"""What a shard descends from, as far as a mapping's own rows and the source still know it.

Theory of operation. A key that is parked stays parked for every reader of its later changes: in the shard
where it was parked, and in those that continue it. Which keys are in a shard no API tells, only which shards
it continues, and that only while it is listed. So every checkpoint row names the ancestors that still had
parked keys when its shard began: a child takes over what its parents' rows say, and a long line of shards
stays as short as the list of those that matter. Where a parent was never read, because it came and went while
no worker ran, the lineage is lost: then every shard may be an ancestor that is not known to be none, and that
is also what is written down. An ancestor vanishes before its descendants, so what is still listed and not in
the line is none.
Rules of this file: pure; about the shards of one stream: what was parked in earlier streams concerns every
shard of later ones. Called by runtime/starting.py, worker/forgetting.py and worker/worker.py. Source: growth
§2.3.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from tailrace.streams.shards import Shard


class NamedAncestors(Struct, frozen=True):
    """What a checkpoint row says of its shard: its parents, and those of its ancestors that had parked keys
    when it began.
    """

    parents: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()

    def concerns(self, shard: Shard, stream: str, shard_id: str) -> bool:
        """Whether a key that was parked in that shard of that stream may be in `shard`, whose row says this.

        Shape:   "" for a shard that no checkpoint names. What was parked in another stream, an earlier one,
                 concerns every shard.
        """
        return not shard_id or stream != shard.stream or shard_id in (shard.shard_id, *self.ancestors)


Rows: TypeAlias = Mapping[str, NamedAncestors | None]
"""What a mapping's checkpoint rows in a stream say, by the ids of their shards; None for a row from before
they said it.
"""


class KnownShards(Struct, frozen=True):
    """What is known of a stream's shards. Shape: `listed` by the source; `saved` from the trim, and no longer
    listed; `streams` are the labels of all streams of the table that can still be read; `vanished` are those
    shards of the stream that a mapping has rows of and that are not listed, None: that is not known.
    """

    listed: Mapping[str, Shard] = field(default_factory=dict)
    saved: Mapping[str, Shard] = field(default_factory=dict)
    streams: Collection[str] = ()
    vanished: Collection[str] | None = None

    @classmethod
    def of(
        cls, listed: Iterable[Shard], saved: Iterable[Shard] = (), streams: Collection[str] = ()
    ) -> "KnownShards":
        """The same from lists of them."""
        there = {shard.shard_id: shard for shard in listed}
        return cls(there, {shard.shard_id: shard for shard in saved if shard.shard_id not in there}, streams)

    def get(self, shard_id: str) -> Shard | None:
        """A shard that can still be read."""
        return self.listed.get(shard_id) or self.saved.get(shard_id)


class Line(Struct, frozen=True):
    """What came before a shard in its stream. Shape: ids; `is_lost`: there may be unknown ones."""

    ancestors: frozenset[str]
    is_lost: bool

    def may_have(self, shard_id: str, known: KnownShards) -> bool:
        """Whether a shard can be an ancestor."""
        return shard_id in self.ancestors or (self.is_lost and shard_id not in known.listed)


def line_of(shard: Shard, known: KnownShards, rows: Rows) -> Line:
    """The line of a shard: through those that are listed or saved, and where they end, through a mapping's
    rows.

    >>> rows = {"b": NamedAncestors(("a",), ("a",))}
    >>> line_of(Shard("c", 9, ("b",)), KnownShards.of([]), rows) == Line(frozenset({"a", "b"}), is_lost=False)
    True
    >>> line_of(Shard("d", 12, ("c",)), KnownShards.of([]), rows).is_lost
    True
    """
    ancestors: set[str] = set()
    is_lost = False
    waiting = list(shard.parents)
    while waiting:
        parent = waiting.pop()
        if parent in ancestors:
            continue
        ancestors.add(parent)
        named = rows.get(parent)
        if named is not None:
            ancestors.update(named.parents, named.ancestors)
        elif (there := known.get(parent)) is not None:
            waiting.extend(there.parents)
        else:
            is_lost = True
    return Line(frozenset(ancestors), is_lost)


def waits_for(shard: Shard, line: Line, known: KnownShards) -> set[str]:
    """The shards that have to be finished before this one begins: its parents; where the lineage is lost,
    also what was saved of any that may be one.
    """
    parents = {parent for parent in shard.parents if known.get(parent) is not None}
    if not line.is_lost:
        return parents
    earlier = (saved for saved in known.saved.values() if saved.first < shard.first)
    return parents | {saved.shard_id for saved in earlier if saved.may_share(shard)}


def named_ancestors(line: Line, known: KnownShards, parked_in: Iterable[str]) -> tuple[str, ...]:
    """What the row of a shard that begins names: those in whose shards keys are parked, `parked_in`, and that
    can be ancestors.
    """
    return tuple(sorted(shard_id for shard_id in set(parked_in) if line.may_have(shard_id, known)))


def readers(
    streams: Iterable[Iterable[Shard]], finished: Collection[tuple[str, str]], shard_id: str, partition: int
) -> set[tuple[str, str]]:
    """The shards in which a mapping may be at later changes of an item that had one in the shard `shard_id`,
    by their places; of the others none has begun.

    Shape:   the shards of every stream that can be read, the oldest first; those that the mapping has
             `finished`. A shard that begins only after one of these is none of them.

    >>> shards = [Shard("a", 1), Shard("b", 5, ("a",)), Shard("c", 5, ("a",)), Shard("d", 1)]
    >>> sorted(readers([shards], set(), "a", 0)), sorted(readers([shards], {("", "a")}, "a", 0))
    ([('', 'a')], [('', 'b'), ('', 'c')])
    """
    for shards in streams:
        known = KnownShards.of(shards)
        open_now = {name: shard for name, shard in known.listed.items() if shard.place not in finished}
        if shard_id in open_now:
            return {open_now[shard_id].place}
        lines = {
            name: line_of(shard, known, {}) for name, shard in open_now.items() if shard.may_have(partition)
        }
        if shard_id in known.listed:
            lines = {name: line for name, line in lines.items() if line.may_have(shard_id, known)}
        if lines:
            return {open_now[name].place for name, line in lines.items() if not line.ancestors & lines.keys()}
    return set()


def latest(shard_ids: Collection[str], rows: Rows, known: KnownShards) -> set[str]:
    """Those of some shards that no other of them is known to descend from."""
    older: set[str] = set()
    for shard_id in shard_ids:
        there, named = known.get(shard_id), rows.get(shard_id) or NamedAncestors()
        older.update(named.parents, named.ancestors, () if there is None else there.parents)
    return set(shard_ids) - older
