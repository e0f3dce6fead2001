"""What is counted of each handler, in the quantities of AWS's metrics for a function and its event source mapping.

Rules of this file: numbers only, since the process started; whoever does a thing counts it, where it happens. Their names and units are in
`telemetry.AWS_METRICS`. Kept by `compose.Node` over changes of the worker; read by server/snapshot.py. Source: semantics §2.12.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tailrace.mapping.commands import Settled
from tailrace.ports import Batch, Failed, FailedFrom, Failure, FailureKind, Outcome

BOUNDS_MS: Final = (1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)


@dataclass(slots=True)
class Tally:
    """One handler's numbers.

    Shape:   an invocation is one call with a batch, a retry included; an event is one record, as often as it happened to it. `dropped` are
             events that AWS would have lost (here their dead letters are kept), `undelivered` deliveries to a destination that failed,
             `suppressed` changes that were applied before, by this worker or by one before it.
    Units:   milliseconds; durations by the monotonic clock.
    """

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    concurrent: int = 0
    iterator_age_ms: int = 0
    total_ms: int = 0
    polled: int = 0
    filtered: int = 0
    invoked: int = 0
    failed: int = 0
    dropped: int = 0
    delivered: int = 0
    undelivered: int = 0
    suppressed: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    last: Outcome | None = None
    """What came of the last invocation; None before the first."""

    def begin(self, batch: Batch, wall_ms: int) -> None:
        """An invocation begins."""
        self.concurrent += 1
        self.invoked += len(batch.records)
        if batch.records:
            self.iterator_age_ms = max(0, wall_ms - batch.records[-1].created_ms)

    def end(self, size: int, outcome: Outcome, took_ms: int) -> None:
        """It has ended. Shape: `size` is how many events it had."""
        self.last = outcome
        self.concurrent -= 1
        self.took(took_ms)
        failures: Sequence[Failure] = ()
        match outcome:
            case FailedFrom(index):
                # The function succeeded and said which records did not: no error, and those come again.
                self.failed += size - index
            case Failed(by_index, whole):
                self.failed += size if whole is not None else len(by_index)
                failures = (whole,) if whole is not None else tuple(by_index.values())
        self.count_call(failures)

    def count_call(self, failures: Sequence[Failure]) -> None:
        """One call by its failures: throttled, or an invocation, with an error or without."""
        if any(failure.kind is FailureKind.THROTTLED for failure in failures):
            self.throttles += 1
            return
        self.invocations += 1
        # A failure without a traceback is an answer that reports failures: AWS counts no error for it.
        if any(failure.traceback or failure.kind is not FailureKind.RECORD for failure in failures):
            self.errors += 1

    def took(self, took_ms: int) -> None:
        """One call took so long."""
        self.total_ms += took_ms
        self.counts[bisect_left(BOUNDS_MS, took_ms)] += 1

    def settled(self, reports: Sequence[Settled], *, has_destination: bool) -> None:
        """A checkpoint is durable with these. What a destination is told of is counted when it was told, or was not."""
        for report in reports:
            if report.outcome == "filtered":
                self.filtered += report.count
            elif report.outcome == "dropped" or (report.outcome == "discarded" and not has_destination):
                self.dropped += report.count

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts of durations by upper bound in seconds, the last one "+Inf"."""
        found, total = [], 0
        for bound, count in zip((*(f"{ms / 1_000:g}" for ms in BOUNDS_MS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Tallies:
    """The tallies of a node, by handler; made when somebody first asks."""

    def __init__(self) -> None:
        self._found: dict[str, Tally] = {}

    def of(self, name: str) -> Tally:
        """The tally of one."""
        return self._found.setdefault(name, Tally())

    def all(self) -> dict[str, Tally]:
        """Every one that was asked for."""
        return dict(self._found)
