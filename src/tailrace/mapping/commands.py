"""What goes into the machine and what comes out of it.

`commands = shard.step(completion, now)`. Every completion answers a command, except the few inputs that
answer none: Start, Stop, LeaseTaken, Pause, Resume, Redriven, Released. Rules of this file: frozen
values, no behaviour; each field says what must be durable before what. At most one Read, one SaveCheckpoint
and one Wake are outstanding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from msgspec import Struct

from tailrace.mapping.chained_item import ChainRow
from tailrace.mapping.holding import ChainHole
from tailrace.mapping.outcomes import Failure, Outcome
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.streams.version import NOTHING, Version
from tailrace.streams.windows import WindowInvoke

SettledAs: TypeAlias = Literal[
    "handled", "filtered", "parked", "discarded", "dropped", "trimmed", "duplicate", "carried"
]
"""A duplicate of a change has the end that the change has; what is carried over is handed to a shard that
continues this one, and has its end there.
"""
Condition: TypeAlias = Literal["RetryAttemptsExhausted", "RecordAgeExceeded", "KeyParked", "ArrivedLate"]
"""Why a record was not handled: Lambda's words, and ours for one that waits behind a parked record of its
key, and for one that came when later changes of its item were handed over.
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a mapping stands in a shard.

    Shape:   all records up to and including `watermark` are settled, and so are those inside `ranges` (pairs
             of sequence numbers, inclusive, ascending, disjoint, above the watermark). `finished`: the shard
             is closed and every record of it is settled, so its children may be read. `window`: the tumbling
             window that the shard is in, with the state that these settled records have led to. `suspended`:
             why the mapping has paused by itself here.
    Units:   created_ms since the epoch, when the last record at or below the watermark was written; 0: not
             known. It says nothing that the watermark does not, and makes no two checkpoints different.
    """

    watermark: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    finished: bool = False
    window: WindowState | None = None
    created_ms: int = field(default=0, compare=False)
    suspended: Suspended | None = None


class Settled(Struct, frozen=True):
    """A run of records, in reading order, that came to the same end since the last checkpoint.

    Units:   from_ms, until_ms since the epoch, of what was trimmed: all of it was written between them; 0:
             not known.
    """

    first: int
    last: int
    count: int
    outcome: SettledAs
    from_ms: int = 0
    until_ms: int = 0


class GivenUp(Struct, frozen=True):
    """A record that will not be tried again, whole, and why.

    Shape:   `request` is that of its last batch; 0: it was never in one. `window`: what that was told. Units:
             *_ms since the epoch.
    """

    record: ChangeRecord
    condition: Condition
    attempts: int
    failure: Failure | None
    first_failure_ms: int
    last_failure_ms: int
    request: int = 0
    window: WindowInvoke | None = None


class GivenUpWindow(Struct, frozen=True):
    """A final invoke that will not be tried again, with the state it would have delivered. It has no record.
    Units: as GivenUp.
    """

    window: WindowInvoke
    condition: Condition
    attempts: int
    failure: Failure | None
    first_failure_ms: int
    last_failure_ms: int
    request: int


class ParkedHead(Struct, frozen=True):
    """A key that is parked already. Shape: its records from `first` to `tail`, `count` of them, are durably
    parked.
    """

    key: bytes
    first: Version
    tail: Version
    count: int


# ---- commands ----------------------------------------------------------------------------------------------


class Read(Struct, frozen=True):
    """Read records after this sequence number. The source may wait until there is one; Stop cancels it."""

    after: int
    limit: int


class Invoke(Struct, frozen=True):
    """Hand these records to the sink, in this order. `request` stays the same when an unchanged batch is
    retried.

    Shape:   `window`: with tumbling windows, what the function is told of its one; only its final invoke has
             no records. `through`: in the order of a whole shard, up to where everything is settled once they
             are accepted, the same whenever they are sent again.
    """

    id: int
    records: Sequence[ChangeRecord]
    attempt: int
    lane: int
    request: int
    window: WindowInvoke | None = None
    through: int = 0


class ParkKey(Struct, frozen=True):
    """Set these records of one key aside durably, in order, only under this worker's epoch. Repeatable.

    Shape:   the first one failed, or is a later change of a key that is parked already. When that key was
             unparked meanwhile, nothing is written and the answer says so.
    """

    id: int
    key: bytes
    entries: tuple[GivenUp, ...]


class SaveCheckpoint(Struct, frozen=True):
    """Save, in one transaction and only under this worker's epoch: dead letters, ledger and checkpoint
    together.

    Shape:   `passed` names the last record handled of each key that has dead letters (`NOTHING`: none): what
             is older is overtaken. `chains` are the rows of items whose order the source does not keep, by
             key, None for one that goes; they may be durable before the checkpoint, and never after it.
             `holes` are changes of them that did not come.
    """

    checkpoint: Checkpoint
    settled: tuple[Settled, ...]
    given_up: tuple[GivenUp, ...]
    passed: tuple[tuple[bytes, Version], ...] = ()
    windows: tuple[GivenUpWindow, ...] = ()
    chains: tuple[tuple[bytes, ChainRow | None], ...] = ()
    holes: tuple[ChainHole, ...] = ()


class Wake(Struct, frozen=True):
    """Answer Woken at this monotonic time; a newer Wake replaces an older one."""

    at_ms: int


class Stopped(Struct, frozen=True):
    """The machine is done: nothing is outstanding, no command will come. `finished`: the shard is, too."""

    finished: bool


Command: TypeAlias = Read | Invoke | ParkKey | SaveCheckpoint | Wake | Stopped


# ---- completions, and the inputs that answer no command ----------------------------------------------------


class ReadFailed(Struct, frozen=True):
    """The source failed; the machine decides when to try again."""

    failure: Failure


class InvokeDone(Struct, frozen=True):
    """The sink answered."""

    id: int
    outcome: Outcome


class ParkDone(Struct, frozen=True):
    """The records are durably parked; `is_free`: nothing was written, as their key is not parked now."""

    id: int
    is_free: bool = False


class ParkFailed(Struct, frozen=True):
    """The state store failed; nothing of the command was written. The machine decides when to try again."""

    id: int
    failure: Failure


class CheckpointDone(Struct, frozen=True):
    """The checkpoint is durable."""


class CheckpointFailed(Struct, frozen=True):
    """The state store failed; nothing of the command was saved. The machine decides when to try again."""

    failure: Failure


class Woken(Struct, frozen=True):
    """The time of the outstanding Wake has come."""


class Start(Struct, frozen=True):
    """Begin at this checkpoint (the machine asks for nothing before it).

    Shape:   `parked` are the keys of this shard, or of the one that it came from, that are parked now;
             `passed` names the keys that have dead letters, each with its last change that was handled;
             `chains` are the rows of items in this shard whose order the source does not keep.
    """

    checkpoint: Checkpoint
    parked: tuple[ParkedHead, ...] = ()
    passed: tuple[tuple[bytes, Version], ...] = ()
    chains: tuple[tuple[bytes, ChainRow], ...] = ()


class Stop(Struct, frozen=True):
    """Drain: start nothing new, let what runs finish, save a last checkpoint, then Stopped."""


class LeaseTaken(Struct, frozen=True):
    """Another worker has the shard: save nothing more, then Stopped when nothing is in flight."""


class Pause(Struct, frozen=True):
    """Start no further Invoke until Resume."""


class Resume(Struct, frozen=True):
    """Go on after Pause."""


class Redriven(Struct, frozen=True):
    """The redriver has unparked this key: everything up to this version was handled or dropped, and `passed`
    is the last that was handled.
    """

    key: bytes
    version: Version
    passed: Version = NOTHING


class Released(Struct, frozen=True):
    """The redriver is done with a key that `machine.hold` kept for it. Shape: `passed` is the last change of
    it that was handled, by the machine or by the redriver.
    """

    key: bytes
    passed: Version = NOTHING


Completion: TypeAlias = (
    Start | Stop | LeaseTaken | Pause | Resume | Redriven | Released
    | ReadDone | ReadFailed | InvokeDone | ParkDone | ParkFailed | CheckpointDone | CheckpointFailed | Woken
)  # fmt: skip
