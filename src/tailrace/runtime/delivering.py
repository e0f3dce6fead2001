"""What is done with each command of a machine, as steps that end in the machine's next inputs.

Rules of this file: pure; one generator a command, and none retries: a port's failure is a completion, and so is a lost lease. An interpreter needs
nothing else to run a machine: it performs `steps(command)` beside everything else, feeds what that returns to `machine.step`, and has no part in what
is durable before what. Called by runtime/driver.py, and by whatever plays a driver.
"""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from tailrace.errors import LeaseLost, PortError
from tailrace.mapping.commands import (
    CheckpointDone,
    CheckpointFailed,
    Completion,
    Invoke,
    InvokeDone,
    Park,
    ParkDone,
    ParkFailed,
    Read,
    ReadDone,
    ReadFailed,
    SaveCheckpoint,
)
from tailrace.mapping.commands import LeaseLost as LeaseLostInput
from tailrace.mapping.outcomes import Failure, FailureKind, Outcome
from tailrace.ports import Batch, Shard, StreamRef
from tailrace.runtime.attempting import unavailable
from tailrace.runtime.kept import Kept
from tailrace.runtime.parking import park
from tailrace.runtime.settle import Settling
from tailrace.runtime.steps import ReadShard, Steps, WriteBatch

Asked: TypeAlias = Read | Invoke | Park | SaveCheckpoint
"""Commands that ask something of a port. Wake and Stopped are the interpreter's own."""


class Delivery:
    """One mapping in one shard, under one lease. Shape: `kept` is what was saved of the shard from the trim."""

    def __init__(self, shard: Shard, stream: StreamRef, kept: Kept, settling: Settling) -> None:
        self.shard = shard
        self.stream = stream
        self.settling = settling
        self._kept = kept

    def steps(self, command: Asked) -> Steps[Sequence[Completion]]:
        """Do what a machine asks for. Returns: its next inputs. Raises nothing of a port's."""
        match command:
            case Invoke():
                return self._invoke(command)
            case Read():
                return self._read(command)
            case SaveCheckpoint():
                return self._save(command)
            case Park():
                return self._park(command)
            case _:
                assert_never(command)

    def batch(self, command: Invoke) -> Batch:
        """What the sink is given."""
        place = self.settling.place
        return Batch(
            command.records, place.mapping_id, self.stream, self.shard.shard_id, command.attempt,
            f"{place.run}-{command.request:x}", window=command.window,
        )  # fmt: skip

    def _invoke(self, command: Invoke) -> Steps[Sequence[Completion]]:
        outcome: Outcome = yield WriteBatch(self.batch(command))
        return (InvokeDone(command.id, outcome),)

    def _read(self, command: Read) -> Steps[Sequence[Completion]]:
        try:
            if self._kept.has_after(command.after):
                done = yield from self._kept.read(command.after, command.limit)
            elif 0 < command.after < self.shard.first - 1 and self.shard.before is None:
                # It came further in what went before, and of that nothing is left: the source does not know how much there was.
                done = ReadDone([], self.shard.first - 1, trimmed=True)
            else:
                done = yield ReadShard(self.shard, command.after, command.limit)
                if done.trimmed and self._kept.has_after(command.after):
                    # It was saved while the stream was asked, which forgot it before it answered: that is no gap.
                    done = yield from self._kept.read(command.after, command.limit)
        except PortError as error:
            return (ReadFailed(unavailable(error)),)
        return (done,)

    def _save(self, command: SaveCheckpoint) -> Steps[Sequence[Completion]]:
        try:
            yield from self.settling.save(command)
        except LeaseLost:
            return (LeaseLostInput(),)
        except PortError as error:
            return (CheckpointFailed(unavailable(error)),)
        return (CheckpointDone(),)

    def _park(self, command: Park) -> Steps[Sequence[Completion]]:
        settling = self.settling
        try:
            is_free = yield from park(settling.place, settling.fence, command, settling.code_version)
        except LeaseLost:
            failure = Failure(FailureKind.UNAVAILABLE, "the lease is lost")
            return LeaseLostInput(), ParkFailed(command.id, failure)
        except PortError as error:
            return (ParkFailed(command.id, unavailable(error)),)
        return (ParkDone(command.id, is_free),)
