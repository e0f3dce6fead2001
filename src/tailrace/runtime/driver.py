"""The interpreter for asyncio: performs steps at the ports, and drives one machine with them.

Theory of operation: everything that the runtime does in steps is carried out by a `Performer`, one call after
the other. A `Driver` is a queue of inputs and a machine: each command is performed in a task of its own, and
what came of it is the machine's next input.
Rules of this file: no decision about records, none about what is durable before what (that is
delivering.py's), and no retry: the machine alone retries. What a port raises goes to the steps, what cancels
goes through. Made by worker/worker.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, assert_never, runtime_checkable

from msgspec import Struct

from tailrace.errors import DamagedData, InternalError, LeaseLost, PortError
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import (
    CheckpointDone,
    CheckpointFailed,
    Command,
    Completion,
    ParkDone,
    ParkKey,
    Read,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.commands import LeaseTaken as LeaseLostInput
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import (
    Clock,
    Outcome,
    RecordBatch,
    Shard,
    Sink,
    StateStore,
    StreamRef,
    TargetPosition,
    Written,
)
from tailrace.runtime.attempting import attempt
from tailrace.runtime.attempts import Attempts
from tailrace.runtime.delivering import Asked, Delivery
from tailrace.runtime.failures import FailureLog
from tailrace.runtime.parts import Parts
from tailrace.runtime.reading import SharedReads
from tailrace.runtime.steps import (
    AskTime,
    Call,
    Concurrently,
    Get,
    Peek,
    PutTargetPosition,
    QueryRows,
    ReadShard,
    ReadTrimHorizon,
    Sleep,
    StampTarget,
    Steps,
    StreamOf,
    Transact,
    WriteBatch,
)
from tailrace.runtime.target_positions import begin
from tailrace.streams.record import ReadDone
from tailrace.telemetry import PointReached, pass_by

T = TypeVar("T")
_log = logging.getLogger("tailrace.handlers")


class ReadSoFar(Struct, frozen=True):
    """How far a reader is, as it knows itself.

    Shape:   `oldest_ms` is when the oldest record was written that was read and is not settled, None: all is
             settled; `come_to_ms` when the last record of the last answer was written, None: no answer yet,
             or one without records.
    Units:   oldest_ms and come_to_ms since the epoch; answered_ms monotonic: of the last answer, else of the
             start.
    """

    oldest_ms: int | None = None
    come_to_ms: int | None = None
    answered_ms: int = 0
    is_reading: bool = False


NOT_READ: Final = ReadSoFar()
NOT_KNOWN: Final = KnownShards()


class Status(Struct, frozen=True):
    """One mapping in one shard at this moment.

    Shape:   `position` is the last record read, `read` what is known of what follows it.
    Units:   last_progress_ms monotonic.
    """

    app: str
    mapping_id: str
    table: str
    shard_id: str
    watermark: int
    in_flight: int
    unsettled: int
    retrying_keys: int
    settled: Mapping[str, int]
    last_progress_ms: int
    blocked: str | None
    parked_keys: int = 0
    paused: bool = False
    attempts: Attempts | None = None
    label: str = ""
    position: int = 0
    read: ReadSoFar = NOT_READ
    unbalanced: int = 0


@runtime_checkable
class TargetPositions(Protocol):
    """The positions in a mapping's target, as `Transactional` has them. Raises: LeaseLost; Unavailable,
    whatever keeps the target from answering.
    """

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard."""

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have a position."""


class AskedTarget(TargetPositions, Protocol):
    """The same, and what it has of all shards."""

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the target has of a mapping, in any order."""


