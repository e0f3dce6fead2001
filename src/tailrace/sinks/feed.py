"""A handler of an aggregate's events: it is given them by their versions, 1, 2, 3 …, each once.

Theory of operation: in front of the handler's own sink stands what judges each event
(aggregates/core/sequencing.py) by the last one that was handled, a mark of the run `feed`. An event that was
handled is passed over; one that comes too early waits, uses up no attempt and says what it waits for. When
the handler has returned, the mark is written: between the two a crash repeats it.
Rules of this file: batches in, outcomes out; the handler's own sink does the rest. Made by making.py.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final

import orjson
from msgspec.structs import replace

from tailrace.aggregates.core.sequencing import FeedEvent, Hole, verdict
from tailrace.errors import InternalError, StateConflict
from tailrace.leases.checkpoint import mark_key, mark_write
from tailrace.ports import (
    Clock,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    RecordBatch,
    Sink,
    StateStore,
    Written,
)
from tailrace.runtime.attempts import Tally
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import FIRST_GENERATION, Version, row_version

FEED: Final = "feed"
AGAIN_MS: Final = 1_000
"""How soon an event that waits for another is looked at again, at first."""


class FeedSink:
    """The sink of a handler of events. Shape: `sort_key` is the attribute with the version, `name` that of
    its marks.
    """

    def __init__(
        self, sink: Sink, state: StateStore, clock: Clock, name: str, sort_key: str, tally: Tally
    ) -> None:
        self._sink = sink
        self._state = state
        self._clock = clock
        self._name = name
        self._sort_key = sort_key
        self._tally = tally

    async def open(self, clock: Clock) -> None:
        """Open the handler's sink."""
        await self._sink.open(clock)

    def close(self) -> Awaitable[None]:
        """As `ports.Sink.close`."""
        return self._sink.close()

    async def write(self, batch: RecordBatch) -> Outcome:
        """Give the handler what is next. Raises: StoreError when marks cannot be read or written."""
        events = [self._event(record) for record in batch.records]
        last = await self._marks(batch)
        before = dict(last)
        now_ms = self._clock.now().wall_ms
        given: list[int] = []
        failures: dict[int, Failure] = {}
        stopped: set[bytes] = set()
        for index, (record, event) in enumerate(zip(batch.records, events, strict=True)):
            if record.key in stopped:
                continue
            judged = verdict(last[record.key], event, now_ms)
            if isinstance(judged, Hole):
                stopped.add(record.key)
                failures[index] = _waiting(self._words(record), event, judged)
            elif judged == "handled":
                self._tally.suppressed += 1
            else:
                given.append(index)
                last[record.key] = event.version
        failures |= await self._given(batch, given)
        await self._mark(batch, events, given, failures, before)
        return Failed(failures) if failures else Written()

    async def _given(self, batch: RecordBatch, given: Sequence[int]) -> dict[int, Failure]:
        """What the handler says of these. Returns: failures by their places in the whole batch."""
        if not given:
            return {}
        outcome = await self._sink.write(replace(batch, records=[batch.records[index] for index in given]))
        match outcome:
            case Written():
                return {}
            case Failed(failures, None):
                return {given[place]: failure for place, failure in failures.items()}
            case Failed(_, whole) if whole is not None:
                return {given[0]: whole} | dict.fromkeys(given[1:], whole)
        raise InternalError(f"a handler of single events answered {outcome}")

    async def _mark(
        self,
        batch: RecordBatch,
        events: Sequence[FeedEvent],
        given: Sequence[int],
        failures: dict[int, Failure],
        before: dict[bytes, int | None],
    ) -> None:
        """Write how far the handler is: of each aggregate, up to its first failure."""
        handled: dict[bytes, int] = {}
        first = {batch.records[index].key: index for index in sorted(failures, reverse=True)}
        for index in given:
            key = batch.records[index].key
            if index < first.get(key, len(events)):
                handled[key] = events[index].version
        at_ms = self._clock.now().wall_ms
        await asyncio.gather(
            *(
                self._write(self._key(batch, key), Version(FIRST_GENERATION, version), at_ms)
                for key, version in handled.items()
                if version > (before[key] or 0)
            )
        )

    async def _write(self, key: str, version: Version, at_ms: int) -> None:
        try:
            await self._state.transact([mark_write(key, version, at_ms)])
        except StateConflict:
            return  # another worker, which has taken the shard, is as far or further

    async def _marks(self, batch: RecordBatch) -> dict[bytes, int | None]:
        """The last event that was handled, by aggregate; None: not known."""
        keys = list(dict.fromkeys(record.key for record in batch.records))
        rows = await asyncio.gather(*(self._state.get(self._key(batch, key)) for key in keys))
        versions = [None if row is None else row_version(row.fields) for row in rows]
        return {
            key: None if version is None else version.sequence
            for key, version in zip(keys, versions, strict=True)
        }

    def _key(self, batch: RecordBatch, key: bytes) -> str:
        return mark_key(self._name, FEED, batch.stream.table, key)

    def _event(self, record: ChangeRecord) -> FeedEvent:
        item = orjson.loads(record.new or b"{}")
        sort = item.get(self._sort_key) or orjson.loads(record.keys)[self._sort_key]
        previous_ms = item.get("previous_ms", {"N": "0"})
        return FeedEvent(int(sort["S"].rpartition("#")[2]), int(previous_ms["N"]))

    def _words(self, record: ChangeRecord) -> str:
        keys = orjson.loads(record.keys)
        return next(str(value["S"]) for name, value in keys.items() if name != self._sort_key)


def _waiting(aggregate: str, event: FeedEvent, hole: Hole) -> Failure:
    return Failure(
        FailureKind.EARLY,
        f"event {event.version} of {aggregate} waits: event {hole.version} has not come; it is parked or "
        f"on its way "
        "in another shard (`tailrace dlq ls` shows what is parked)",
        retry_after_ms=AGAIN_MS,
    )
