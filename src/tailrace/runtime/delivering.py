"""One mapping in one shard under one lease: what is done with each command of its machine, as steps that end
in the machine's next inputs.

Theory of operation: an interpreter needs nothing else to run a machine. It performs `steps(command)` beside
everything else, feeds what that returns to `machine.step`, and has no part in what is durable before what. A
checkpoint's row has the ledger in it, and beside it go dead letters, notices and gaps, all at once or not at
all; a save that carries nothing else is one conditional put. A key is parked before the checkpoint that
passes its records. Everything is conditional on the epoch in the checkpoint's own row, which the taker of
the lease raises before reading anything (starting.py): where that does not hold the lease is lost, and
nothing more is written.
Rules of this file: pure; one generator a command, and none retries: a port's failure is a completion, and so
is a lost lease. Called by runtime/driver.py, and by whatever plays a driver. Source: growth §2.4,
architecture §5.3.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.deadletters.core.gap import Gap
from tailrace.deadletters.core.head import Head, head_key, parked, read_head
from tailrace.deadletters.core.lost_window import LostWindow, lost_window_key
from tailrace.deadletters.core.passed import passed_write, read_passed, watched_write
from tailrace.errors import InternalError, LeaseLost, PortError, StateConflict, Unavailable
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    CheckpointRow,
    Range,
    Reason,
    Window,
    checkpoint_key,
    ledger_key,
)
from tailrace.mapping.commands import (
    CheckpointDone,
    CheckpointFailed,
    Completion,
    GivenUp,
    GivenUpWindow,
    Invoke,
    InvokeDone,
    ParkDone,
    ParkFailed,
    ParkKey,
    Read,
    ReadFailed,
    SaveCheckpoint,
)
from tailrace.mapping.commands import LeaseTaken as LeaseLostInput
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Outcome, Written
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.ports import Action, Now, RecordBatch, Shard, StreamRef, TargetPosition
from tailrace.rows.bounds import SLICE, slices
from tailrace.rows.writes import Check, Equals, StateRow, Write, same_version
from tailrace.runtime.attempting import unavailable
from tailrace.runtime.chain_rows import chain_writes
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.steps import AskTime, Call, Get, ReadShard, Steps, Transact, WriteBatch
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ReadDone
from tailrace.streams.version import FIRST_GENERATION, Version

Asked: TypeAlias = Read | Invoke | ParkKey | SaveCheckpoint
"""Commands that ask something of a port. Wake and Stopped are the interpreter's own."""
MovesTarget: TypeAlias = Callable[[TargetPosition], Steps[None]]


def no_target(position: TargetPosition) -> Steps[None]:
    """What moves a position where the state alone has it. Raises: InternalError."""
    raise InternalError(f"no target has {position}")


MOST_WORDS: Final = 500
"""How much of a failure's words a checkpoint repeats."""


class MappingShard(Struct, frozen=True):
    """Which mapping, in which shard of which stream."""

    app: str
    mapping_id: str
    table: str
    stream_label: str
    shard_id: str
    hashes: Range = EVERY_HASH
    generation: int = FIRST_GENERATION
    """Of the stream."""
    run: str = ""
    """Names this run of the mapping over the shard, so that the requests of two runs have different ids."""

    @property
    def words(self) -> tuple[str, str, str, str]:
        """What names it in rows."""
        return self.app, self.mapping_id, self.stream_label, self.shard_id

    @property
    def checkpoint_key(self) -> str:
        """The row of its checkpoint."""
        return checkpoint_key(self.app, self.mapping_id, self.stream_label, self.shard_id)

    @property
    def ledger_key(self) -> str:
        """The row in which older versions kept its ledger."""
        return ledger_key(self.app, self.mapping_id, self.stream_label, self.shard_id)

    def fence(self, epoch: int) -> Check:
        """What holds as long as no worker has taken the lease after this epoch."""
        return Check(self.checkpoint_key, Equals("epoch", epoch))


