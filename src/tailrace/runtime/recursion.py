"""Stops a handler that calls itself: one whose own writes are changes that it is called for again, and again.

Theory of operation: every change knows which handlers it descends from, and how often (streams/ancestry.py).
A handler that is called for a change of its own is warned about once and counted: one that settles is legal.
At `max_generations` of its own in one line of descent the mapping pauses: the change is not handed over and
not passed, so nothing is lost, and a row says why. `tailrace resume` lets the line go on for as many
generations again. Where several handlers answer each change with one, their lines multiply long before one of
them is that long, so it also pauses when far more changes descend from its own than came from elsewhere.
Rules of this file: it stops before the handler is called, durably before the machine hears of it. One guard a
mapping, asked by its drivers; made by worker/worker.py. Source: issue 4; Lambda Developer Guide, "recursive
loop detection" (16, and not for DynamoDB).
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson
from msgspec import Struct

from tailrace.app.app import HandlerMapping
from tailrace.ports import Clock, Failed, Failure, FailureKind, Outcome, RecordBatch, Sink, StateStore
from tailrace.rows.kinds import GENERATIONS, PAUSE
from tailrace.rows.writes import VERSION, Write
from tailrace.streams.ancestry import repeats, times
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import NOTHING, Version

Own: TypeAlias = tuple[int, ChangeRecord]
"""A change that its handler made itself, and the how manieth of its own it is in its line."""
LOG: Final = logging.getLogger("tailrace.handlers")
DEEP: Final = 4
"""From this generation on a change counts for the width of its lines: what settles has settled by then."""
WIDTH: Final = 64
"""So many deep changes for each of `max_generations`, and half of `WIDTH` for each change from elsewhere, are
no loop yet.
"""


class Lines(Struct):
    """The lines of descent of one handler. Shape: changes that come from outside of any loop, and deep ones
    of its own, each counted once: up to `newest`.
    """

    outside: int = 0
    deep: int = 0
    newest: Version = NOTHING

    def add(self, records: Sequence[ChangeRecord], generations: Mapping[int, int]) -> None:
        """It is called for these; `generations` of its own changes by sequence number."""
        for record in records:
            if record.version > self.newest:
                self.newest = record.version
                generation = generations.get(record.sequence, 0)
                self.outside += generation == 0 and not repeats(record.ancestry)
                self.deep += generation >= DEEP

    def multiply(self, bound: int) -> bool:
        """Whether far more descend from its own changes than came from elsewhere."""
        return self.deep > WIDTH * bound + WIDTH // 2 * self.outside


def ancestor_name(app: str, handler: str) -> str:
    """How a handler is called in ancestries: ids are unique only inside an app."""
    return f"{app}.{handler}"


def pause_key(app: str, handler: str) -> str:
    """The row of a mapping that is paused."""
    return PAUSE.key(app, handler)


def generations_key(app: str, handler: str) -> str:
    """The row of how far a mapping may go that was stopped and resumed."""
    return GENERATIONS.key(app, handler)


class Guards:
    """The guards of one app. Shape: `own` counts, by handler, changes that it was called for and had caused
    itself.
    """

    def __init__(self, app: str, state: StateStore, clock: Clock, pause: Callable[[str, int], None]) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._pause = pause
        self._allowed: dict[str, int] = {}
        self.own: dict[str, int] = {}
        self._lines: dict[str, Lines] = {}

    async def load(self) -> None:
        """Learn what was allowed beyond the bound. Raises: StoreError."""
        for row in await self._state.query(GENERATIONS.prefix(self._app)):
            self._allowed[str(row.fields["id"])] = int(row.fields["allowed"])

    async def resumed(self, mapping_id: str) -> None:
        """An operator has let it go on: for as many generations as its row says now. Raises: StoreError."""
        self._lines.pop(mapping_id, None)
        row = await self._state.get(generations_key(self._app, mapping_id))
        if row is not None:
            self._allowed[mapping_id] = int(row.fields["allowed"])

    def around(self, handler: HandlerMapping, sink: Sink) -> "GuardedSink":
        """The sink of a mapping behind its guard."""
        return GuardedSink(self, handler, ancestor_name(self._app, handler.id), sink)

    def allowed(self, handler: HandlerMapping) -> int:
        """How many generations of its own one line of changes may have."""
        bound = handler.settings.max_generations
        return max(bound, self._allowed.get(handler.id, bound))

    def count(self, handler: HandlerMapping, record: ChangeRecord, count: int) -> None:
        """It is called for changes that it made itself."""
        if handler.id not in self.own:
            LOG.warning(
                "%s is called for a change of %s %s that it made itself; if its own changes call it "
                "without end, it is paused after %s of them",
                handler.id,
                handler.table.name,
                shown(record),
                self.allowed(handler),
            )
        self.own[handler.id] = self.own.get(handler.id, 0) + count

    def has_never_answered(self, handler: HandlerMapping) -> bool:
        """Whether it has not been called for a change of its own since it began, or was resumed."""
        return handler.id not in self._lines

    def multiply(self, handler: HandlerMapping, records: Sequence[ChangeRecord], own: Sequence[Own]) -> bool:
        """Whether its own changes multiply, now that it is called for these."""
        lines = self._lines.get(handler.id)
        if lines is None:
            if not own:
                return False
            lines = self._lines[handler.id] = Lines()
        lines.add(records, {record.sequence: generation for generation, record in own})
        return lines.multiply(handler.settings.max_generations)

    async def stop(self, handler: HandlerMapping, record: ChangeRecord, generation: int) -> str:
        """Pause a mapping, durably. Returns: why. Raises: StoreError."""
        bound = handler.settings.max_generations
        lines = self._lines.get(handler.id, Lines())
        cause = (
            f"the change of {shown(record)} is number {generation} in one line of its own changes"
            if generation >= self.allowed(handler)
            else f"{lines.deep:,} changes descend from its own by {DEEP} steps or more, for "
            f"{lines.outside:,} that came from elsewhere"
        )
        held = "that change" if generation >= self.allowed(handler) else f"the change of {shown(record)}"
        reason = (
            f"{handler.id} writes to {handler.table.name}, which it reads, and each write calls it "
            f"again: {cause}. It is paused before {held}; nothing is lost"
        )
        row = pause_row(handler.id, self._clock.now().wall_ms, reason, generation, bound)
        await self._state.transact([Write(pause_key(self._app, handler.id), row)])
        self._pause(handler.id, row["since_ms"])
        LOG.error("%s", reason, extra={"hint": resume_hint(handler.id, bound)})
        return reason


def pause_row(
    handler: str, since_ms: int, reason: str = "", generation: int = 0, bound: int = 0
) -> dict[str, Any]:
    """The row of a paused mapping; with a reason when it was not a person who paused it."""
    row: dict[str, Any] = {"v": VERSION, "id": handler, "since_ms": since_ms}
    return {**row, "reason": reason, "generation": generation, "bound": bound} if reason else row


def resuming(app: str, handler: str, paused: Mapping[str, Any] | None) -> list[Write]:
    """What ends a pause: the row goes, and a mapping that was stopped may go on for as many generations
    again.
    """
    writes = [Write(pause_key(app, handler), None)]
    if paused is not None and "generation" in paused:
        allowed = int(paused["generation"]) + int(paused["bound"])
        writes.append(Write(generations_key(app, handler), {"v": VERSION, "id": handler, "allowed": allowed}))
    return writes


def resume_hint(handler: str, bound: int) -> str:
    """What to do about it."""
    return (
        "change it so that its own writes do not call it (a condition, or where=), then tailrace resume "
        f"{handler}, which lets it go on for {bound} more"
    )


def shown(record: ChangeRecord) -> str:
    """The key of a record, for people.

    >>> shown(ChangeRecord(1, 1, "INSERT", 0, 0, 0, b"", b'{"pk":{"S":"o1"},"sk":{"N":"2"}}'))
    'o1/2'
    """
    keys: dict[str, dict[str, Any]] = orjson.loads(record.keys)
    return "/".join(str(next(iter(value.values()))) for value in keys.values())


class GuardedSink:
    """A sink that is not called for a change too deep in its own line."""

    def __init__(self, guards: Guards, handler: HandlerMapping, name: str, sink: Sink) -> None:
        self._guards = guards
        self._handler = handler
        self._name = name
        self._sink = sink

    async def open(self, clock: Clock) -> None:
        """The sink inside."""
        await self._sink.open(clock)

    def write(self, batch: RecordBatch) -> Coroutine[Any, Any, Outcome]:
        """What the sink says; UNAVAILABLE, which uses up no attempt, when the mapping was stopped. Raises:
        PortError.
        """
        if self._guards.has_never_answered(self._handler) and not [
            record for record in batch.records if record.ancestry
        ]:
            return self._sink.write(batch)  # as nearly always, and then there is nothing to be judged
        return self._write(batch)

    async def _write(self, batch: RecordBatch) -> Outcome:
        own = [
            (generation, record)
            for record in batch.records
            if record.ancestry and (generation := times(record.ancestry, self._name))
        ]
        multiply = self._guards.multiply(self._handler, batch.records, own)
        if own and (stopped := await self._judged(own, multiply=multiply)) is not None:
            return stopped
        return await self._sink.write(batch)

    def close(self) -> Awaitable[None]:
        """The sink inside."""
        return self._sink.close()

    async def _judged(self, own: Sequence[Own], *, multiply: bool) -> Outcome | None:
        generation, record = max(own, key=lambda write: write[0])
        if generation < self._guards.allowed(self._handler) and not multiply:
            self._guards.count(self._handler, record, len(own))
            return None
        reason = await self._guards.stop(self._handler, record, generation)
        return Failed(whole=Failure(FailureKind.UNAVAILABLE, reason))
