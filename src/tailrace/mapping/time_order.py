"""Changes of several shards in order of time: which comes next, and how long it waits for older ones.

Theory of operation. A stream has order inside a shard and none between shards. Here each shard offers a
batch at a time; the next change is the oldest first one of all batches, once no other shard can bring an
older one: it has a batch here (then its first change is compared), or it has come past that time (its
frontier). A shard that brings nothing says nothing, so a change waits for it no longer than the bound, from
when it was offered or that shard's last batch had gone, and then goes. What comes with a time before one that
has gone is late: it goes at once, marked. A change that fails holds everything, until its shard offers it, or
what follows it, again. A shard that is finished holds nothing, and while it is not known which shards there
are, only the bound releases. Ties of time are broken by shard and sequence number, so one history has one
order.
Rules of this file: pure; told the time, and of shards; no record is copied, and none is kept once it has
gone. Called by sinks/time_ordered.py.
"""

from collections.abc import Collection, Sequence
from typing import TypeAlias

from msgspec import Struct

from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord

Place: TypeAlias = tuple[str, str]
"""The label of a stream and the id of a shard."""
TimeKey: TypeAlias = tuple[int, Place, int]


class OfferedBatch:
    """A batch of one shard, until all of it has gone. Shape: `next` is the place of its first change that has
    not gone. Units: offered_ms monotonic.
    """

    __slots__ = ("next", "offered_ms", "place", "records")

    def __init__(self, place: Place, records: Sequence[ChangeRecord], offered_ms: int) -> None:
        self.place = place
        self.records = records
        self.offered_ms = offered_ms
        self.next = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return self.next >= len(self.records)

    @property
    def first(self) -> ChangeRecord:
        """Its first change that has not gone."""
        return self.records[self.next]

    @property
    def key(self) -> TimeKey:
        """The place of that in the order of time."""
        return self.first.created_us, self.place, self.first.sequence


class ReleasedChange(Struct, frozen=True):
    """A change whose turn it is. Shape: `is_late`: a younger one has gone before it."""

    batch: OfferedBatch
    record: ChangeRecord
    is_late: bool


class TimeOrder:
    """The order of time over the shards of one mapping. Shape: `floor_us` is the time of the youngest change
    that has gone, before as well. Units: wait_ms is the bound on waiting.
    """

    def __init__(self, wait_ms: int, floor_us: int = 0) -> None:
        self._wait_ms = wait_ms
        self.floor_us = floor_us
        self._batches: list[OfferedBatch] = []
        self._frontiers: dict[Place, int] = {}
        self._gone_ms: dict[Place, int] = {}
        """When the last batch of each shard had gone."""
        self._unfinished: Collection[Place] | None = None
        self._failing: dict[Place, int] = {}
        """The sequence numbers of changes that are to be offered again."""

    @property
    def is_failing(self) -> bool:
        """Whether everything waits for a change that failed."""
        return bool(self._failing)

    def know(self, unfinished: Collection[Place] | None) -> None:
        """Take note of the shards that may bring something yet. Shape: None: that is not known now."""
        self._unfinished = unfinished
        if unfinished is not None:
            for place in [place for place in self._failing if place not in unfinished]:
                del self._failing[place]
            for place in [place for place in self._frontiers if place not in unfinished]:
                del self._frontiers[place]
                self._gone_ms.pop(place, None)

    def offer(self, place: Place, records: Sequence[ChangeRecord], now: Now) -> OfferedBatch:
        """A shard brings its next changes, in its own order."""
        batch = OfferedBatch(place, records, now.monotonic_ms)
        self._batches.append(batch)
        newest_us = max(record.created_us for record in records)
        self._frontiers[place] = max(self._frontiers.get(place, 0), newest_us)
        if records[0].sequence >= self._failing.get(place, 0):
            self._failing.pop(place, None)
        return batch

    def next(self, now: Now) -> ReleasedChange | None:
        """The change whose turn it is; None: one has to be waited for. Asked again it is the same, until it
        has gone or failed.
        """
        if self._failing or not self._batches:
            return None
        batch = min(self._batches, key=_key)
        is_late = batch.first.created_us < self.floor_us
        if not is_late and now.monotonic_ms < self._due_ms(batch):
            return None
        return ReleasedChange(batch, batch.first, is_late)

    def _due_ms(self, batch: OfferedBatch) -> int:
        """When the first change of a batch waits no longer. Units: monotonic."""
        if self._unfinished is None:
            return batch.offered_ms + self._wait_ms
        # Of a shard that offers something its own first change is younger, or it is this one.
        silent = set(self._unfinished).difference(other.place for other in self._batches)
        waited_for = [place for place in silent if not self._has_passed(place, batch)]
        since_ms = [max(batch.offered_ms, self._gone_ms.get(place, 0)) for place in waited_for]
        return max(since_ms) + self._wait_ms if since_ms else batch.offered_ms

    def _has_passed(self, place: Place, batch: OfferedBatch) -> bool:
        """Whether a shard that offers nothing now can bring nothing before the first change of a batch."""
        at_us, frontier_us = batch.first.created_us, self._frontiers.get(place, -1)
        return frontier_us > at_us or (frontier_us == at_us and place > batch.place)

    def gone(self, released: ReleasedChange, now: Now) -> None:
        """It was handled."""
        self.floor_us = max(self.floor_us, released.record.created_us)
        released.batch.next += 1
        if released.batch.is_over:
            self._batches.remove(released.batch)
            self._gone_ms[released.batch.place] = now.monotonic_ms

    def failed(self, released: ReleasedChange, now: Now, *, comes_again: bool) -> None:
        """It was not: the rest of its batch is withdrawn. Shape: `comes_again` unless it was given up."""
        self.withdraw(released.batch)
        self._gone_ms[released.batch.place] = now.monotonic_ms
        if comes_again:
            self._failing[released.batch.place] = released.record.sequence

    def withdraw(self, batch: OfferedBatch) -> None:
        """Whoever offered it has left. Repeatable."""
        if batch in self._batches:
            self._batches.remove(batch)

    def wake_ms(self) -> int | None:
        """When the next change has waited for as long as it may. Units: monotonic."""
        if self._failing or not self._batches:
            return None
        return self._due_ms(min(self._batches, key=_key))


def _key(batch: OfferedBatch) -> TimeKey:
    return batch.key
