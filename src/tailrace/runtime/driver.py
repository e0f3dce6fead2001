"""Drives one machine: what it commands is done, what came of it is its next input.

Rules of this file: no decision about records; every command is a task of one group, every task ends in one completion. The
machine alone retries. Called by runtime/worker.py.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import assert_never

from tailrace.errors import DamagedData, InternalError, LeaseLost, PortError
from tailrace.mapping.commands import (
    CheckpointDone,
    CheckpointFailed,
    Command,
    Completion,
    Invoke,
    InvokeDone,
    Park,
    ParkDone,
    ParkFailed,
    Read,
    ReadFailed,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)  # fmt: skip
from tailrace.mapping.commands import LeaseLost as LeaseLostInput
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import (
    Batch,
    Clock,
    Failure,
    FailureKind,
    Shard,
    Sink,
    StreamRef,
    Written,
)
from tailrace.runtime.attempting import attempt, unavailable
from tailrace.runtime.attempts import Attempts
from tailrace.runtime.evacuation import KeptReads
from tailrace.runtime.failures import FailureLog
from tailrace.runtime.parking import Parker
from tailrace.runtime.settle import Settler
from tailrace.runtime.tally import Tally
from tailrace.telemetry import PointReached, pass_by

_log = logging.getLogger("tailrace.handlers")


class Driver:
    """One mapping in one shard, running. Shape: `machine` may be looked at; `progress_ms` is monotonic."""

    def __init__(
        self, machine: ShardMachine, reads: KeptReads, sink: Sink, settler: Settler, parker: Parker, clock: Clock, *,
        shard: Shard, stream: StreamRef, mapping_id: str, run: str = "", reached: PointReached = pass_by,
        tally: Tally | None = None, has_destination: bool = False, table: str = "", name: str = "",
    ) -> None:  # fmt: skip
        self.machine = machine
        self._damaged = 0
        self.shard = shard
        self.name = name or mapping_id
        self.table = table
        self.progress_ms = clock.now().monotonic_ms
        self._reads = reads
        self._sink = sink
        self._settler = settler
        self._parker = parker
        self._clock = clock
        self._stream = stream
        self._mapping_id = mapping_id
        self._run = run
        self._tally = tally or Tally()
        self._has_destination = has_destination
        self._reached = reached
        self.attempts = Attempts(clock)
        self._failures = FailureLog(mapping_id, table, shard.shard_id, clock, name)
        self._inputs: asyncio.Queue[Completion] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._waking: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> Sequence[Batch]:
        """What the sink is at work on."""
        return self.attempts.under_way

    def tell(self, completion: Completion) -> None:
        """Give the machine an input that nobody asked for."""
        self._inputs.put_nowait(completion)

    def stop(self) -> None:
        """Drain: start nothing new, save, end."""
        self.tell(Stop())

    async def run(self, start: Start) -> bool:
        """Run to the end. Returns: whether the shard is finished."""
        self.tell(start)
        async with asyncio.TaskGroup() as tasks:
            while True:
                completion = await self._inputs.get()
                commands = self.machine.step(completion, self._clock.now())
                if isinstance(completion, CheckpointDone):
                    self.progress_ms = self._clock.now().monotonic_ms
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

    @staticmethod
    def _cancel(task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()

    def _do(self, command: Command, tasks: asyncio.TaskGroup) -> None:
        match command:
            case Read():
                self._reading = tasks.create_task(self._read(command))
            case Invoke():
                tasks.create_task(self._invoke(command))
            case Park():
                tasks.create_task(self._park(command))
            case SaveCheckpoint():
                tasks.create_task(self._save(command))
            case Wake(at_ms):
                self._cancel(self._waking)
                self._waking = tasks.create_task(self._wake(at_ms))
            case Stopped():
                raise InternalError("Stopped ends the loop")
            case _:
                assert_never(command)

    async def _read(self, command: Read) -> None:
        try:
            done = await self._reads.read(self._mapping_id, self.shard, command.after, command.limit)
        except PortError as error:
            self._note_damage(error)
            self.tell(ReadFailed(unavailable(error)))
            return
        self._reached("read.done")
        self._tally.polled += len(done.records)
        self.tell(done)

    def _note_damage(self, error: PortError) -> None:
        """What cannot get better by itself is said once for each place, however often it is tried."""
        if isinstance(error, DamagedData) and error.sequence != self._damaged:
            self._damaged = error.sequence
            _log.error("%s waits: %s", self._mapping_id, error.args[0], extra={"hint": error.hint})

    async def _invoke(self, command: Invoke) -> None:
        batch = Batch(
            command.records, self._mapping_id, self._stream, self.shard.shard_id, command.attempt,
            f"{self._run}-{command.request:x}", window=command.window,
        )  # fmt: skip
        self._reached("invoke.begun")
        self.attempts.begun(command.id, batch)
        try:
            outcome = await attempt(self._sink, batch)
        finally:
            self.attempts.ended(command.id)
        self.attempts.came_to(batch, outcome)
        if not isinstance(outcome, Written):
            self._failures.failed(batch, outcome)
        self.tell(InvokeDone(command.id, outcome))

    async def _park(self, command: Park) -> None:
        try:
            is_free = await self._parker.park(command)
        except LeaseLost:
            self.tell(LeaseLostInput())
            self.tell(ParkFailed(command.id, Failure(FailureKind.UNAVAILABLE, "the lease is lost")))
        except PortError as error:
            self.tell(ParkFailed(command.id, unavailable(error)))
        else:
            if not is_free:
                self.attempts.parked([each.record for each in command.entries])
                self._failures.parked(command.entries)
            self.tell(ParkDone(command.id, is_free))

    async def _save(self, command: SaveCheckpoint) -> None:
        try:
            await self._settler.save(command)
        except LeaseLost:
            self.tell(LeaseLostInput())
        except PortError as error:
            self.tell(CheckpointFailed(unavailable(error)))
        else:
            self.attempts.settled(command.checkpoint.watermark, command.checkpoint.ranges)
            self._failures.given_up(command.given_up, command.windows)
            self._failures.settled(command.settled)
            self._tally.settled(command.settled, has_destination=self._has_destination)
            self.tell(CheckpointDone())

    async def _wake(self, at_ms: int) -> None:
        await self._clock.sleep_until(at_ms)
        self.tell(Woken())