class Delivery:
    """One mapping in one shard, under one lease. Shape: `saved` was saved of the shard from the trim."""

    def __init__(self, shard: Shard, stream: StreamRef, saved: SavedChanges, settling: "Settling") -> None:
        self.shard = shard
        self.stream = stream
        self.settling = settling
        self._saved = saved

    def steps(self, command: Asked) -> Steps[Sequence[Completion]]:
        """Do what a machine asks for. Returns: its next inputs. Raises nothing of a port's."""
        match command:
            case Invoke():
                return self._invoke(command)
            case Read():
                return self._read(command)
            case SaveCheckpoint():
                return self._save(command)
            case ParkKey():
                return self._park(command)
            case _:
                assert_never(command)

    def batch(self, command: Invoke) -> RecordBatch:
        """What the sink is given."""
        place = self.settling.place
        return RecordBatch(
            command.records,
            place.mapping_id,
            self.stream,
            self.shard.shard_id,
            command.attempt,
            f"{place.run}-{command.request:x}",
            window=command.window,
        )

    def _invoke(self, command: Invoke) -> Steps[Sequence[Completion]]:
        batch, settling = self.batch(command), self.settling
        position = settling.position_at(command.through)
        try:
            outcome: Outcome = yield WriteBatch(replace(batch, position=position) if position else batch)
        except LeaseLost as error:
            failure = Failure(FailureKind.UNAVAILABLE, str(error))
            return LeaseLostInput(), InvokeDone(command.id, Failed(whole=failure))
        if position is not None and isinstance(outcome, Written):
            settling.committed(position)
        return (InvokeDone(command.id, outcome),)

    def _move(self, position: TargetPosition) -> Steps[None]:
        """Commit a position alone. Raises: LeaseLost; Unavailable when the target does not take it."""
        place = self.settling.place
        batch = RecordBatch((), place.mapping_id, self.stream, self.shard.shard_id, position=position)
        outcome: Outcome = yield WriteBatch(batch)
        if not isinstance(outcome, Written):
            words = outcome.whole.error if isinstance(outcome, Failed) and outcome.whole else str(outcome)
            raise Unavailable(f"the target did not take the position: {words}")

    def _read(self, command: Read) -> Steps[Sequence[Completion]]:
        saved = self._saved
        try:
            # Nearly always nothing was saved.
            if saved.evacuation is not None and saved.has_after(command.after):
                done = yield from saved.read(command.after, command.limit)
            else:
                done = yield from self._from_the_stream(command)
                if done.trimmed or command.after == 0:  # at 0 a source does not tell
                    # It may be saved: by another worker, or while the stream was asked, which forgot it
                    # before it answered. That is no gap.
                    yield from saved.look(self.settling.place.words)
                    if saved.has_after(command.after):
                        done = yield from saved.read(command.after, command.limit)
        except PortError as error:
            return (ReadFailed(unavailable(error)),)
        return (done,)

    def _from_the_stream(self, command: Read) -> Steps[ReadDone]:
        if 0 < command.after < self.shard.first - 1 and self.shard.before is None:
            # It came further in what went before, and of that nothing is left: the source does not know how
            # much there was.
            return ReadDone([], self.shard.first - 1, trimmed=True)
        done: ReadDone = yield ReadShard(self.shard, command.after, command.limit)
        return done

    def _save(self, command: SaveCheckpoint) -> Steps[Sequence[Completion]]:
        try:
            yield from self.settling.save(command, self._move)
        except LeaseLost:
            return (LeaseLostInput(),)
        except PortError as error:
            return (CheckpointFailed(unavailable(error)),)
        return (CheckpointDone(),)

    def _park(self, command: ParkKey) -> Steps[Sequence[Completion]]:
        settling = self.settling
        try:
            is_free = yield from park(settling.place, settling.fence, command, settling.code_version)
        except LeaseLost:
            failure = Failure(FailureKind.UNAVAILABLE, "the lease is lost")
            return LeaseLostInput(), ParkFailed(command.id, failure)
        except PortError as error:
            return (ParkFailed(command.id, unavailable(error)),)
        return (ParkDone(command.id, is_free),)


# ---- checkpoints -------------------------------------------------------------------------------------------


class Announced(Protocol):
    """Tells an on-failure destination of what was given up: deadletters/run/courier.py."""

    def rows(
        self, place: MappingShard, given_up: Sequence[GivenUp], windows: Sequence[GivenUpWindow] = ()
    ) -> list[Write]:
        """What is to be told, as rows of the same transaction."""

    def wake(self) -> None:
        """The notices are durable: deliver them now."""


