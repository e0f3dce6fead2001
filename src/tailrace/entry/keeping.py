"""What a batch leaves behind: dead letters and parked keys where there is a state table, and what is left to
Lambda where there is none.

Theory of operation: Lambda keeps the position of a shard, so there is no lease, no checkpoint and no epoch.
With a state table a batch parks and gives up as everywhere: the same rows, by the same steps, a key under the
version of its head; what was parked is durable before the batch is answered. Nothing but that is written, so
a batch without failures costs two queries of a mapping and no write. Without a state table nothing can be
kept, so a change that would be parked is *left*: it counts as not settled, its key waits within the batch,
and the answer names it.
Rules of this file: pure; steps of runtime/steps.py. A transaction of DynamoDB's has a hundred rows and four
megabytes, so what belongs to one key is parked in parts, in order. Called by runtime/driver.py through
`Delivery`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.run.courier import notice_rows
from tailrace.errors import PortError
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.commands import (
    CheckpointDone,
    CheckpointFailed,
    Completion,
    GivenUp,
    GivenUpWindow,
    ParkDone,
    ParkKey,
    SaveCheckpoint,
)
from tailrace.ports import Clock, Shard, StreamRef
from tailrace.rows.bounds import slices
from tailrace.rows.writes import ALWAYS, Check, Write
from tailrace.runtime.attempting import unavailable
from tailrace.runtime.delivering import (
    Announced,
    Asked,
    Delivery,
    MappingShard,
    MovesTarget,
    Settling,
    no_target,
)
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.steps import Steps

MOST_ROWS: Final = 40
MOST_BYTES: Final = 1_000_000
"""Of one transaction: a hundred rows and four megabytes, of which a row of a change takes up to three times
what its images weigh.
"""


class Announcing(Struct, frozen=True):
    """Notices to the on-failure destination of a handler, kept until the redriver tells it."""

    clock: Clock

    def rows(
        self, place: MappingShard, given_up: Sequence[GivenUp], windows: Sequence[GivenUpWindow] = ()
    ) -> list[Write]:
        """One for each batch that was given up."""
        return notice_rows(place.app, place, given_up, windows, self.clock.now().wall_ms)

    def wake(self) -> None:
        """Nobody waits here: the schedule calls who tells."""


class EventSettling(Settling):
    """Saves what a machine has settled of one batch. Shape: everything up to `watermark` is settled, and
    durable as far as anything had to be kept.
    """

    def __init__(
        self, place: MappingShard, begun: CheckpointRow, code_version: str, announced: Announced | None = None
    ) -> None:
        super().__init__(place, begun, code_version, announced)
        self.fence = Check(place.checkpoint_key, ALWAYS)
        self.watermark = begun.watermark
        self.ranges = begun.ranges

    def has_settled(self, sequence: int) -> bool:
        """Whether a record is settled, as far as that was saved."""
        place = bisect_right(self.ranges, sequence, key=itemgetter(0)) - 1
        return sequence <= self.watermark or (place >= 0 and sequence <= self.ranges[place][1])

    def save(self, command: SaveCheckpoint, move: MovesTarget = no_target) -> Steps[None]:
        """Make dead letters durable; no target owns a checkpoint here. Raises: StoreError."""
        rows = [*self.given_up(command), *self.others(command)]
        for some in slices(rows, MOST_ROWS):
            yield from self.written(self.fence, some, "checkpoint.done")
        self.watermark = command.checkpoint.watermark
        self.ranges = command.checkpoint.ranges


class EventDelivery(Delivery):
    """One mapping over one batch. Shape: `left` are the changes, by sequence number, that nothing keeps, so
    that Lambda has to send them again; none where the state `keeps`.
    """

    def __init__(self, shard: Shard, stream: StreamRef, settling: EventSettling, *, keeps: bool) -> None:
        super().__init__(shard, stream, SavedChanges(), settling)
        self._settling = settling
        self.keeps = keeps
        self.left: dict[int, GivenUp] = {}

    def steps(self, command: Asked) -> Steps[Sequence[Completion]]:
        """Do what the machine asks for. Returns: its next inputs. Raises nothing of a port's."""
        match command:
            case ParkKey() if self.keeps:
                return self._park_in_parts(command)
            case ParkKey(id=id, entries=entries):
                return _at_once(self._leave(id, entries))
            case SaveCheckpoint():
                return self._save_of_event(command)
            case _:
                return super().steps(command)

    def _park_in_parts(self, command: ParkKey) -> Steps[Sequence[Completion]]:
        done: Sequence[Completion] = ()
        for part in parts_of(command.entries):
            done = yield from super().steps(replace(command, entries=part))
            if done != (ParkDone(command.id),):
                return done  # what was parked of it already is not parked again
        return done

    def _leave(self, id: int, entries: Sequence[GivenUp]) -> Sequence[Completion]:
        self.left.update((entry.record.sequence, entry) for entry in entries)
        return (ParkDone(id),)

    def _save_of_event(self, command: SaveCheckpoint) -> Steps[Sequence[Completion]]:
        if not self.keeps:  # whatever is given up without a place to keep it comes again
            self.left.update((entry.record.sequence, entry) for entry in command.given_up)
        try:
            yield from self._settling.save(command)
        except PortError as error:
            return (CheckpointFailed(unavailable(error)),)
        return (CheckpointDone(),)


def _at_once(done: Sequence[Completion]) -> Steps[Sequence[Completion]]:
    """What takes no call, as steps."""
    yield from ()
    return done


def parts_of(entries: Sequence[GivenUp]) -> Iterator[tuple[GivenUp, ...]]:
    """The changes of a key in parts that one transaction takes, in order."""
    part: list[GivenUp] = []
    weight = 0
    for entry in entries:
        size = entry.record.size_bytes
        if part and (len(part) == MOST_ROWS or weight + size > MOST_BYTES):
            yield tuple(part)
            part, weight = [], 0
        part.append(entry)
        weight += size
    if part:
        yield tuple(part)
