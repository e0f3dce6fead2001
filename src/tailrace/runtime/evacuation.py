"""Saves from the trim what a mapping has not handled, and lets it be read as the beginning of its shard.

Rules of this file: what is copied, and when, is decided by deadletters/evacuated.py and by ages; a page at a time, so that memory stays flat; what fails is
tried again at the next round. The stream of a mapping in order="lane" expires as Lambda has it, and is not copied. Made and run by
runtime/worker.py. Source: growth §2.10.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from tailrace.deadletters.evacuated import (
    LEAD_MS,
    Evacuation,
    copied,
    ended,
    lead_ms,
    read_evacuation,
)
from tailrace.errors import PortError, StateConflict
from tailrace.leases.checkpoint import read_checkpoint
from tailrace.ports import Clock, ReadDone, Shard, Source, StateStore, StreamRef
from tailrace.rows.kinds import EVACUATION, words_of
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import Place
from tailrace.runtime.kept import Kept
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import in_order

LOG: Final = logging.getLogger("tailrace.handlers")
ROUND_MS: Final = 900_000
"""How often it looks: a quarter of an hour, of two hours that there are."""
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
AT_ONCE: Final = 8
"""How many shards are looked at beside each other, so that those which have nothing do not keep the others waiting."""


Names: TypeAlias = tuple[str, str, str]
"""A mapping, a stream's label, and a shard's id."""
Followed: TypeAlias = Sequence[tuple[StreamRef, Sequence[Shard]]]
"""Streams, the oldest first, with their shards, parents first."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A shard that a mapping is not done with."""

    place: Place
    stream: StreamRef
    shard: Shard
    source: Source