class Settling:
    """Saves what a machine has settled of one mapping in one shard.

    Shape: `begun` is the row with which its lease was stamped here; `is_transactional`: the target owns the
           checkpoint, and the row repeats what it has. Then the order is: letters and gaps, the target, the
           row. So none is missing of what the target has passed, and the row is never ahead of it.
    """

    def __init__(
        self,
        place: MappingShard,
        begun: CheckpointRow,
        code_version: str = "",
        announced: Announced | None = None,
        *,
        is_transactional: bool = False,
    ) -> None:
        self.place = place
        self.begun = begun
        self.code_version = code_version
        self.is_transactional = is_transactional
        self._position: TargetPosition | None = None
        self._lost: dict[tuple[int, int], None] = {}
        self.fence = place.fence(begun.epoch)
        """What a checkpoint here requires, and every write beside one."""
        self._saved = begun
        self._writes = begun.writes
        self._announced = announced

    @property
    def is_announced(self) -> bool:
        """Whether a destination is told of what is given up."""
        return self._announced is not None

    def begin_at(self, position: TargetPosition, row: CheckpointRow) -> None:
        """The target has told where the mapping stands, and the row says so too."""
        self._position, self._saved, self._writes = position, row, row.writes

    def position_at(self, through: int) -> TargetPosition | None:
        """What the target is to have with a batch, if it has what it is known to have; None: it owns no
        checkpoint.
        """
        before = self._position
        if before is None:
            return None
        gaps = tuple(gap for gap in self._lost if before.watermark < gap[1] <= through)
        return replace(before, watermark=through, after=before.watermark, gaps=gaps)

    def committed(self, position: TargetPosition) -> None:
        """The target has this position. A save and a batch may be under way at once."""
        if self._position is None or position.watermark > self._position.watermark:
            self._position = replace(position, gaps=())
            self._lost = {gap: None for gap in self._lost if gap[1] > position.watermark}

    def save(self, command: SaveCheckpoint, move: MovesTarget = no_target) -> Steps[None]:
        """Make it durable; `move` commits a position alone. Raises: LeaseLost, StoreError, Unavailable."""
        row = self._row(command)
        saved = Write(self.fence.key, row.fields(), self.fence.condition)
        early, beside = self._parted(command)
        for some in slices(early) if early else ():
            yield from self.written(self.fence, some)
        self._lost |= dict.fromkeys(_ranges_lost(command))  # what passes them next tells the target
        position = self.position_at(row.watermark)
        if position is not None and (row.finished or position.watermark > position.after):
            # What is finished is never stamped again: that the target still has it is asked here.
            yield from move(position)
            self.committed(position)
        yield from self.written(saved, beside, "checkpoint.done")
        self._saved = row
        if self._announced is not None and (command.given_up or command.windows):
            self._announced.wake()

    def written(self, fence: Action, beside: Sequence[Write], done: str = "") -> Steps[None]:
        """Write these under a fence. Where a row says already that a later change of its item was handled,
        that stays. Raises: LeaseLost, StoreError.
        """
        rows, newer = list(beside), -1
        while True:
            call: Call = (
                Transact((fence, *rows), "checkpoint.begun", done) if newer < 0 else Get(rows[newer].key)
            )
            try:
                there: StateRow | None = yield call
            except StateConflict as error:
                if error.index == 0:
                    raise LeaseLost(f"another worker has taken {self.place.shard_id}") from error
                newer = error.index - 1
                continue
            if newer < 0:
                return
            if there is not None:
                key, version = bytes.fromhex(there.fields["key"]), read_passed(there.fields)
                write = passed_write(self.place.app, self.place.mapping_id, key, version)
                # Of this very row: one of an older format has no version to be compared with.
                rows[newer] = Write(write.key, write.fields, same_version(there.fields))
            newer = -1

    def _watched(self, key: bytes, version: Version) -> Write:
        return watched_write(self.place.app, self.place.mapping_id, key, version)

    def _row(self, command: SaveCheckpoint) -> CheckpointRow:
        place, checkpoint = self.place, command.checkpoint
        settled = [(run.first, run.last, run.count, run.outcome) for run in command.settled]
        times = {run.first: (run.from_ms, run.until_ms) for run in command.settled if run.until_ms}
        self._writes += 1  # also when the one before failed: it may have been durable all the same
        before = self._saved
        return CheckpointRow(
            before.epoch,
            self._writes,
            checkpoint.watermark,
            checkpoint.ranges,
            checkpoint.finished,
            place.hashes,
            checkpoint.created_ms,
            _kept(checkpoint.window),
            _reason(checkpoint.suspended, self.code_version),
            before.ledger.after(settled, times),
            before.named,
            place.mapping_id if self.is_transactional else "",
        )

    def _parted(self, command: SaveCheckpoint) -> tuple[list[Write], list[Write]]:
        """What is written before the checkpoint, and what in its transaction; both nearly always nothing.

        What is given up of a machine in one checkpoint is no more than its transaction takes. What else there
        is stays true where the checkpoint fails: that a change was handled, that records are gone. Where
        there is no room for all of that, it goes before.
        """
        given_up, others = self.given_up(command), self.others(command)
        if self.is_transactional:
            return [*given_up, *others], []
        return ([], [*given_up, *others]) if len(given_up) + len(others) < SLICE else (others, given_up)

    def given_up(self, command: SaveCheckpoint) -> list[Write]:
        """The rows of what is given up; the keys of dead letters are watched in the same transaction."""
        if not (command.given_up or command.windows):
            return []
        place, announced, passed = self.place, self._announced, dict(command.passed)
        letters = [letter_of(place, given_up, self.code_version) for given_up in command.given_up]
        keys = [key for key in dict.fromkeys(letter.record.key for letter in letters) if key in passed]
        return [
            *(_letter_write(place, letter) for letter in letters),
            *(self._watched(key, passed[key]) for key in keys),
            *(lost_window_write(place, lost, self.code_version) for lost in command.windows),
            *(() if announced is None else announced.rows(place, command.given_up, command.windows)),
        ]

    def others(self, command: SaveCheckpoint) -> list[Write]:
        """The rows of what was handled of other items with dead letters, and of gaps."""
        place, given_up = self.place, {given_up.record.key for given_up in command.given_up}
        passed = [
            passed_write(place.app, place.mapping_id, key, last)
            for key, last in command.passed
            if key not in given_up
        ]
        if command.chains or command.holes:
            passed += chain_writes(place.words, place.generation, command.chains, command.holes)
        return passed + _gaps(place, command)


