"""What the runtime asks of the world, as values: who decides yields a call, and is sent what came of it.

Theory of operation. Saving, parking, starting and what else has an order in which things must become durable
are generators. They yield the calls of this module and touch nothing else. An *interpreter* carries the calls
out: `driver.Performer` for asyncio, `perform_at_once` of the simulation's rows for worlds in which a port
answers in one moment. It is a loop of four lines:

    call = next(steps)
    while True:                                         # until StopIteration, whose value is the result
        try: answer = …what the port says…
        except PortError as error: call = steps.throw(error)
        else: call = steps.send(answer)

An interpreter may stop at any yield and never come back: before the call was carried out, after it, or after
it without knowing whether. That is a crash, so every yield is a crash point; a generator must leave what the
next start can go on from. `point` of a call that writes names it for campaigns that kill real processes.

Rules of this file: frozen values, no behaviour, no asyncio. What is thrown in at a yield is a PortError
(StateConflict with the index of the action whose condition did not hold); only a generator retries.
Source: growth §2.6.
"""

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from tailrace.ports import Action, RecordBatch, Shard, TargetPosition

T = TypeVar("T")


class Get(Struct, frozen=True):
    """Answer: the StateRow with this key, or None."""

    key: str


class QueryRows(Struct, frozen=True):
    """Answer: the StateRows whose keys begin with the prefix and come after `after`, in key order; at most
    `limit` of them.
    """

    prefix: str
    after: str = ""
    limit: int | None = None


class Transact(Struct, frozen=True):
    """Write all of it, durably, or nothing. Answer: None. Shape: `begun` and `done` are the names of the
    points before and after it.
    """

    writes: tuple[Action, ...]
    begun: str = ""
    done: str = ""


class ReadShard(Struct, frozen=True):
    """Answer: a ReadDone with records after a position, as soon as there is one or the shard is closed.
    Cancellable.
    """

    shard: Shard
    after: int
    limit: int


class Peek(Struct, frozen=True):
    """Answer: a ReadDone with what a shard has after a position, beside its other readers; None when the
    source has said nothing in so long.
    """

    shard: Shard
    after: int
    limit: int
    patience_ms: int


class ReadTrimHorizon(Struct, frozen=True):
    """Answer: the last record of a shard that is gone, 0 for none. It never waits for a record."""

    shard: Shard


class WriteBatch(Struct, frozen=True):
    """Hand a batch to the sink. Answer: its Outcome; what a sink raises is one, too. Of a batch that is
    committed with its position LeaseLost is thrown.
    """

    batch: RecordBatch


class StampTarget(Struct, frozen=True):
    """Take a shard in the target that owns the checkpoint. Answer: the TargetPosition there. LeaseLost is
    thrown when a higher epoch is there.
    """

    mapping_id: str
    stream: str
    shard_id: str
    epoch: int


class PutTargetPosition(Struct, frozen=True):
    """Let the target have a shard through a position, whatever it has. Answer: None. Thrown: LeaseLost."""

    mapping_id: str
    position: TargetPosition


class StreamOf(Struct, frozen=True):
    """Answer: the StreamRef that a shard is of."""

    shard_id: str


class AskTime(Struct, frozen=True):
    """Answer: Now."""


class Sleep(Struct, frozen=True):
    """Answer: None, at this time or soon after, and never before others have had a turn. Units: until_ms
    monotonic.
    """

    until_ms: int


class Concurrently(Struct, frozen=True):
    """Answer: what `steps` return; until then `beside` are carried out as well, and then left where they
    are.
    """

    steps: "Steps[Any]"
    beside: "Steps[None]"


Call: TypeAlias = (
    Get
    | QueryRows
    | Transact
    | ReadShard
    | Peek
    | ReadTrimHorizon
    | WriteBatch
    | StampTarget
    | PutTargetPosition
    | StreamOf
    | AskTime
    | Sleep
    | Concurrently
)
Steps: TypeAlias = Generator[Call, Any, T]
"""A generator that yields calls, is sent their answers, and returns a T."""
