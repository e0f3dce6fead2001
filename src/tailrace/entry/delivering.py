"""One batch, every handler: the machine of each over the records, and what is answered to Lambda.

Theory of operation: every handler of the table gets a machine of its own over the batch, as a worker gives
it one over a shard, and the same driver. A machine ends when everything is handled, filtered, parked or given
up; it is told to stop when the time of the invocation is nearly used up, and when nothing is under way any
more but waiting for longer than is worth it. The answer names the first change that some handler is not done
with, so that Lambda goes on from there: nothing at all where each is done, which is nearly always.
What a handler is at work on is waited for, beyond all time: an answer while its thread goes on would let
Lambda send the next batch beside it. Then Lambda ends the process, and sends the batch again.
Rules of this file: no decision about records but the answer. Called by handler.py. Source: growth §3.4,
semantics §2.6.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.mapping import HandlerMapping
from tailrace.entry.events import EventSource, Incoming, read_event
from tailrace.entry.fitness import PATIENCE_MS, STATE, fitted
from tailrace.entry.keeping import Announcing, EventDelivery, EventSettling
from tailrace.entry.sandbox import Sandbox
from tailrace.errors import PortError, SettingsError
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.commands import Completion, ParkKey, Start
from tailrace.mapping.reader import Budget
from tailrace.mapping.retry import FREE
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Clock, Failed, FailedFrom, Failure, Outcome, RecordBatch, Sink
from tailrace.runtime.attempting import attempt
from tailrace.runtime.delivering import Asked, MappingShard
from tailrace.runtime.driver import Driver, Performer
from tailrace.runtime.failures import words_of
from tailrace.runtime.reading import SharedReads
from tailrace.runtime.starting import checkpoint_of, load_start

LOG: Final = logging.getLogger("tailrace.handlers")
RESERVE_MS: Final = 1_000
"""What is left of an invocation's time for the last writes and the answer: at most half of it."""
LOOK_MS: Final = 50
GRACE_MS: Final = 2_000
"""How long a machine that was told to stop may still try to write down what is settled."""


class Done(Struct, frozen=True):
    """How far one handler came. Shape: `left_from` is the place of the first record that it is not done with,
    None when there is none; `done` are the places of records with which it is.
    """

    mapping_id: str
    left_from: int | None
    done: Sequence[int] = ()


class BatchAnswer(Struct, frozen=True):
    """What came of a batch. Shape: `left_from` is the sequence number from which Lambda is to go on, None
    when all of it is done.
    """

    left_from: str | None = None

    def value(self) -> dict[str, Any]:
        """As an event source mapping with ReportBatchItemFailures reads it."""
        failures = [] if self.left_from is None else [{"itemIdentifier": self.left_from}]
        return {"batchItemFailures": failures}


async def deliver(sandbox: Sandbox, event: Any, remaining_ms: int, ancestry: str = "") -> BatchAnswer:
    """Hand a batch to every handler of its table. Units: remaining_ms, what is left of the invocation's time.

    Shape:   `ancestry`: the handlers that the invocation descends from, where its caller said so.
    Raises:  SettingsError for an event that is not of the app, and then no handler was called.
    """
    received = read_event(sandbox.app, event)
    if received is None:
        return BatchAnswer()
    mine = [mapping for mapping in sandbox.mappings if mapping.table.source == received.table.name]
    if not mine:
        raise SettingsError(
            f"no handler of this function is of table {received.table.name!r}: its records are not handled, "
            "so they are refused",
            hint="remove the event source mapping, or name a handler of the table in TAILRACE_HANDLERS",
        )
    time = InvocationTime(sandbox.parts.clock.now().monotonic_ms, remaining_ms)
    try:
        incoming = await sandbox.numbered(received.descended(ancestry))
    except PortError as error:
        LOG.error("the batch is left to Lambda: %s", error.args[0], extra={"hint": error.hint})
        return BatchAnswer(received.identifiers[0])
    runs = [HandlerRun(sandbox, incoming, mapping, time) for mapping in mine]
    ends = await _all_of(runs)
    left = min((end.left_from for end in ends if end.left_from is not None), default=None)
    if left is None:
        return BatchAnswer()
    for end in ends:  # what comes again is not handled again where it need not be
        again = [incoming.records[place].source_id for place in end.done if place >= left]
        sandbox.note_handled(end.mapping_id, again)
    return BatchAnswer(incoming.identifiers[left])