class Driver:
    """One mapping in one shard, running. Shape: `machine` may be looked at; `progress_ms` is monotonic."""

    def __init__(
        self,
        machine: ShardMachine,
        delivery: Delivery,
        reads: SharedReads,
        sink: Sink,
        parts: Parts,
        *,
        target: TargetPositions | None = None,
        name: str = "",
    ) -> None:
        place, clock = delivery.settling.place, parts.clock
        self.machine = machine
        self.delivery = delivery
        self._damaged = 0
        self.shard, self.fence = delivery.shard, delivery.settling.fence
        self.name = name or place.mapping_id
        self.table = place.table
        self.progress_ms = self._answered_ms = clock.now().monotonic_ms
        self._come_to_ms: int | None = None
        self._reads = reads
        self._sink = sink
        self._clock = clock
        self._mapping_id = place.mapping_id
        self._tally = parts.tallies.of(place.mapping_id)
        self._target = target
        self._waits_for: str | None = None
        """Why the target cannot be stamped."""
        self._performer = Performer(parts.state, clock, parts.reached, self, reads.horizon)
        self.attempts = Attempts(clock)
        self._attempted = 0
        self._failures = FailureLog(place.mapping_id, place.table, self.shard.shard_id, clock, name)
        self._inputs: asyncio.Queue[Completion] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._waking: asyncio.Task[None] | None = None

    def status(self, app: str, *, is_paused: bool) -> Status:
        """How it fares at this moment."""
        machine = self.machine
        return Status(
            app,
            self._mapping_id,
            self.table,
            self.shard.shard_id,
            machine.watermark,
            machine.in_flight,
            machine.unsettled,
            machine.retrying_keys,
            machine.totals,
            self.progress_ms,
            self._waits_for or machine.blocked,
            machine.parked_keys,
            is_paused,
            self.attempts,
            self.shard.stream,
            machine.position,
            ReadSoFar(machine.oldest_unsettled_ms, self._come_to_ms, self._answered_ms, machine.is_reading),
            machine.unbalanced,
        )

    @property
    def under_way(self) -> Sequence[RecordBatch]:
        """What the sink is at work on."""
        return self.attempts.under_way

    def tell(self, completion: Completion) -> None:
        """Give the machine an input that answers no command."""
        self._inputs.put_nowait(completion)

    def stop(self) -> None:
        """Drain: start nothing new, save, end."""
        self.tell(Stop())

    async def run(self, start: Start, known: KnownShards = NOT_KNOWN) -> bool:
        """Run to the end. Shape: `known` are the stream's shards. Returns: whether the shard is finished."""
        async with asyncio.TaskGroup() as tasks:
            beginning = None
            if self.delivery.settling.is_transactional:
                beginning = tasks.create_task(self._begin(start, known))
            else:
                self.tell(start)
            while True:
                completion = await self._inputs.get()
                now = self._clock.now()
                commands = self.machine.step(completion, now)
                if isinstance(completion, Stop | LeaseLostInput):
                    self._cancel(beginning)
                if isinstance(completion, CheckpointDone):
                    self.progress_ms = now.monotonic_ms
                if isinstance(completion, Stop | LeaseLostInput):
                    self._cancel(self._reading)
                if self._failures.is_watching:
                    self._failures.waits(self.machine.blocked)
                    if isinstance(completion, CheckpointDone):
                        self._failures.moved()
                for command in commands:
                    if isinstance(command, Stopped):
                        self._cancel(self._reading)
                        self._cancel(self._waking)
                        return command.finished
                    self._do(command, tasks)

    async def _begin(self, start: Start, known: KnownShards) -> None:
        for completion in await self._performer.perform(begin(self.delivery, start, known)):
            self.tell(completion)

    @staticmethod
    def _cancel(task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()

    def _do(self, command: Command, tasks: asyncio.TaskGroup) -> None:
        match command:
            case Wake(at_ms):
                self._cancel(self._waking)
                self._waking = tasks.create_task(self._wake(at_ms))
            case Stopped():
                raise InternalError("Stopped ends the loop")
            case Read():
                self._reading = tasks.create_task(self._carry_out(command))
            case _:
                tasks.create_task(self._carry_out(command))

    async def _carry_out(self, command: Asked) -> None:
        for completion in await self._performer.perform(self.delivery.steps(command)):
            self.note(command, completion)
            self.tell(completion)

    def note(self, command: Asked, completion: Completion) -> None:
        """Log it, and count it."""
        match command, completion:
            case _, ReadDone(records):
                self._tally.polled += len(records)
                self._answered_ms = self._clock.now().monotonic_ms
                self._come_to_ms = records[-1].created_ms if records else None
            case SaveCheckpoint(), CheckpointDone():
                self.attempts.settled(command.checkpoint.watermark, command.checkpoint.ranges)
                self._failures.given_up(command.given_up, command.windows)
                self._failures.settled(command.settled)
                self._failures.missing(command.holes)
                self._tally.settled(command.settled, has_destination=self.delivery.settling.is_announced)
            case SaveCheckpoint(), CheckpointFailed():
                self._tally.unsaved += 1
            case ParkKey(entries=entries), ParkDone(is_free=False):
                self.attempts.parked([entry.record for entry in entries])
                self._failures.parked(entries)

    async def _wake(self, at_ms: int) -> None:
        await self._clock.sleep_until(at_ms)
        self.tell(Woken())

    # ---- what its steps read from and write to -------------------------------------------------------------

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position. Raises: PortError; what cannot get better by itself is said once for each
        place, however often it is tried.
        """
        try:
            return await self._reads.read(self._mapping_id, shard, after, limit)
        except DamagedData as error:
            if error.sequence != self._damaged:
                self._damaged = error.sequence
                _log.error("%s waits: %s", self._mapping_id, error.args[0], extra={"hint": error.hint})
            raise

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take the shard in the target. Raises: LeaseLost; Unavailable, which is told."""
        try:
            position = await self._positions.stamp(mapping_id, stream, shard_id, epoch)
        except LeaseLost:
            raise
        except PortError as error:
            self._waits_for = f"its target does not say where it stands: {error.args[0]}"
            self._failures.waits(self._waits_for)
            raise
        self._waits_for = None
        self._failures.waits(None)
        self._failures.moved()
        had = self.delivery.settling.begun
        if had.target == mapping_id and position.watermark < had.watermark:
            _log.warning(
                "%s: its target stands at %d in %s, and had %d: it was emptied or restored, and what it lost "
                "is read again (tailrace checkpoint show)",
                mapping_id,
                position.watermark,
                self.shard.shard_id,
                had.watermark,
                extra={"handler": mapping_id},
            )
        return position

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have a position. Raises: LeaseLost, Unavailable."""
        await self._positions.put_position(mapping_id, position)

    @property
    def _positions(self) -> TargetPositions:
        if self._target is None:
            raise InternalError(f"{self.name} has no target that owns the checkpoint")
        return self._target

    async def write(self, batch: RecordBatch) -> Outcome:
        """One attempt at the sink; a position alone is none. Raises: LeaseLost, of one with a position."""
        if batch.position is not None and not batch.records:
            return await attempt(self._sink, batch)
        self._attempted = number = self._attempted + 1
        self.attempts.begun(number, batch)
        try:
            outcome = await attempt(self._sink, batch)
        finally:
            self.attempts.ended(number)
        self.attempts.came_to(batch, outcome)
        if not isinstance(outcome, Written):
            self._failures.failed(batch, outcome)
        return outcome


# ---- steps -------------------------------------------------------------------------------------------------


@runtime_checkable
class Delivers(Protocol):
    """What one mapping in one shard reads from and writes to."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position; waits while there are none and the shard is open. Raises: PortError."""

    async def write(self, batch: RecordBatch) -> Outcome:
        """What came of a batch. Raises: LeaseLost, of one with a position."""


class Performer:
    """Performs steps over a state store and a clock; with `delivers` also those that read a shard and write
    to a sink or take it in a target, whichever that does; with `horizon` those that begin there, with `peek`
    those that look beside all of them, with `stream_of` those that put changes back.
    """

    def __init__(
        self,
        state: StateStore,
        clock: Clock,
        reached: PointReached = pass_by,
        delivers: Delivers | TargetPositions | None = None,
        horizon: Callable[[Shard], Awaitable[int]] | None = None,
        peek: Callable[[Peek], Awaitable[ReadDone | None]] | None = None,
        stream_of: Callable[[str], Awaitable[StreamRef]] | None = None,
    ) -> None:
        self._state = state
        self._clock = clock
        self._reached = reached
        # Nothing is the usual, and of it, too, a protocol is asked for each of its names.
        is_given = delivers is not None
        self._delivers = delivers if is_given and isinstance(delivers, Delivers) else None
        self._target = delivers if is_given and isinstance(delivers, TargetPositions) else None
        self._horizon = horizon
        self._peek = peek
        self._stream_of = stream_of

    async def perform(self, steps: Steps[T]) -> T:
        """Carry steps out to their end. Raises: what they raise."""
        try:
            call = next(steps)
            while True:
                try:
                    answer = await self._answer(call)
                except PortError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _answer(self, call: Call) -> Any:
        match call:
            case WriteBatch(batch) if self._delivers is not None:
                self._reached("invoke.begun")
                return await self._delivers.write(batch)
            case ReadShard(shard, after, limit) if self._delivers is not None:
                done = await self._delivers.read(shard, after, limit)
                self._reached("read.done")
                return done
            case StampTarget() if self._target is not None:
                there = await self._target.stamp(call.mapping_id, call.stream, call.shard_id, call.epoch)
                self._reached("target.stamped")
                return there
            case PutTargetPosition(mapping_id, position) if self._target is not None:
                return await self._target.put_position(mapping_id, position)
            case Transact(writes, begun, done):
                if begun:
                    self._reached(begun)
                await self._state.transact(writes)
                if done:
                    self._reached(done)
                return None
            case Get(key):
                return await self._state.get(key)
            case QueryRows(prefix, after, limit):
                return await self._state.query(prefix, after=after, limit=limit)
            case AskTime():
                return self._clock.now()
            case ReadTrimHorizon(shard) if self._horizon is not None:
                return await self._horizon(shard)
            case Peek() if self._peek is not None:
                return await self._peek(call)
            case StreamOf(shard_id) if self._stream_of is not None:
                return await self._stream_of(shard_id)
            case Sleep(until_ms):
                await asyncio.sleep(0)
                return await self._clock.sleep_until(until_ms)
            case Concurrently(steps, beside):
                doing = asyncio.ensure_future(self.perform(beside))
                try:
                    return await self.perform(steps)
                finally:
                    doing.cancel()
            case (
                WriteBatch() | ReadShard() | Peek() | ReadTrimHorizon() | StreamOf()
                | StampTarget() | PutTargetPosition()
            ):  # fmt: skip
                raise InternalError(f"nothing is there for {call}")
            case _:
                assert_never(call)