class Evacuator:
    """What is saved for the mappings of one app.

    Shape:   `unfinished` tells every shard that a mapping has not finished, those among them that only their rows still know.
    """

    def __init__(
        self, app: str, state: StateStore, clock: Clock, retention_ms: int, lead: int = LEAD_MS
    ) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._retention_ms = retention_ms
        self._kept: dict[Names, Kept] = {}
        self._lead_ms = lead

    async def load(self) -> None:
        """Learn what is saved by now, whichever worker saved it. What changes here while the rows are read is newer than these. Raises: StoreError."""
        before = {names: kept.evacuation for names, kept in self._kept.items()}
        there: dict[Names, Evacuation] = {}
        for row in await self._state.query(EVACUATION.prefix(self._app)):
            mapping_id = words_of(row.key)[2]
            saved = read_evacuation(self._app, mapping_id, row.fields)
            there[mapping_id, saved.stream[1], saved.shard.shard_id] = saved
        for names in there.keys() | before.keys():
            kept = self.of(*names)
            if kept.evacuation is before.get(names):
                kept.hold(there.get(names))

    def of(self, mapping_id: str, stream_label: str, shard_id: str) -> Kept:
        """What is saved for a mapping in a shard."""
        return self._kept.setdefault((mapping_id, stream_label, shard_id), Kept())

    def added(self, mapping_ids: Sequence[str], followed: Followed) -> Followed:
        """What is followed, and the shards that only what was saved for these mappings still knows; streams and shards in their order."""
        there = [
            saved
            for (mapping_id, _, _), kept in self._kept.items()
            if (saved := kept.evacuation) is not None and mapping_id in mapping_ids
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

    async def run(self, unfinished: Callable[[], Awaitable[Sequence[Unfinished]]]) -> None:
        """Look now and then, until cancelled."""
        while True:
            at_once = asyncio.Semaphore(AT_ONCE)
            with suppress(PortError):  # the store is failing: the next round tries again
                await self.load()
            async with asyncio.TaskGroup() as tasks:
                for each in await unfinished():
                    tasks.create_task(self._save(each, at_once))
            await self._clock.sleep_until(self._clock.now().monotonic_ms + ROUND_MS)

    async def _save(self, unfinished: Unfinished, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            try:
                await self.save(unfinished)
            except PortError as error:
                LOG.warning(
                    "%s: changes could not be saved from the trim: %s", unfinished.place.mapping_id, error
                )

    async def save(self, unfinished: Unfinished) -> int:
        """Copy what is about to be trimmed, and forget what was handled since. Returns: how many were copied. Raises: PortError.

        Guarantee: of several workers that save at once each goes on behind what the others have saved; so does one that has not heard that it had saved something.
        """
        begun_ms, first_ms, count = self._clock.now().monotonic_ms, 0, 0
        conflicts, has_forgotten = 0, False
        while True:
            try:
                if not has_forgotten:
                    await self.forget(unfinished)
                has_forgotten = True
                copies = await self._copy_a_page(unfinished)
            except StateConflict:
                conflicts += 1
                if conflicts == MOST_CONFLICTS:
                    raise
                await self.load()
                continue
            conflicts = 0
            if not copies:
                return count
            count += len(copies)
            first_ms = first_ms or copies[0].created_ms
            if count >= MEASURED:
                elapsed_ms = self._clock.now().monotonic_ms - begun_ms
                self._lead_ms = lead_ms(self._retention_ms, copies[-1].created_ms - first_ms, elapsed_ms)

    async def _copy_a_page(self, unfinished: Unfinished) -> list[ChangeRecord]:
        """Save the next changes that are old enough. Returns: those changes; none when there are none yet."""
        after = await self.position(unfinished)
        page = None if after is None else await self.page(unfinished, after)
        return [] if after is None or page is None else await self.copy(unfinished, after, page)

    def _horizon_ms(self) -> int:
        """What was written before this moment is copied."""
        return self._clock.now().wall_ms - self._retention_ms + self._lead_ms

    async def position(self, unfinished: Unfinished) -> int | None:
        """Where the next changes that may have to be saved begin; None: there are none.

        What is handled counts from its durable checkpoint on: until then a crash would ask the stream for it again. That a machine's own read waits there
        tells nothing: it may hang, and never hear of what follows. Raises: StoreError.
        """
        if unfinished.shard.created_ms >= self._horizon_ms():
            return None
        saved = self.of(*_names(unfinished)).evacuation
        row = await self._state.get(unfinished.place.checkpoint_key)
        watermark, _, is_finished = read_checkpoint(None if row is None else row.fields)
        if is_finished or (saved is not None and saved.closed):
            return None
        after = unfinished.shard.first - 1 if row is None else watermark
        return after if saved is None else max(after, saved.through)

    async def page(self, unfinished: Unfinished, after: int) -> ReadDone | None:
        """The next changes after a position; None: there are none yet."""
        now_ms = self._clock.now().monotonic_ms
        reading = asyncio.ensure_future(unfinished.source.read(unfinished.shard, after, PAGE))
        waiting = asyncio.ensure_future(self._clock.sleep_until(now_ms + PATIENCE_MS))
        try:
            await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            waiting.cancel()

    async def copy(self, unfinished: Unfinished, after: int, page: ReadDone) -> list[ChangeRecord]:
        """Save what of a page is old enough. Returns: those changes."""
        kept = self.of(*_names(unfinished))
        old = _leading(page.records, self._horizon_ms())
        is_end = page.closed and len(old) == len(page.records)
        if not old and not is_end:
            return []
        saved, writes = copied(
            kept.evacuation or _nothing(unfinished, after), after, old, closed=is_end, trimmed=page.trimmed,
            through=old[-1].sequence if old and not is_end else max(after, page.next_after), shard=unfinished.shard,
        )  # fmt: skip
        await self._state.transact(list(writes))
        # A closed shard is kept although nothing of it waits: its children must know it, or they would begin before its parents.
        if old and kept.evacuation is None:
            LOG.warning(
                "%s has not handled changes of %s that the stream is about to forget: they are kept until it goes on",
                unfinished.place.mapping_id, unfinished.place.table,
                extra={"handler": unfinished.place.mapping_id, "shard": unfinished.shard.shard_id, "hint": "tailrace status"},
            )  # fmt: skip
        kept.hold(saved)
        return old

    async def forget(self, unfinished: Unfinished) -> None:
        """Remove what the checkpoint covers. A closed shard's rows go when all of it is done: its source may know it no more."""
        kept = self.of(*_names(unfinished))
        saved = kept.evacuation
        if saved is None:
            return
        row = await self._state.get(unfinished.place.checkpoint_key)
        watermark, _, is_finished = read_checkpoint(None if row is None else row.fields)
        last = saved.key_after(watermark)
        while True:
            rows = await self._state.query(saved.prefix, limit=PAGE)
            spare = [row.key for row in rows if row.key <= last]
            if spare:
                await self._state.transact([Write(key, None) for key in spare])
            if len(spare) < PAGE:
                break
        if is_finished or (not saved.closed and watermark >= saved.through):
            await self._state.transact([ended(saved)])
            kept.hold(None)


def _names(unfinished: Unfinished) -> Names:
    return unfinished.place.mapping_id, unfinished.stream.label, unfinished.shard.shard_id


def _nothing(unfinished: Unfinished, after: int) -> Evacuation:
    stream, place = unfinished.stream, unfinished.place
    return Evacuation(
        place.app, place.mapping_id, place.table, (stream.arn, stream.label, stream.view_type, stream.region),
        unfinished.shard, after, after, generation=stream.generation,
    )  # fmt: skip


def _leading(records: Sequence[ChangeRecord], before_ms: int) -> list[ChangeRecord]:
    """The first records that are older than this, as many as one transaction takes."""
    found: list[ChangeRecord] = []
    size = 0
    for record in records:
        size += len(record.old or b"") + len(record.new or b"")
        if record.created_ms >= before_ms or (found and size > PAGE_BYTES):
            break
        found.append(record)
    return found
