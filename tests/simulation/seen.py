"""What checkers remember of one worker's life with a shard, and how they read answers and checkpoints.

Rules of this file: notes of what was observed; nothing judges here. Called by checkers.py.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tailrace.mapping.commands import Checkpoint, GivenUp, Invoke, SaveCheckpoint
from tailrace.mapping.outcomes import Failed, FailedFrom, FailureKind, Outcome, Written
from tailrace.streams.record import ChangeRecord
from tailrace.streams.windows import WindowInvoke
from tailrace.testing.simulation_windows import records_of


@dataclass(slots=True)
class Seen:
    """What was seen of one worker's life."""

    start: Checkpoint
    accepted: set[int] = field(default_factory=set)
    given_up: dict[int, GivenUp] = field(default_factory=dict)
    failures: Counter[int] = field(default_factory=Counter)
    requests: dict[int, tuple[int, ...]] = field(default_factory=dict)
    request_failures: Counter[int] = field(default_factory=Counter)
    is_suspended: bool = False
    """Whether the mapping had paused by itself when it asked for its last checkpoint."""
    at_sink: dict[int, set[bytes | int]] = field(default_factory=dict)
    passed: dict[bytes, int] = field(default_factory=dict)
    overtaken: set[int] = field(default_factory=set)
    proven: set[int] = field(default_factory=set)
    in_sequence: int = 0
    """How many of the shard's wanted records are known to be settled without a hole."""
    cover: set[int] = field(default_factory=set)
    heads: dict[bytes, int] = field(default_factory=dict)
    """The first parked change of each key when it began: every earlier one of the key was settled
    before that was parked.
    """
    closed: set[int] = field(default_factory=set)
    """What was in the windows whose final invoke it heard the end of, or gave up."""
    saving_closed: set[int] = field(default_factory=set)
    """The same when its last checkpoint was made."""

    def note_closed(self, save: SaveCheckpoint) -> None:
        """The windows whose final invoke a checkpoint gives up are closed, and it is made of all that are."""
        for lost in save.windows:
            self.closed.update(records_of(lost.window.state))
        self.saving_closed = set(self.closed)


def counted_twice(invoke: Invoke, window: WindowInvoke) -> Iterator[str]:
    """What is wrong with a state: a record twice, one of those that it is handed with, or one
    of a later window.
    """
    told = [*records_of(window.state), *(record.sequence for record in invoke.records)]
    if len(set(told)) != len(told):
        yield f"{sorted(told)}"
    late = [record.sequence for record in invoke.records if record.created_ms >= window.end_ms]
    if late:
        yield f"{late} are of a later window"


def wrong_in_window(save: SaveCheckpoint, expected: set[int], cover: set[int]) -> Iterator[str]:
    """What is wrong with the window of a checkpoint: records that it lacks, or has although the checkpoint
    does not cover them.
    """
    window = save.checkpoint.window
    state = set() if window is None or window.state is None else set(records_of(window.state))
    if lost := expected - state:
        yield f"{sorted(lost)} at {save.checkpoint.watermark}"
    if early := state - cover:
        yield f"{sorted(early)} beyond {save.checkpoint.watermark}"
    if save.checkpoint.finished and state:
        yield "it is finished with an open window"


def covers(checkpoint: Checkpoint, sequence: int) -> bool:
    """Whether a record was settled when this checkpoint was saved."""
    return sequence <= checkpoint.watermark or any(
        first <= sequence <= last for first, last in checkpoint.ranges
    )


def covered(sequences: list[int], checkpoint: Checkpoint) -> set[int]:
    """Which of these records, in order, were settled when this checkpoint was saved."""
    cover = set(sequences[: bisect_right(sequences, checkpoint.watermark)])
    for first, last in checkpoint.ranges:
        cover.update(sequences[bisect_left(sequences, first) : bisect_right(sequences, last)])
    return cover


def failures_of(invoke: Invoke, outcome: Outcome) -> Iterator[tuple[FailureKind, list[ChangeRecord]]]:
    """Which records failed, and how; a partial answer fails everything from its index on."""
    match outcome:
        case FailedFrom(index, failure):
            yield failure.kind, list(invoke.records[index:])
        case Written(state=None) if invoke.window is not None:
            yield FailureKind.RECORD, list(invoke.records)
        case Failed(failures, whole):
            if whole is not None:
                yield whole.kind, list(invoke.records)
            elif failures:
                yield failures[min(failures)].kind, list(invoke.records[min(failures) :])
