"""The holding stage of one shard: records wait here until the order of their items' changes is known.

Theory of operation. Records of a source that delivers again and out of order come in as they were read, and
go out to the flow in the order of their item, each once. What goes on from its item's chain (chain.py) goes
out at once; what belongs behind a change that is not there waits for it, as long as the bound of disorder.
The bound is of the *shard's time*: the latest time at which anything read was written, and what the machine
has listened since without hearing anything. So a backlog is read without waiting, and a quiet shard goes on.
A change that waited in vain goes out, and the hole before it is told. What is older than a change that went
out is a duplicate when it equals one that is remembered, else it is late: it is given up, whole, as a dead
letter. `waits_always` holds every change for the bound: images that come again (A, B, A) can hide that
something is missing in between, and only time tells.

A chain's row (`ChainRow`) says where an item's chain has come to with what is *settled*: it goes out with the
checkpoint that passes these records, or before. Behind a first change that is not settled the row stays;
later ones that are settled are in it as *ahead*, for a checkpoint may pass them: they take part in the chain
again without going out. At the end of a
shard the missing change may come in a child: what waits is *carried* over in its item's row, and the shard
that loads the row goes on with it.
Rules of this file: no clock, no waiting: time is told. A record is settled by the machine, never here. Called
by intake.py. Source: growth §6, decision 92.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import takewhile
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.mapping.chain import (
    Link,
    earliest,
    is_before,
    late_rank,
    link_of,
    longest,
    rank,
    slot_of,
    trail,
)
from tailrace.mapping.chained_item import ChainedItem, ChainRow, WaitingChange
from tailrace.streams.record import MILLISECOND, ChangeRecord

MOST_REMEMBERED: Final = 1_000
"""Settled changes of one item that a duplicate is known by; what equals an older one counts as late."""


class ChainHole(Struct, frozen=True):
    """Changes of an item that did not come: between the last of its chain, and one that does not go on from
    it. Units: after_us, before_us since the epoch, when these two were written.
    """

    key: bytes
    after: int
    before: int
    after_us: int
    before_us: int


class Judged(Struct):
    """What came of some records. Shape: `ready` go to the flow, in this order; `duplicates`, `unchanged` and
    `carried` are done with, and so are `repeated`, duplicates of shards that are over; `late` are to be given
    up.
    """

    ready: list[ChangeRecord] = field(default_factory=list)
    duplicates: list[ChangeRecord] = field(default_factory=list)
    repeated: list[ChangeRecord] = field(default_factory=list)
    unchanged: list[ChangeRecord] = field(default_factory=list)
    carried: list[ChangeRecord] = field(default_factory=list)
    late: list[ChangeRecord] = field(default_factory=list)
    holes: list[ChainHole] = field(default_factory=list)


def _written(waiting: WaitingChange) -> int:
    return waiting.link.created_us


class HoldingStage:
    """The records of one shard whose order is not known. Units: disorder_ms of the shard's time."""

    def __init__(self, disorder_ms: int, *, most: int, waits_always: bool = False) -> None:
        self._disorder_us = disorder_ms * MILLISECOND
        self._most = most
        self._waits_always = waits_always
        self._items: dict[bytes, ChainedItem] = {}
        self._open: dict[int, ChainedItem] = {}
        """By the number of each record that went out and is not settled."""
        self._due: list[tuple[int, int, WaitingChange, bytes]] = []
        self._serial = 0
        self._quiet: deque[tuple[int, bytes]] = deque()
        """When an item may be forgotten, and which, in the order in which they were settled."""
        self._changed: dict[bytes, None] = {}
        self._now_us = 0
        self._times: deque[tuple[int, int]] = deque()
        """The latest time of what was read up to a number, where that rises, above the durable watermark."""
        self._durable = self._durable_us = 0
        """The watermark of the last checkpoint, and the latest time of what this worker has read up to it:
        nothing is forgotten that what is read after a crash may repeat.
        """
        self._over: set[int] = set()
        """The numbers of records of shards that are over."""
        self.waiting = 0
        """How many records wait."""

    # ---- what comes in -------------------------------------------------------------------------------------

    def load(self, rows: Iterable[tuple[bytes, ChainRow]]) -> Judged:
        """Take over what is kept of the chains in this shard."""
        judged, waiting = Judged(), list[tuple[ChainedItem, Link, ChangeRecord | None]]()
        for key, row in rows:
            item = self._items[key] = ChainedItem(key, row.partition, deque(row.links), has_row=True)
            for link in row.links:
                item.learn(link)
            item.ahead = {link.number: link for link in row.ahead}
            item.carried = {record.sequence: record for record in row.carried}
            self._over.update(item.carried)
            waiting += [(item, link, None) for link in row.ahead]
            waiting += [(item, link_of(record), record) for record in row.carried]
            self._now_us = max(self._now_us, *(link.created_us for link in row.links), 0)
        self._now_us = max(self._now_us, *(link.created_us for _, link, _ in waiting), 0)
        for item, link, record in waiting:  # for the bound from now on: what comes before it may be unread
            self._wait(item, link, record)
        for item in self._items.values():
            self._touch(item)
            self._drain(item, judged)
        return judged

    @property
    def carried(self) -> int:
        """How many records of shards that are over are not settled."""
        return len(self._over)

    @property
    def in_flow(self) -> int:
        """How many records went out that are not settled."""
        return len(self._open)

    def last_settled(self, key: bytes) -> int:
        """The rank of the last change of an item that its row has; 0: none is known."""
        item = self._items.get(key)
        settled = 0 if item is None else len(item.links) - len(item.open)
        return 0 if item is None or not settled else rank(item.links[settled - 1].slot, key)

    @property
    def has_news(self) -> bool:
        """Whether a row is not as it is kept."""
        return bool(self._changed)

    def is_carried(self, record: ChangeRecord) -> bool:
        """Whether it is of a shard that is over: the position in this one says nothing of it."""
        return record.sequence in self._over and record.sequence in self._open

    def hold(self, records: Sequence[ChangeRecord], elapsed_ms: int = 0) -> Judged:
        """Take records as they were read, without those that an earlier worker has settled: the rows know
        them. Units: so long the machine had listened for them.
        """
        judged, come_to_us = Judged(), self._now_us + elapsed_ms * MILLISECOND
        for record in records:
            if record.created_us > (self._times[-1][1] if self._times else self._durable_us):
                self._times.append((record.sequence, record.created_us))
            self._now_us = max(self._now_us, record.created_us)
            self._take(record, judged)
        if self.waiting:
            self._now_us = max(self._now_us, come_to_us)
        self._release_due(judged)
        return judged

    def listened(self, elapsed_ms: int) -> Judged:
        """So long the machine has listened, and has heard nothing."""
        judged = Judged()
        if self.waiting:
            self._now_us += elapsed_ms * MILLISECOND
            self._release_due(judged)
        return judged

    def relieve(self) -> Judged:
        """Let go of what is due next, for there is no room for what it waits for."""
        judged = Judged()
        if self._next_due_us is not None:
            self._release_next(judged)
        return judged

    def close(self) -> Judged:
        """Nothing will come in this shard: what waits is carried over to those that continue it."""
        judged = Judged()
        for item in self._items.values():
            for waiting in item.waiting:
                number = waiting.link.number
                if number in item.carried or number in item.ahead:
                    continue
                if waiting.record is None:
                    item.ahead[number] = waiting.link
                else:
                    item.carried[number] = waiting.record
                    judged.carried.append(waiting.record)
                self._changed[item.key] = None
            self.waiting -= len(item.waiting)
            item.waiting.clear()
            item.arrived.clear()
        self._due.clear()
        return judged

    @property
    def due_in_ms(self) -> int | None:
        """How much longer the machine has to listen until something is due; None: nothing waits."""
        due_us = self._next_due_us
        return None if due_us is None else max(0, -(-(due_us - self._now_us) // MILLISECOND))

    @property
    def _next_due_us(self) -> int | None:
        """Dates of records that wait no more are forgotten."""
        while self._due:
            if not self._due[0][2].is_gone:
                return self._due[0][0]
            heappop(self._due)
        return None

    # ---- one record ----------------------------------------------------------------------------------------

    def _take(self, record: ChangeRecord, judged: Judged) -> None:
        link = link_of(record)
        item = self._items.get(record.key)
        if item is None:
            item = self._items[record.key] = ChainedItem(record.key, record.partition)
        item.position = max(item.position, record.sequence)
        self._touch(item)
        if link.changes_nothing:
            judged.unchanged.append(record)
        elif item.knows(link):
            judged.duplicates.append(record)
        elif item.links and is_before(link, item.links[-1]):
            if item.has_equal(link):
                judged.duplicates.append(record)
            else:
                judged.late.append(replace(record, rank=late_rank(link, item.key)))
        else:
            self._wait(item, link, record)
            self._drain(item, judged)

    def _wait(self, item: ChainedItem, link: Link, record: ChangeRecord | None) -> None:
        # What was written before it has a time that is at most a millisecond later.
        due_us = max(link.created_us + MILLISECOND, self._now_us) + self._disorder_us
        waiting = WaitingChange(link, record, due_us)
        insort(item.waiting, waiting, key=_written)
        item.arrived.append(waiting)
        item.learn(link)
        self.waiting += 1
        self._serial += 1
        heappush(self._due, (due_us, self._serial, waiting, item.key))

    # ---- what goes out -------------------------------------------------------------------------------------

    def _drain(self, item: ChainedItem, judged: Judged) -> None:
        """Let everything go out that goes on from the chain."""
        while item.waiting and not (self._waits_always and not self._is_due(item)):
            following = self._following(item)
            if following is None:
                return
            self._go(item, following, judged)

    def _following(self, item: ChainedItem) -> WaitingChange | None:
        """What goes on from the chain. Where nothing does, what equals a settled change may be a duplicate:
        it keeps nothing later from going on.
        """
        first = self._first_of(item, item.waiting)
        return first or self._first_of(item, [one for one in item.waiting if not item.has_equal(one.link)])

    def _first_of(self, item: ChainedItem, candidates: Sequence[WaitingChange]) -> WaitingChange | None:
        """The first of the earliest of these that goes on from the chain; the first change of an item that
        nothing is known of is accepted as it is.
        """
        first = earliest(one.link for one in candidates)
        if item.links:
            places = trail(item.links[-1].new, first)
        else:  # what was settled, or waited in a shard that is over, had something before it
            fresh = [one.link for one in candidates[: len(first)] if one.record is not None]
            begins = [link for link in fresh if link.number not in self._over]
            places = longest([one.link for one in candidates], begins)
        return candidates[places[0]] if places else None

    def _is_due(self, item: ChainedItem) -> bool:
        """Whether everything has come that belongs before the earliest: so it is when something later has
        waited long enough.
        """
        return item.arrived[0].due_us <= self._now_us

    def _take_out(self, item: ChainedItem, waiting: WaitingChange) -> None:
        """It waits no more."""
        waiting.is_gone = True
        item.waiting.remove(waiting)
        self.waiting -= 1
        while item.arrived and item.arrived[0].is_gone:
            item.arrived.popleft()

    def _go(self, item: ChainedItem, waiting: WaitingChange, judged: Judged) -> None:
        self._take_out(item, waiting)
        slot = slot_of(waiting.link, item.links[-1] if item.links else None)
        item.links.append(replace(waiting.link, slot=slot))
        number = waiting.link.number
        item.open.append(number)
        if waiting.record is None:
            item.done.add(number)
            self._advance(item)
        else:
            self._open[number] = item
            judged.ready.append(replace(waiting.record, rank=rank(slot, item.key)))
        passed = takewhile(lambda one: is_before(one.link, waiting.link), item.waiting)
        for other in [one for one in passed if item.has_equal(one.link)]:
            self._is_duplicate(item, other, judged)
        self._trim(item)
        self._touch(item)

    def _release_due(self, judged: Judged) -> None:
        """Let go of what has waited for its bound, and of the oldest where too many wait."""
        while (due_us := self._next_due_us) is not None:
            if due_us > self._now_us and self.waiting <= self._most:
                return
            self._release_next(judged)

    def _release_next(self, judged: Judged) -> None:
        item = self._items[self._due[0][3]]
        following = self._following(item)
        if following is not None:
            self._go(item, following, judged)
        else:
            self._go_on_after_hole(item, judged)
        self._drain(item, judged)

    def _go_on_after_hole(self, item: ChainedItem, judged: Judged) -> None:
        known = next((one for one in item.waiting if item.has_equal(one.link)), None)
        if known is not None:
            self._is_duplicate(item, known, judged)
            return
        links = [waiting.link for waiting in item.waiting]
        last, waiting = item.links[-1] if item.links else None, item.waiting[longest(links, links)[0]]
        self._go(item, waiting, judged)
        if last is None:
            return
        after, before = (rank(link.slot, item.key) for link in (last, item.links[-1]))
        judged.holes.append(ChainHole(item.key, after, before, last.created_us, waiting.link.created_us))

    def _is_duplicate(self, item: ChainedItem, waiting: WaitingChange, judged: Judged) -> None:
        """It was not known for one as long as something could come before it."""
        self._take_out(item, waiting)
        item.forget(waiting.link)
        number, record = waiting.link.number, waiting.record
        if item.carried.pop(number, None) or item.ahead.pop(number, None):
            self._changed[item.key] = None
        if record is not None:
            (judged.repeated if number in self._over else judged.duplicates).append(record)
        self._over.discard(number)
        self._touch(item)

    # ---- what is settled -----------------------------------------------------------------------------------

    def settle(self, records: Iterable[ChangeRecord]) -> None:
        """These came to an end; of those that never went out nothing is noted."""
        for record in records:
            item = self._open.pop(record.sequence, None)
            if item is None:
                continue
            item.done.add(record.sequence)
            item.carried.pop(record.sequence, None)
            self._over.discard(record.sequence)
            if item.open[0] != record.sequence:  # a checkpoint may pass it before its chain's row does
                item.ahead[record.sequence] = link_of(record)
            self._changed[item.key] = None
            self._advance(item)
            self._touch(item)

    def _advance(self, item: ChainedItem) -> None:
        """The row goes on over everything that is settled up to the first that is not."""
        while item.open and item.open[0] in item.done:
            number = item.open.popleft()
            item.done.discard(number)
            item.ahead.pop(number, None)
            self._changed[item.key] = None

    def _trim(self, item: ChainedItem) -> None:
        """Remember what a duplicate within the bound may equal, or what is read again after a crash; the last
        settled change in any case.
        """
        horizon_us = self._durable_us - self._disorder_us
        while len(item.links) - len(item.open) > 1:
            if item.links[0].created_us >= horizon_us and len(item.links) <= MOST_REMEMBERED:
                return
            item.forget(item.links.popleft())

    def _touch(self, item: ChainedItem) -> None:
        """It is remembered for the bound of disorder from now on."""
        if item.touched_us != self._now_us:
            item.touched_us = self._now_us
            self._quiet.append((self._now_us + self._disorder_us, item.key))

    # ---- what is kept --------------------------------------------------------------------------------------

    def save(self) -> dict[bytes, ChainRow | None]:
        """The rows that are not as they are kept, to be durable with the next checkpoint or before; None for
        one that is not needed any more.
        """
        self._forget()
        changed, self._changed = self._changed, {}
        rows: dict[bytes, ChainRow | None] = {}
        for key in changed:
            item = self._items.get(key)
            rows[key] = None if item is None else item.row()
            if item is not None:
                item.has_row = True
        return rows

    def saved(self, watermark: int) -> None:
        """A checkpoint is durable: nothing up to its watermark is read again."""
        self._durable = watermark
        while self._times and self._times[0][0] <= watermark:
            self._durable_us = self._times.popleft()[1]

    def not_saved(self, rows: Iterable[bytes]) -> None:
        """These may be as they were."""
        self._changed.update(dict.fromkeys(rows))

    def _forget(self) -> None:
        """Let go of items that nothing can come of any more that belongs before their last change: not while
        a crash would read a record of them again.
        """
        while self._quiet and self._quiet[0][0] < self._durable_us:
            due_us, key = self._quiet[0]
            item = self._items.get(key)
            if item is not None and item.touched_us + self._disorder_us == due_us:
                if item.position > self._durable:
                    return
                if not (item.waiting or item.open or item.carried or item.ahead):
                    del self._items[key]
                    if item.has_row:
                        self._changed[key] = None
            self._quiet.popleft()