def _ranges_lost(command: SaveCheckpoint) -> tuple[tuple[int, int], ...]:
    """What was trimmed before it was read, of all that a checkpoint settles."""
    return tuple((run.first, run.last) for run in command.settled if run.outcome == "trimmed")


def _gaps(place: MappingShard, command: SaveCheckpoint) -> list[Write]:
    gaps = [
        Gap(place.shard_id, run.first, run.last, run.from_ms, run.until_ms, generation=place.generation)
        for run in command.settled
        if run.outcome == "trimmed"
    ]
    return [Write(gap.key(place.app, place.mapping_id), gap.fields()) for gap in gaps]


def _letter_write(place: MappingShard, letter: DeadLetter) -> Write:
    return Write(
        deadletter_key(place.app, place.mapping_id, letter.record.version), deadletter_fields(letter)
    )


def _reason(suspended: Suspended | None, code_version: str) -> Reason | None:
    if suspended is None:
        return None
    return suspended.fingerprint, suspended.error[:MOST_WORDS], suspended.since_ms, code_version


def _kept(window: WindowState | None) -> Window | None:
    if window is None:
        return None
    return window.start_ms, window.end_ms, None if window.state is None else window.state.decode()


def lost_window_write(place: MappingShard, lost: GivenUpWindow, code_version: str) -> Write:
    """The row of a window whose final invoke was given up, with the state that was for it."""
    window, failure = lost.window, lost.failure
    row = LostWindow(
        shard_id=place.shard_id,
        handler=place.mapping_id,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        state=window.state.decode(),
        is_early=window.is_early,
        condition=lost.condition,
        attempts=lost.attempts,
        error=failure.error if failure else "",
        traceback=failure.traceback if failure else "",
        first_failure_ms=lost.first_failure_ms,
        last_failure_ms=lost.last_failure_ms,
        code_version=code_version,
    )
    return Write(lost_window_key(place.app, row), row.fields())


def letter_of(place: MappingShard, given_up: GivenUp, code_version: str) -> DeadLetter:
    """What is kept of a record that was given up, or that waits behind one."""
    record, failure = given_up.record, given_up.failure
    identity = event_id(record)
    return DeadLetter(
        record=record,
        event_id=identity,
        shard_id=place.shard_id,
        handler=place.mapping_id,
        condition=given_up.condition,
        attempts=given_up.attempts,
        error=failure.error if failure else "",
        traceback=failure.traceback if failure else "",
        first_failure_ms=given_up.first_failure_ms,
        last_failure_ms=given_up.last_failure_ms,
        code_version=code_version,
        trace=f"{place.mapping_id}/{identity}",
        table=place.table,
    )


# ---- parking -----------------------------------------------------------------------------------------------


def park(place: MappingShard, fence: Check, command: ParkKey, code_version: str) -> Steps[bool]:
    """Make the key's head and the changes that wait durable. Returns: whether the key is free instead,
    because it was unparked meanwhile.

    Raises:  LeaseLost, StoreError.
    """
    letters = [letter_of(place, entry, code_version) for entry in command.entries]
    while True:
        head = yield from _head(place, command.key)
        if head is None and letters[0].is_waiting:
            return True
        now: Now = yield AskTime()
        writes = parked(place.app, place.mapping_id, head, letters, now.wall_ms, place.stream_label)
        if not writes:
            return False
        try:
            yield Transact((fence, *writes), "park.begun", "park.done")
        except StateConflict as error:
            if error.index == 0:
                raise LeaseLost(f"another worker has taken {place.shard_id}") from error
            continue  # the redriver, which puts changes of it back, was faster: look again
        return False


def _head(place: MappingShard, key: bytes) -> Steps[Head | None]:
    row: StateRow | None = yield Get(head_key(place.app, place.mapping_id, key))
    return None if row is None else read_head(place.app, place.mapping_id, row.fields)
