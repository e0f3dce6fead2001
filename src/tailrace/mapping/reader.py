"""One read for many mappings: what was read of a shard is kept, within a byte budget, for those who come to
it later.

Theory of operation. The *head* holds the records that were read last; a reader that stands in it or at its
end reads from it, so that handlers of any number cost one read. Who has fallen behind the head reads through
one *catch-up* place, which those behind share: a shard never has more than two readers. Records that every
mapping has passed are let go; the oldest go when the budget is used up, and who still needed them has fallen
behind. No mapping waits for another: a slow one costs the others nothing but its catch-up reads.

Rules of this file: no waiting and no reading: `page` answers from what is there, `place` says which of the
two reads has to be made, `add` takes what it found. A page that names a gap is never shared: the gap is said
to each reader by the source itself. Driven by runtime/reading.py.
"""

from bisect import bisect_right
from operator import attrgetter
from typing import Final, Literal, TypeAlias

from tailrace.streams.record import ChangeRecord, ReadDone

PAGE_BYTES: Final = 8 * 1024 * 1024
"""What one answer holds at most, one record at least: the engine's own pages are as large."""

Reading: TypeAlias = Literal["head", "catch-up"]
_sequence = attrgetter("sequence")


class Budget:
    """Bytes that all rings of a worker share. Units: bytes of images and keys, as `size_bytes` counts
    them.
    """

    __slots__ = ("rings", "total_bytes")

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.rings = 0

    @property
    def share(self) -> int:
        """What one ring may keep."""
        return self.total_bytes // max(1, self.rings)


class Ring:
    """Every record of a shard after `floor` and up to `end`, in order."""

    __slots__ = ("_records", "end", "floor", "is_closed", "size_bytes")

    def __init__(self, after: int) -> None:
        self.floor = self.end = after
        self.size_bytes = 0
        self.is_closed = False
        self._records: list[ChangeRecord] = []

    def __len__(self) -> int:
        return len(self._records)

    def covers(self, after: int) -> bool:
        """Whether a reader at this position can go on in here, or at the end of it."""
        return self.floor <= after <= self.end

    def page(self, after: int, limit: int) -> ReadDone | None:
        """The records after a position that it covers; None: there is nothing new."""
        if after == self.end:
            return ReadDone([], after, closed=True) if self.is_closed else None
        first = bisect_right(self._records, after, key=_sequence)
        records = _within(self._records[first : first + limit], PAGE_BYTES)
        is_last = first + len(records) == len(self._records)
        next_after = self.end if is_last else records[-1].sequence
        return ReadDone(records, next_after, closed=is_last and self.is_closed)

    def append(self, page: ReadDone) -> None:
        """What was read at the end."""
        self._records.extend(page.records)
        self.size_bytes += sum([record.size_bytes for record in page.records])
        self.end = page.next_after
        self.is_closed = page.closed

    def let_go(self, passed: int, most_bytes: int) -> None:
        """Drop the records up to a position, and the oldest until the rest is small enough."""
        count = bisect_right(self._records, passed, key=_sequence)
        self.size_bytes -= sum([record.size_bytes for record in self._records[:count]])
        while self.size_bytes > most_bytes:
            self.size_bytes -= self._records[count].size_bytes
            count += 1
        if count:
            self.floor = self._records[count - 1].sequence
            del self._records[:count]


def _within(records: list[ChangeRecord], most_bytes: int) -> list[ChangeRecord]:
    size = sum([record.size_bytes for record in records])
    while size > most_bytes and len(records) > 1:
        size -= records.pop().size_bytes
    return records


class SharedRead:
    """What was read of one shard, for all its mappings.

    Shape:   `positions` is the position each mapping asked for last. Units: positions are sequence numbers,
             as `Read.after`.
    """

    __slots__ = ("_behind", "_budget", "_head", "positions")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._head: Ring | None = None
        self._behind: Ring | None = None
        self.positions: dict[str, int] = {}
        budget.rings += 1

    @property
    def size_bytes(self) -> int:
        """What both rings hold."""
        return sum(ring.size_bytes for ring in (self._head, self._behind) if ring is not None)

    def page(self, mapping_id: str, after: int, limit: int) -> ReadDone | None:
        """What was read already after this position; None: it has to be read, at `place`."""
        self.positions[mapping_id] = after
        self._let_go()
        for ring in (self._head, self._behind):
            if ring is not None and ring.covers(after):
                page = ring.page(after, limit)
                if page is not None:
                    return page
        return None

    def place(self, after: int) -> Reading:
        """Which of a shard's two reads finds what follows this position."""
        return "head" if self._head is None or after >= self._head.end else "catch-up"

    def add(self, after: int, page: ReadDone) -> None:
        """Keep what a read after this position found."""
        ring = self._ring(after)
        if page.trimmed:
            self._put(after, Ring(page.next_after))
        elif ring is not None and ring.end == after:
            ring.append(page)
        else:
            fresh = Ring(after)
            fresh.append(page)
            self._put(after, fresh)
        self._let_go()

    def leave(self, mapping_id: str) -> None:
        """A mapping has ended in this shard."""
        self.positions.pop(mapping_id, None)
        self._let_go()

    def close(self) -> None:
        """No mapping reads here any more: give the share of the budget back."""
        self._budget.rings -= 1

    def _ring(self, after: int) -> Ring | None:
        return self._head if self.place(after) == "head" else self._behind

    def _put(self, after: int, ring: Ring) -> None:
        if self.place(after) == "catch-up":
            self._behind = ring
            return
        if self._head is not None and self._head.end < after:
            self._behind = (
                self._head
            )  # this reader is ahead of all: what the others have just read stays theirs
        self._head = ring

    def _let_go(self) -> None:
        passed = min(self.positions.values(), default=0)
        share = self._budget.share
        for ring in (self._head, self._behind):
            if ring is not None and (ring.size_bytes > share or (len(ring) and ring.floor < passed)):
                ring.let_go(passed, share)
