"""What a test asks a world: what was delivered, what is behind, what was lost, what was given up.

Rules of this file: answers in plain values, read from what is durable and from the notes beside the handlers;
nothing is changed. The part of `World` that a test reads.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tailrace.app.app import App, HandlerMapping
from tailrace.app.change import Change
from tailrace.app.operations import DeadLetters
from tailrace.app.projected import Projected
from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.errors import SettingsError
from tailrace.ports import Failure, Sink
from tailrace.runtime.watermark import HandlerPosition, MappingName, positions
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing.faults import Faults
from tailrace.testing.journal import KEPT, Journal
from tailrace.testing.keeping import ALERTS, KeptWrites, Sent
from tailrace.testing.looking import Looking, kept_of
from tailrace.testing.observing import WorldObserver
from tailrace.views.at_once import at_once
from tailrace.views.gaps import gap_age_ms, open_gaps
from tailrace.views.reading import ViewSources
from tailrace.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class TrimmedRecords:
    """Records that a handler never saw, because they were trimmed before.

    Shape:   sequence numbers, inclusive.
    Units:   from_ms, until_ms since the epoch: all of them were written between the two; None: not known.
    """

    handler: str
    shard_id: str
    first: int
    last: int
    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Discarded:
    """A change that a handler was given up on."""

    change: Change[Any]
    condition: str
    attempts: int
    error: str
    traceback: str


@dataclass(slots=True)
class QuestionedWorker:
    """An app, its worker, and the task in which the worker runs."""

    app: App
    worker: Worker
    task: asyncio.Task[None]

    def is_asked(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a verb with these arguments is about a handler or a projection of this app."""
        names = {mapping.projection.id for mapping in self.app.mappings if mapping.projection is not None}
        asked = arguments.get("projection")
        return arguments.get("handler") in self.worker.sinks or asked in {
            *names,
            *(f"{self.app.name}/{name}" for name in names),
        }


