"""What goes into the machine and what comes out of it.

`commands = shard.step(completion, now)`. Every completion answers a command, except the few inputs that nobody asked
for: Start, Stop, LeaseLost, Pause, Resume, Redriven. Rules of this file: frozen values, no behaviour; each field says
what must be durable before what. At most one Read, one SaveCheckpoint and one Wake are outstanding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace.mapping.outcomes import Failure, Outcome
from tailrace.streams.record import ChangeRecord

SettledAs: TypeAlias = Literal["handled", "filtered", "discarded", "trimmed"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a mapping stands in a shard.

    Shape:   all records up to and including `watermark` are settled, and so are those inside `ranges` (pairs of
             sequence numbers, inclusive, ascending, disjoint, above the watermark). `finished`: the shard is closed
             and every record of it is settled, so its children may be read.
    """

    watermark: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """A run of records, in reading order, that came to the same end since the last checkpoint."""

    first: int
    last: int
    count: int
    outcome: SettledAs


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A record that will not be tried again, whole, and why. Units: *_ms since the epoch."""

    record: ChangeRecord
    condition: Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]
    attempts: int
    failure: Failure | None
    first_failure_ms: int
    last_failure_ms: int


# ---- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """Read records after this sequence number. The source may wait until there is one; Stop cancels it."""

    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Invoke:
    """Hand these records to the sink, in this order. `request` stays the same when an unchanged batch is retried."""

    id: int
    records: Sequence[ChangeRecord]
    attempt: int
    lane: int
    request: int


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Save, in one transaction and only under this worker's epoch: dead letters, ledger and checkpoint together."""

    checkpoint: Checkpoint
    settled: tuple[Settled, ...]
    given_up: tuple[GivenUp, ...]


@dataclass(frozen=True, slots=True)
class Wake:
    """Answer Woken at this monotonic time; a newer Wake replaces an older one."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The machine is done: nothing is outstanding and no further command will come. `finished`: the shard is."""

    finished: bool


Command: TypeAlias = Read | Invoke | SaveCheckpoint | Wake | Stopped


# ---- completions, and the inputs that nobody asked for -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadDone:
    """Records after the position of the Read. `next_after` is where to go on, also when there are none.

    `closed`: nothing will ever follow. `trimmed`: records between the position and these are gone for good.
    """

    records: Sequence[ChangeRecord]
    next_after: int
    closed: bool = False
    trimmed: bool = False


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """The source failed; the machine decides when to try again."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class InvokeDone:
    """The sink answered."""

    id: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CheckpointDone:
    """The checkpoint is durable."""


@dataclass(frozen=True, slots=True)
class CheckpointFailed:
    """The state store failed; nothing of the command was saved. The machine decides when to try again."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Woken:
    """The time of the outstanding Wake has come."""


@dataclass(frozen=True, slots=True)
class Start:
    """Begin at this checkpoint (the machine asks for nothing before it)."""

    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Stop:
    """Drain: start nothing new, let what runs finish, save a last checkpoint, then Stopped."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Another worker has the shard: save nothing more, then Stopped when nothing is in flight."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Start no further Invoke until Resume."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after Pause."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """A dead letter of this key was put back and handled (comes with redrive)."""

    key: bytes
    sequence: int


Completion: TypeAlias = (
    Start | Stop | LeaseLost | Pause | Resume | Redriven
    | ReadDone | ReadFailed | InvokeDone | CheckpointDone | CheckpointFailed | Woken
)  # fmt: skip
