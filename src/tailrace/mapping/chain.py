"""The chain of one item's changes: what tells its next change from one that came again, early or late.

Theory of operation. A source that delivers at least once and out of order (DynamoDB's records in a Kinesis
data stream) numbers its records by arrival. Inside an item two things say what its order was: when a change
was written, and its images, for the old one of the next change is the new one of the last. So a change goes
on from the chain when nothing earlier waits and its old image is where the chain has come to. What was
written at one time (milliseconds hold several changes) is put in order by a trail through its images that
leaves the fewest over. A change is the same as another when both have one event id, or were read under one
number; it *equals* another when images and times are the same, times compared as coarsely as the coarser of
both is known.
Rules of this file: pure functions of frozen values, of one item. Nothing here waits: holding.py does. Source:
growth §6, semantics §5.5.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import orjson
from msgspec import Struct

from tailrace.streams.record import ChangeRecord, image

IMAGE_BYTES: Final = 16
IDENTITY_BYTES: Final = 8
ABSENT: Final = b""
"""The image of an item that is not there."""
PLACE_BITS: Final = 16
"""For the place in the chain among an item's changes of one time; more than that take places of the next
microsecond.
"""
ITEM_BITS: Final = 64
"""For what makes versions of different items different: two items may be changed at one time."""
MOST_STEPS: Final = 2_000
"""Of a search for a trail: what was written at one time is rarely more than a few changes."""


class Link(Struct, frozen=True, gc=False):
    """One change as its item's chain knows it.

    Shape:   `old` and `new` are digests of the images, `ABSENT` for none; `identity` is one of the event id,
             b"" where the source gave none. `number` is the one it was read under. `slot` is its place among
             all changes of the item, 0: it has none yet.
    Units:   created_us since the epoch, known to within precision_us.
    """

    created_us: int
    precision_us: int
    old: bytes
    new: bytes
    identity: bytes = b""
    number: int = 0
    slot: int = 0

    @property
    def changes_nothing(self) -> bool:
        """Whether both images are equal, as transactions may tell."""
        return self.old == self.new


def link_of(record: ChangeRecord) -> Link:
    """A change without its content."""
    identity = _digest(record.source_id.encode(), IDENTITY_BYTES) if record.source_id else b""
    old, new = image_digest(record.old), image_digest(record.new)
    return Link(record.created_us, record.precision_us, old, new, identity, record.sequence)


def image_digest(data: bytes | None) -> bytes:
    """The same for equal items, in whatever order their attributes stand."""
    item = image(data)
    return ABSENT if item is None else _digest(orjson.dumps(item, option=orjson.OPT_SORT_KEYS), IMAGE_BYTES)


def _digest(data: bytes, size: int) -> bytes:
    return blake2b(data, digest_size=size).digest()


# ---- two changes of one item -------------------------------------------------------------------------------


def are_of_one_time(one: Link, other: Link) -> bool:
    """Whether their times do not tell which came first."""
    unit = max(one.precision_us, other.precision_us)
    return one.created_us // unit == other.created_us // unit


def is_before(one: Link, other: Link) -> bool:
    """Whether one was written earlier, as far as both times tell."""
    unit = max(one.precision_us, other.precision_us)
    return one.created_us // unit < other.created_us // unit


def equals(one: Link, other: Link) -> bool:
    """Whether nothing but their event ids tells them apart."""
    return one.old == other.old and one.new == other.new and are_of_one_time(one, other)


# ---- the order ---------------------------------------------------------------------------------------------


def earliest(waiting: Iterable[Link]) -> list[Link]:
    """The first of these, in order of time, that are of one time; it looks no further."""
    taken: list[Link] = []
    for link in waiting:
        if taken and not are_of_one_time(taken[0], link):
            break
        taken.append(link)
    return taken


def trail(at: bytes, links: Sequence[Link]) -> tuple[int, ...]:
    """The places of changes of one time in an order in which each goes on from the one before, from the image
    `at` on; as many of them as can be.

    >>> a, b = b"a", b"b"
    >>> trail(a, [Link(1, 1, b, a), Link(1, 1, a, b), Link(1, 1, a, b"c")])
    (1, 0, 2)
    """
    best: tuple[int, ...] = ()
    steps = 0
    stack: list[tuple[bytes, tuple[int, ...]]] = [(at, ())]
    while stack and steps < MOST_STEPS and len(best) < len(links):
        steps += 1
        image_at, taken = stack.pop()
        if len(taken) > len(best):
            best = taken
        ways: dict[bytes, int] = {}
        for place, link in enumerate(links):
            if link.old == image_at and place not in taken:
                ways.setdefault(link.new, place)
        stack.extend((new, (*taken, place)) for new, place in reversed(ways.items()))
    return best


def longest(links: Sequence[Link], begins: Sequence[Link]) -> tuple[int, ...]:
    """The same of the earliest of these, where it is not known which image there was before, and one of
    `begins` is the first: of the longest trails one that begins with an item that was not there, else one
    that leads on to the changes of the next time; where that is not all of them, it comes last.
    """
    first = earliest(links)
    count = len(first)
    following = earliest(links[count:])
    trails = [trail(at, first) for at in dict.fromkeys(link.old for link in begins)]

    def worth(places: tuple[int, ...]) -> tuple[int, bool, int]:
        if not places:
            return 0, False, 0
        leads_on = len(trail(first[places[-1]].new, following))
        return len(places), first[places[0]].old == ABSENT, leads_on if len(places) == count else -leads_on

    return max(trails, key=worth, default=())


# ---- versions ----------------------------------------------------------------------------------------------


def slot_of(link: Link, last: Link | None) -> int:
    """Its place among all changes of the item: by its time, and behind the last one.

    >>> slot_of(Link(3, 1, b"", b"x"), None) == 3 << PLACE_BITS
    True
    >>> slot_of(Link(3, 1, b"", b"x"), Link(3, 1, b"", b"y", slot=3 << PLACE_BITS)) == (3 << PLACE_BITS) + 1
    True
    """
    own = link.created_us << PLACE_BITS
    return own if last is None else max(own, last.slot + 1)


def rank(slot: int, name: bytes) -> int:
    """The number of a version: by slots, and different for different names. Shape: `name` is the item's key.

    >>> rank(5, b"x") < rank(6, b"a")
    True
    """
    return (slot << ITEM_BITS) | int.from_bytes(_digest(name, ITEM_BITS // 8))


def late_rank(link: Link, key: bytes) -> int:
    """The number of a change that came when later ones were settled: older than these, and its own."""
    name = b"/".join((key, link.identity, link.old, link.new))
    return rank(link.created_us << PLACE_BITS, name)