class Questions:
    """An engine, the workers on it and their notes, asked."""

    engine: Engine
    clock: ManualClock
    seed: int
    _running: list[QuestionedWorker]
    _observer: WorldObserver
    _kept: KeptWrites | None
    _looking: Looking
    _faults: Faults
    _journal: Journal
    _archives: dict[str, MemoryArchive]
    _last_open: MappingName | None = None

    @property
    def struck(self) -> list[str]:
        """The injected faults that struck so far, by the names of their occasions, in order."""
        return list(self._faults.struck)

    @property
    def strikes(self) -> str:
        """How often each asked fault struck, over all blocks of `faults`: 'duplicates 3, crash 0'."""
        counted: dict[str, int] = {}
        for block in self._faults.blocks:
            for kind, count in block.items():
                counted[kind] = counted.get(kind, 0) + count
        return ", ".join(f"{kind} {count}" for kind, count in counted.items())

    def only(self, occasions: Collection[str]) -> None:
        """Let none but these occasions strike: how a failure is made small. `struck` names them."""
        self._faults.only = frozenset(occasions)

    @property
    def moment(self) -> datetime:
        """The present in this world, in UTC."""
        return datetime.fromtimestamp(self.clock.now().wall_ms / 1_000, UTC)

    def events(self, count: int = KEPT) -> list[str]:
        """The last things that happened, with their virtual times."""
        return self._journal.lines(count)

    def lag(self) -> int:
        """Age of the oldest change that some handler has not settled, or lost in an open gap; 0: none.

        Units:   milliseconds.
        """
        now_ms = self.clock.now().wall_ms
        waiting = [
            now_ms - position.oldest.created_ms for position in self._open_positions() if position.oldest
        ]
        reading = ViewSources(
            state_of(self.engine),
            EmbeddedLog(self.engine),
            self.clock,
            None,
            self.engine.settings.retention_ms,
        )
        gaps = [at_once(open_gaps(reading.state, name)) for name in self._mappings()]
        lost = [age for handler_gaps in gaps if (age := gap_age_ms(reading, handler_gaps)) is not None]
        return max(waiting + lost, default=0)

    def gaps(self) -> list[TrimmedRecords]:
        """The open gaps: what was trimmed before handlers came to it, unless it was acknowledged."""
        return [
            TrimmedRecords(
                name.handler, gap.shard_id, gap.first, gap.last, gap.from_ms or None, gap.until_ms or None
            )
            for name in self._mappings()
            for gap in at_once(open_gaps(state_of(self.engine), name))
        ]

    def late(self, window: Callable[..., Any] | str) -> int:
        """How many changes came after their window was closed for good, and are in none.

        Raises:  SettingsError when it is no window.
        """
        app, mapping = self._named(window)
        worker = next(running.worker for running in self._running if running.app is app)
        late_counts = [windows.late for windows in worker.windows if windows.owner.mapping_id == mapping.id]
        if not late_counts:
            raise SettingsError(f"{mapping.id!r} is no window: only changes of a window come too late")
        return late_counts[0]

    def delivered(self, handler: Callable[..., Any] | str) -> list[Any]:
        """The keys of the changes whose effect a handler applied, in that order, repeats included.

        With a mark (`once=True`, `change.transaction`) the durable mark says so, whatever died around it;
        without one, that the handler returned.
        """
        return [change.key for change in self._observer.notes(self._named(handler)[1].id).delivered]

    def failures(self, handler: Callable[..., Any] | str) -> list[Failure]:
        """How attempts of a handler failed, the last failure of each change."""
        app, mapping = self._named(handler)
        self._looking.look(self.engine, app, mapping.id)
        return list(self._observer.notes(mapping.id).failures.values())

    def sent(self, handler: Callable[..., Any] | Sink | str) -> list[Sent]:
        """What the sink of a handler would have sent, in order, and what its on-failure destination would
        have been told; nothing has left.

        Shape:   `to` is the queue, topic, bus, table, bucket or address, `body` what it says, decoded,
                 `request` the whole entry. A sink without a handler is named by itself or its id:
                 `world.sent("orders.Sqs")`. A message twice if it would have been sent twice.
        Raises:  SettingsError when the sinks of this world are real.
        """
        if self._kept is None:
            raise SettingsError(
                "sent: the sinks of this world are real, so nothing of what they send is kept"
            )
        return self._kept.of(self._named(handler)[1].id)

    def archive(self, place: str) -> MemoryArchive:
        """What `app.archive(table, place)` has kept in this world. Raises: SettingsError for a place that
        nothing was kept in, or when the sinks of this world are real.
        """
        if self._kept is None or place not in self._archives:
            there = ", ".join(sorted(self._archives)) or "none"
            raise SettingsError(
                f"archive: nothing is kept in {place!r} in this world; places that have something: {there}"
            )
        return self._archives[place]

    def alerts(self) -> list[Sent]:
        """What the sinks of `app.alerts` would have been told, in order; nothing has left. Time must pass for
        an alert to begin, and to end: `world.advance("20m")`.

        Raises:  SettingsError when the sinks of this world are real.
        """
        if self._kept is None:
            raise SettingsError(
                "alerts: the sinks of this world are real, so nothing of what they send is kept"
            )
        return self._kept.of(ALERTS)

    def dead_letters(self, handler: Callable[..., Any] | str) -> list[Discarded]:
        """The changes that were given up on, parked ones too, in the order of their sequence numbers.

        What only waits behind a parked change was not given up on: `dlq` has both.
        """
        app, mapping = self._named(handler)
        self._looking.look(self.engine, app, mapping.id)
        letters = [letter for letter in kept_of(self.engine, app, mapping.id) if not letter.is_waiting]
        letters.sort(key=lambda letter: letter.record.sequence)
        return [
            Discarded(
                Change(letter.record, mapping.table.name, None if letter.is_of_window else mapping.entity),
                letter.condition,
                letter.attempts,
                letter.error,
                letter.traceback,
            )
            for letter in letters
        ]

    def dlq(self, handler: Callable[..., Any] | str) -> DeadLetters:
        """The dead letters of a handler, as `app.dlq` has them: `world.dlq(receipt).redrive()`."""
        app, mapping = self._named(handler)
        self._looking.look(self.engine, app, mapping.id)
        return app.dlq(mapping.id)

    def projected(self, projection: Callable[..., Any] | str) -> Projected:
        """What a projection says now, as `app.projected` has it: `world.projected(sales)["NL"]`."""
        app = next(
            (
                running.app
                for running in self._running
                for mapping in running.app.mappings
                if mapping.projection is not None and projection in (mapping.target, mapping.projection.id)
            ),
            None,
        )
        if app is None:
            raise SettingsError(
                f"{projection!r} is no projection of this world", hint="world.use(app) runs an app"
            )
        return app.projected(projection)

    def _named(self, handler: Callable[..., Any] | Sink | str) -> tuple[App, HandlerMapping]:
        for running in self._running:
            for mapping in running.app.mappings:
                if handler in (mapping.id, mapping.target):
                    return running.app, mapping
        raise SettingsError(f"{handler!r} is no handler of this world", hint="world.use(app) runs an app")

    def _mappings(self) -> list[MappingName]:
        return [
            MappingName(running.app.name, mapping.id, mapping.table.source)
            for running in self._running
            for mapping in running.app.mappings
        ]

    def _open_positions(self) -> list[HandlerPosition]:
        return at_once(self._look_for_open_positions())

    async def _look_for_open_positions(self) -> list[HandlerPosition]:
        state, log = state_of(self.engine), EmbeddedLog(self.engine)
        return [place async for place in positions(state, log, self._mappings()) if place.oldest is not None]

    async def _is_settled(self) -> bool:
        is_busy = any(status.in_flight for running in self._running for status in running.worker.status())
        is_building = any(
            (running.worker.projector is not None and running.worker.projector.is_busy)
            or (running.worker.snapshots is not None and running.worker.snapshots[0].is_busy)
            for running in self._running
        )
        if is_busy or is_building or self.engine.destinations.deliveries.is_busy:
            return False
        state, log = state_of(self.engine), EmbeddedLog(self.engine)
        # Asked after each step of time: what was open then is asked first, for it mostly still is.
        mappings = sorted(self._mappings(), key=lambda name: name != self._last_open)
        async for place in positions(state, log, mappings, first_only=True):
            if place.oldest is not None:
                self._last_open = place.mapping
                return False
        for running in self._running:
            for windows in running.worker.windows:
                if await windows.is_busy():
                    return False
        return True

    def _unsettled(self, words: str) -> str:
        lines = [f"not settled after {words} (seed {self.seed}):"]
        for position in self._open_positions():
            record = position.oldest
            assert record is not None
            mapping, change = position.mapping, Change(record, position.mapping.table)
            notes = self._observer.notes(mapping.handler)
            failure = notes.failures.get(record.sequence)
            reason = "it was never given to the handler" if failure is None else failure.error
            lines.append(
                f"  {mapping.handler} ← {change.event_name} {mapping.table}/{change.key}: "
                f"{notes.attempts[record.sequence]} attempts, {reason}"
            )
        lines += [
            f"  {status.mapping_id} in {status.shard_id}: {status.blocked}"
            for running in self._running
            for status in running.worker.status()
            if status.blocked
        ]
        lines += [
            f"  {one.table} into {one.stream_arn}: its oldest change waits for {one.oldest_ms} ms"
            for one in self.engine.destinations.deliveries.standing()
            if one.oldest_ms
        ]
        return "\n".join(lines)
