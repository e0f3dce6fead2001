"""One item of the holding stage: its chain, what waits behind it, and the row that is kept of it.

Rules of this file: what an item knows of itself; when something goes on, or waits no more, is holding.py's.
"""

from collections import deque

from msgspec import Struct, field

from tailrace.mapping.chain import Link, equals
from tailrace.streams.record import ChangeRecord


class ChainRow(Struct, frozen=True):
    """What is kept of an item's chain.

    Shape:   `links` are its last settled changes, in order, the last one where it has come to; () when none
             is. `ahead` are settled too, behind one that is not or that has not come; `carried` are records
             of shards that are over, which are not settled.
    """

    partition: int
    links: tuple[Link, ...] = ()
    ahead: tuple[Link, ...] = ()
    carried: tuple[ChangeRecord, ...] = ()


class WaitingChange(Struct):
    """A change that waits. Shape: `record` is None for one that an earlier worker has settled: it takes part,
    and does not go out. Units: due_us in the shard's time.
    """

    link: Link
    record: ChangeRecord | None
    due_us: int
    is_gone: bool = False


class ChainedItem(Struct):
    """One item of a shard.

    Shape:   of `links`, the last `len(open)` are not in its row yet, because the first of them is not
             settled; `open` are their numbers, `done` those of them that are settled. `position` is the last
             number of its records in this shard; `has_row`: the store may have one. `arrived` is what waits
             in the order in which it came, with some that is gone; `known` are numbers and event ids of
             `links` and of what waits.
    """

    key: bytes
    partition: int
    links: deque[Link] = field(default_factory=deque)
    open: deque[int] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)
    waiting: list[WaitingChange] = field(default_factory=list)
    arrived: deque[WaitingChange] = field(default_factory=deque)
    known: set[int | bytes] = field(default_factory=set)
    ahead: dict[int, Link] = field(default_factory=dict)
    carried: dict[int, ChangeRecord] = field(default_factory=dict)
    position: int = 0
    touched_us: int = -1
    has_row: bool = False

    def knows(self, link: Link) -> bool:
        """Whether this very change is remembered, or waits."""
        return link.number in self.known or (bool(link.identity) and link.identity in self.known)

    def has_equal(self, link: Link) -> bool:
        """Whether one of its chain equals this change."""
        return any(equals(link, other) for other in self.links)

    def learn(self, link: Link) -> None:
        """It is remembered, or waits, from now on."""
        self.known.add(link.number)
        if link.identity:
            self.known.add(link.identity)

    def forget(self, link: Link) -> None:
        """The opposite of learn()."""
        self.known -= {link.number, link.identity}

    def row(self) -> ChainRow:
        """What is kept of it."""
        settled = len(self.links) - len(self.open)
        ahead, carried = tuple(self.ahead.values()), tuple(self.carried.values())
        return ChainRow(self.partition, tuple(self.links)[:settled], ahead, carried)