async def _all_of(runs: "Sequence[HandlerRun]") -> "list[Done]":
    """What all of them come to; when one of them raises, after the others have ended. Raises: what it
    raises.
    """
    ends = await asyncio.gather(*(run.run() for run in runs), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return [end for end in ends if isinstance(end, Done)]


class InvocationTime(Struct, frozen=True):
    """The time of one invocation. Units: milliseconds; begun_ms monotonic."""

    begun_ms: int
    remaining_ms: int

    @property
    def _reserve_ms(self) -> int:
        return min(RESERVE_MS, self.remaining_ms // 2)

    @property
    def patience_ms(self) -> int:
        """How long failing changes are waited for."""
        return min(PATIENCE_MS, (self.remaining_ms - self._reserve_ms) // 2)

    @property
    def patient_ms(self) -> int:
        """Until when they are."""
        return self.begun_ms + self.patience_ms

    @property
    def last_ms(self) -> int:
        """Until when a last attempt begins of what failed before that: no wait is longer than the
        patience.
        """
        return self.patient_ms + self.patience_ms

    @property
    def stop_ms(self) -> int:
        """From when nothing new begins."""
        return self.begun_ms + self.remaining_ms - self._reserve_ms

    @property
    def answer_ms(self) -> int:
        """When it is answered at the latest, unless a handler is at work."""
        return self.stop_ms + self._reserve_ms * 3 // 4


class HandlerRun:
    """One handler over one batch."""

    def __init__(
        self, sandbox: Sandbox, incoming: Incoming, mapping: HandlerMapping, time: InvocationTime
    ) -> None:
        self._sandbox = sandbox
        self._incoming = incoming
        self._mapping = mapping
        self._time = time
        self._clock: Clock = sandbox.parts.clock
        shard, stream, name = incoming.shard, incoming.stream, mapping.id
        self._place = MappingShard(
            sandbox.app.name, name, mapping.table.name, stream.label, shard.shard_id,
            generation=stream.generation, run=f"{incoming.identifiers[0]}-{time.begun_ms:x}",
        )  # fmt: skip
        known = [
            record.sequence for record in incoming.records if sandbox.has_handled(name, record.source_id)
        ]
        ranges = tuple((sequence, sequence) for sequence in known)
        self._begun = CheckpointRow(watermark=shard.first - 1, ranges=ranges)
        announced = None if mapping.destination is None else Announcing(self._clock)
        self._settling = EventSettling(self._place, self._begun, sandbox.code(name), announced)
        self._delivery = EventDelivery(shard, stream, self._settling, keeps=sandbox.keeps)

    async def run(self) -> Done:
        """Run the machine as far as it comes. Raises: InternalError."""
        try:
            start = await self._start()
        except PortError as error:
            LOG.error(
                "%s: the batch is left to Lambda, for what is parked is not known: %s",
                self._mapping.id, error.args[0], extra={"hint": error.hint},
            )  # fmt: skip
            return Done(self._mapping.id, 0)
        driver = self._driver()
        await self._in_time(driver, asyncio.create_task(driver.run(start)))
        done = self._done()
        if done.left_from is not None:
            self._tell(driver, done.left_from)
        return done

    async def _start(self) -> Start:
        if not self._sandbox.keeps:
            return Start(checkpoint_of(self._begun))
        performer = Performer(self._sandbox.parts.state, self._clock)
        steps = load_start(
            self._place, self._incoming.shard, self._begun, self._sandbox.code(self._mapping.id)
        )
        return await performer.perform(steps)

    def _driver(self) -> "EventDriver":
        mapping, stream = self._mapping, self._incoming.stream
        settings = fitted(mapping.settings, keeps=self._sandbox.keeps, patience_ms=self._time.patience_ms)
        machine = ShardMachine(settings.reading(stream.arn, stream.view_type, stream.region))
        sink = PatientSink(self._sandbox.sinks[mapping.id], self._clock, self._time.patient_ms)
        reads, parts = SharedReads(EventSource(self._incoming), Budget(0)), self._sandbox.parts
        return EventDriver(machine, self._delivery, reads, sink, parts, name=mapping.function_name)

    async def _in_time(self, driver: Driver, running: "asyncio.Task[bool]") -> None:
        """Let it run to its end, or to that of the time, as long as a handler is at work."""
        watching = asyncio.create_task(self._stopped_in_time(driver))
        both: list[asyncio.Task[Any]] = [running, watching]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            running.cancel()
            watching.cancel()
            await asyncio.gather(running, watching, return_exceptions=True)

    async def _stopped_in_time(self, driver: Driver) -> None:
        """Return when the driver has been told to stop and cannot, with nothing at the handler."""
        machine, time = driver.machine, self._time
        while (now_ms := self._clock.now().monotonic_ms) < time.stop_ms:
            patient_ms = time.last_ms if machine.retrying_keys else time.patient_ms
            if now_ms >= patient_ms and not machine.in_flight:
                break
            wake_ms = now_ms + LOOK_MS if now_ms >= time.patient_ms else time.patient_ms
            await self._clock.sleep_until(min(wake_ms, time.stop_ms))
        driver.stop()
        ends_ms = min(self._clock.now().monotonic_ms + GRACE_MS, time.answer_ms)
        while machine.in_flight or self._clock.now().monotonic_ms < ends_ms:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + LOOK_MS)

    def _done(self) -> Done:
        settling, left = self._settling, self._delivery.left
        done: list[int] = []
        left_from: int | None = None
        for place, record in enumerate(self._incoming.records):
            if record.sequence not in left and settling.has_settled(record.sequence):
                done.append(place)
            elif left_from is None:
                left_from = place
        return Done(self._mapping.id, left_from, done)

    def _tell(self, driver: Driver, left_from: int) -> None:
        """Say what is left to Lambda, and why."""
        record = self._incoming.records[left_from]
        entry = self._delivery.left.get(record.sequence)
        if entry is not None:
            why = (
                f"it failed {entry.attempts} times ({words_of(entry.failure)}), and nothing can be parked "
                f"without {STATE}=dynamodb:TABLE"
            )
        else:
            why = driver.machine.blocked or "the time of the invocation was used up"
        LOG.error(
            "%s is left to Lambda from %s on: %s. It comes again, with what was handled after it, until the "
            "event source mapping's own attempts and age run out",
            self._mapping.id, self._incoming.identifiers[left_from], why,
            extra={"handler": self._mapping.id, "table": self._mapping.table.name},
        )  # fmt: skip


class PatientSink:
    """A handler's sink: a change that fails when the patience has run out has had its last attempt, however
    many it would have, so that slow handlers have their failing keys parked, too. Units: until_ms monotonic.
    """

    def __init__(self, sink: Sink, clock: Clock, until_ms: int) -> None:
        self._sink = sink
        self._clock = clock
        self._until_ms = until_ms

    async def open(self, clock: Clock) -> None:
        """The sink inside."""
        await self._sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says, for the last time once the patience has run out. Raises: what it raises."""
        outcome = await attempt(self._sink, batch)
        if self._clock.now().monotonic_ms < self._until_ms:
            return outcome
        match outcome:
            case Failed(failures, whole):
                last = {place: _last(failure) for place, failure in failures.items()}
                return Failed(last, None if whole is None else _last(whole))
            case FailedFrom(index, failure):
                return FailedFrom(index, _last(failure), outcome.state)
            case _:
                return outcome

    def close(self) -> Awaitable[None]:
        """The sink inside."""
        return self._sink.close()


def _last(failure: Failure) -> Failure:
    return failure if failure.kind in FREE else replace(failure, final=True)


class EventDriver(Driver):
    """A driver that says of a change that it is parked only where it is."""

    def note(self, command: Asked, completion: Completion) -> None:
        """Tell people, and whoever counts."""
        if isinstance(command, ParkKey) and not self.keeps:
            return
        super().note(command, completion)

    @property
    def keeps(self) -> bool:
        """Whether anything can be parked."""
        return isinstance(self.delivery, EventDelivery) and self.delivery.keeps
