"""Saves from the trim what a mapping has not handled, and lets it be read as the beginning of its shard.

Theory of operation. At every round a worker learns what is saved by now, and saves what is due in the shards
that are its to save, as `lead_share` has it. Two may do so at once, and each goes on behind what it knew when
it asked: a faster worker is noticed by the condition of the write, and read before the next try. Where the
oldest change that waits is not due yet, the next rounds do not ask the source for it again.
Rules of this file: steps, nothing is waited for here; what is copied, and when, is decided by
deadletters/core/evacuated.py and by ages; a page at a time, so that memory stays flat; what fails is tried
again at the next round. The stream of a mapping in order="lane" expires as Lambda has it, and is not copied.
Performed by worker/rounds.py. Source: growth §2.10.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.deadletters.core.evacuated import (
    LEAD_MS,
    Evacuation,
    copied,
    ended,
    lead_ms,
    read_evacuation,
)
from tailrace.errors import StateConflict
from tailrace.leases.checkpoint import Range, read_checkpoint
from tailrace.ports import Shard, StreamRef
from tailrace.rows.kinds import EVACUATION, words_of
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.steps import AskTime, Get, Peek, QueryRows, Steps, Transact
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.streams.shards import in_order

PAGE: Final = 90
"""Changes in one transaction: a state store takes a hundred rows."""
PAGE_BYTES: Final = 3_000_000
"""And no more than so many bytes, as far as a change alone is no larger."""
MEASURED: Final = 1_000
"""After so many changes the rate of copying says something."""
PATIENCE_MS: Final = 5_000
"""How long a read may wait: a shard that has nothing yet looks like a source that is slow to answer."""
MOST_CONFLICTS: Final = 10
"""So often in a row another worker may be faster before the next round tries again."""

Names: TypeAlias = tuple[str, str, str]
"""A mapping, a stream's label, and a shard's id."""
Followed: TypeAlias = Sequence[tuple[StreamRef, Sequence[Shard]]]
"""Streams, the oldest first, with their shards, parents first."""


ReadWhere: TypeAlias = Literal["here", "elsewhere", "nowhere"]
"""By whom a shard is read: this worker has its lease, another one that lives, or none."""


def lead_share(where: ReadWhere, *, has_duty: bool) -> int | None:
    """Which part of the time before the trim a worker takes to save a shard: 1 all of it, 2 half of it; None:
    the shard is not its to save.

    Shape:   `has_duty`: of all workers it is the one that sees to what is not read.
    Guarantee: whatever the others do, the worker with the duty looks at every shard: at one that is read
               elsewhere late enough that nothing is left there as long as its owner does its part.

    >>> lead_share("here", has_duty=False), lead_share("nowhere", has_duty=True)
    (1, 1)
    >>> lead_share("elsewhere", has_duty=True), lead_share("elsewhere", has_duty=False)
    (2, None)
    """
    if where == "here":
        return 1
    if not has_duty:
        return None
    return 1 if where == "nowhere" else 2


class Unfinished(Struct, frozen=True):
    """A shard that a mapping is not done with."""

    place: MappingShard
    stream: StreamRef
    shard: Shard


class Evacuator:
    """What is saved for the mappings of one app, as far as one worker knows. Shape: `begins` is told of a
    shard of which something is saved from now on.
    """

    def __init__(
        self,
        app: str,
        retention_ms: int,
        lead: int = LEAD_MS,
        begins: Callable[[Unfinished], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._retention_ms = retention_ms
        self._lead_ms = lead
        self._begins = begins
        self._changes: dict[Names, SavedChanges] = {}
        self._oldest: dict[Names, tuple[int, int]] = {}
        """What was not due when the source was asked: after which record, and when the next one was
        written.
        """

    def load(self) -> Steps[None]:
        """Learn what is saved by now, whichever worker saved it. What changes here while the rows are read is
        newer than these. Raises: StoreError.
        """
        before = {names: changes.evacuation for names, changes in self._changes.items()}
        rows: list[StateRow] = yield QueryRows(EVACUATION.prefix(self._app))
        there: dict[Names, Evacuation] = {}
        for row in rows:
            mapping_id = words_of(row.key)[2]
            saved = read_evacuation(self._app, mapping_id, row.fields)
            there[mapping_id, saved.stream[1], saved.shard.shard_id] = saved
        for names in there.keys() | before.keys():
            changes = self.of(*names)
            if changes.evacuation is before.get(names):
                changes.hold(there.get(names))

    def of(self, mapping_id: str, stream_label: str, shard_id: str) -> SavedChanges:
        """What is saved for a mapping in a shard."""
        return self._changes.setdefault((mapping_id, stream_label, shard_id), SavedChanges())

    def added(self, mapping_ids: Sequence[str], followed: Followed) -> Followed:
        """What is followed, and the shards that only what was saved for these mappings still knows; streams
        and shards in their order.
        """
        there = [
            saved
            for (mapping_id, _, _), changes in self._changes.items()
            if (saved := changes.evacuation) is not None and mapping_id in mapping_ids
        ]
        if not there:
            return followed
        streams = {
            stream.label: (stream, {shard.shard_id: shard for shard in shards}) for stream, shards in followed
        }
        for saved in there:
            arn, label, view_type, region = saved.stream
            stream = StreamRef(arn, saved.table, label, view_type, region, generation=saved.generation)
            streams.setdefault(label, (stream, {}))[1].setdefault(saved.shard.shard_id, saved.shard)
        return [(stream, in_order(shards.values())) for _, (stream, shards) in sorted(streams.items())]

    def save(self, unfinished: Unfinished, share: int = 1) -> Steps[int]:
        """Copy what is about to be trimmed, and forget what was handled since. Returns: how many were copied.
        Raises: PortError.

        Shape:   `share` 2 begins half as early before the trim.

        Guarantee: of several workers that save at once each goes on behind what the others have saved; so
                   does one that has not heard that it had saved something.
        """
        begun: Now = yield AskTime()
        now, first_ms, count, conflicts, has_forgotten = begun, 0, 0, 0, False
        while True:
            horizon_ms = now.wall_ms - self._retention_ms + self._lead_ms // share
            try:
                if not has_forgotten:
                    yield from self._forget(unfinished)
                has_forgotten = True
                copies = yield from self._copy_a_page(unfinished, horizon_ms)
            except StateConflict:
                conflicts += 1
                if conflicts == MOST_CONFLICTS:
                    raise
                yield from self.load()
                continue
            if not copies:
                return count
            conflicts, count, first_ms = 0, count + len(copies), first_ms or copies[0].created_ms
            now = yield AskTime()
            if count >= MEASURED:
                elapsed_ms = now.monotonic_ms - begun.monotonic_ms
                self._lead_ms = lead_ms(self._retention_ms, copies[-1].created_ms - first_ms, elapsed_ms)

    def _copy_a_page(self, unfinished: Unfinished, horizon_ms: int) -> Steps[list[ChangeRecord]]:
        """Save the next changes that were written before a moment. Returns: those changes; none when there
        are none yet.

        What is handled counts from its durable checkpoint on: until then a crash would ask the stream for it
        again. That a machine's own read waits there tells nothing: it may hang, and never hear of what
        follows.
        """
        names = _names(unfinished)
        if unfinished.shard.created_ms >= horizon_ms:
            return []
        row: StateRow | None = yield Get(unfinished.place.checkpoint_key)
        changes = self.of(*names)
        saved = changes.evacuation
        after = _position(unfinished.shard, saved, row)
        if after is None or self._is_too_young(names, after, horizon_ms):
            return []
        page: ReadDone | None = yield Peek(unfinished.shard, after, PAGE, PATIENCE_MS)
        if page is None:
            return []
        old = _leading(page.records, horizon_ms)
        if page.records and not old:
            self._oldest[names] = after, page.records[0].created_ms
        is_end = page.closed and len(old) == len(page.records)
        if not old and not is_end:
            return []
        # What was known before the source was asked is the base: what another worker has saved since is no
        # gap, and conflicts.
        now_saved, writes = copied(
            saved or _nothing(unfinished, after),
            after,
            old,
            closed=is_end,
            trimmed=page.trimmed,
            through=old[-1].sequence if old and not is_end else max(after, page.next_after),
            shard=unfinished.shard,
        )
        yield Transact(tuple(writes))
        # A closed shard is kept although nothing of it waits: its children must know it, or they would begin
        # before its parents.
        changes.hold(now_saved)
        if old and saved is None:
            self._begins(unfinished)
        return old

    def _is_too_young(self, names: Names, after: int, horizon_ms: int) -> bool:
        """Whether it is known that nothing after a position was written before a moment."""
        known_after, created_ms = self._oldest.get(names, (after + 1, 0))
        return known_after <= after and created_ms >= horizon_ms

    def _forget(self, unfinished: Unfinished) -> Steps[None]:
        """Remove what the checkpoint covers. A closed shard's rows go when all of it is done: its source may
        know it no more.
        """
        changes = self.of(*_names(unfinished))
        saved = changes.evacuation
        if saved is None:
            return
        row: StateRow | None = yield Get(unfinished.place.checkpoint_key)
        watermark, _, is_finished = _read(row)
        last = saved.key_after(watermark)
        while True:
            rows: list[StateRow] = yield QueryRows(saved.prefix, limit=PAGE)
            spare = [row.key for row in rows if row.key <= last]
            if spare:
                yield Transact(tuple(Write(key, None) for key in spare))
            if len(spare) < PAGE:
                break
        if is_finished or (not saved.closed and watermark >= saved.through):
            yield Transact((ended(saved),))
            changes.hold(None)


def _read(row: StateRow | None) -> tuple[int, tuple[Range, ...], bool]:
    return read_checkpoint(None if row is None else row.fields)


def _position(shard: Shard, saved: Evacuation | None, row: StateRow | None) -> int | None:
    """Where the next changes that may have to be saved begin; None: there are none."""
    watermark, _, is_finished = _read(row)
    if is_finished or (saved is not None and saved.closed):
        return None
    after = shard.first - 1 if row is None else watermark
    return after if saved is None else max(after, saved.through)


def _names(unfinished: Unfinished) -> Names:
    return unfinished.place.mapping_id, unfinished.stream.label, unfinished.shard.shard_id


def _nothing(unfinished: Unfinished, after: int) -> Evacuation:
    stream, place = unfinished.stream, unfinished.place
    return Evacuation(
        place.app,
        place.mapping_id,
        place.table,
        (stream.arn, stream.label, stream.view_type, stream.region),
        unfinished.shard,
        after,
        after,
        generation=stream.generation,
    )


def _leading(records: Sequence[ChangeRecord], before_ms: int) -> list[ChangeRecord]:
    """The first records that are older than this, as many as one transaction takes."""
    leading: list[ChangeRecord] = []
    size = 0
    for record in records:
        size += len(record.old or b"") + len(record.new or b"")
        if record.created_ms >= before_ms or (leading and size > PAGE_BYTES):
            break
        leading.append(record)
    return leading
