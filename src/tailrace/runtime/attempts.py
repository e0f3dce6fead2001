"""What is known of the attempts at a handler: counted since the process began, and what of one shard is at
the handler now or failed and is tried again.

Rules of this file: it tells and decides nothing, and is gone with the process: what is given up has a row of
its own. Numbers are AWS's metrics for a function and its event source mapping (their names and units are in
`telemetry.AWS_METRICS`); each thing is counted where it happens. A change counts as failing from
its first failure until an attempt accepts it, or it is settled otherwise; of many the latest are kept, and
since when is remembered for all. Tallies are kept by server/node.py over changes of the worker, and read by
server/snapshot.py; what fails now is told by `status` and `why`. Source: semantics §2.12.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.mapping.commands import Settled
from tailrace.ports import Clock, Failed, FailedFrom, Failure, FailureKind, Outcome, RecordBatch
from tailrace.streams.record import ChangeRecord

BOUNDS_MS: Final = (1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
MOST: Final = 1_000
"""Changes whose last failure is remembered."""


class Tally(Struct):
    """One handler's numbers.

    Shape:   an invocation is one call with a batch, a retry included; an event is one record, as often as it
             happened to it. `dropped` are events that AWS would have lost (here their dead letters are kept),
             `undelivered` deliveries to a destination that failed, `suppressed` changes that were applied
             before, by this worker or by one before it, `unsaved` checkpoints that could not be saved, each
             try of them.
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
    unsaved: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    last: Outcome | None = None
    """What came of the last invocation; None before the first."""

    def begin(self, batch: RecordBatch, wall_ms: int) -> None:
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
        if not failures:  # as nearly always
            self.invocations += 1
            return
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
        """A checkpoint is durable with these. What a destination is told of is counted when it was told, or
        was not.
        """
        for report in reports:
            if report.outcome == "filtered":
                self.filtered += report.count
            elif report.outcome == "dropped" or (report.outcome == "discarded" and not has_destination):
                self.dropped += report.count

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts of durations by upper bound in seconds, the last one "+Inf"."""
        cumulative, total = [], 0
        for bound, count in zip((*(f"{ms / 1_000:g}" for ms in BOUNDS_MS), "+Inf"), self.counts, strict=True):
            total += count
            cumulative.append((bound, float(total)))
        return cumulative


class Tallies:
    """The tallies of a node, by handler; made when first asked for."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def of(self, name: str) -> Tally:
        """The tally of a handler, made now if there is none."""
        return self._tallies.setdefault(name, Tally())

    def all(self) -> dict[str, Tally]:
        """Every tally that was asked for, by handler; a copy."""
        return dict(self._tallies)


# ---- now ---------------------------------------------------------------------------------------------------


class Failing(Struct, frozen=True):
    """A change that failed and is tried again. Units: since_ms and last_ms since the epoch. Shape: `attempts`
    that failed, also those of an outage.
    """

    record: ChangeRecord
    failure: Failure
    since_ms: int
    last_ms: int
    attempts: int = 1


class Trouble(Struct, frozen=True):
    """What fails now, all together: the change that failed last, and since when something does. Units:
    since_ms since the epoch.
    """

    last: Failing
    since_ms: int
    changes: int


class AtWork(Struct, frozen=True):
    """What the handler has now. Units: since_ms since the epoch."""

    batch: RecordBatch
    since_ms: int


class Attempts:
    """What of one mapping in one shard is at its handler, and what failed and is tried again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_work: dict[int, AtWork] = {}
        self._failing: dict[int, Failing] = {}
        self._since_ms = 0

    # ---- what happens --------------------------------------------------------------------------------------

    def begun(self, id: int, batch: RecordBatch) -> None:
        """The handler is given this."""
        self._at_work[id] = AtWork(batch, self._clock.now().wall_ms)

    def ended(self, id: int) -> None:
        """It has answered, or will never."""
        del self._at_work[id]

    def came_to(self, batch: RecordBatch, outcome: Outcome) -> None:
        """Keep which records failed, when first and when last; forget those that went well."""
        if not self._failing and not isinstance(outcome, Failed | FailedFrom):
            return  # nearly always
        failures = _failures(batch.records, outcome)
        for index, record in enumerate(batch.records):
            failure = failures.get(index)
            if failure is not None:
                self._failed(record, failure)
            elif not isinstance(outcome, FailedFrom) or index < outcome.index:
                self._failing.pop(record.sequence, None)

    def settled(self, watermark: int, ranges: Sequence[tuple[int, int]]) -> None:
        """This is durably settled, however."""
        for sequence in [
            failing
            for failing in self._failing
            if failing <= watermark or any(first <= failing <= last for first, last in ranges)
        ]:
            del self._failing[sequence]

    def parked(self, records: Sequence[ChangeRecord]) -> None:
        """These are durably set aside."""
        for record in records:
            self._failing.pop(record.sequence, None)

    # ---- what can be seen ----------------------------------------------------------------------------------

    @property
    def under_way(self) -> list[RecordBatch]:
        """What the handler is at work on."""
        return [work.batch for work in self._at_work.values()]

    def at_work(self, sequence: int) -> AtWork | None:
        """What the handler has of a change; None: it has it not."""
        for work in self._at_work.values():
            if any(record.sequence == sequence for record in work.batch.records):
                return work
        return None

    def failing(self, sequence: int) -> Failing | None:
        """The last failure of a change; None: it has none that counts, or it is not remembered."""
        return self._failing.get(sequence)

    @property
    def trouble(self) -> Trouble | None:
        """What fails now; None: nothing."""
        if not self._failing:
            return None
        last = max(self._failing.values(), key=lambda failing: failing.last_ms)
        return Trouble(last, self._since_ms, len(self._failing))

    def _failed(self, record: ChangeRecord, failure: Failure) -> None:
        now_ms = self._clock.now().wall_ms
        known = self._failing.pop(record.sequence, None)
        if known is None:
            if not self._failing:
                self._since_ms = now_ms
            self._failing[record.sequence] = Failing(record, failure, now_ms, now_ms)
            if len(self._failing) > MOST:
                del self._failing[next(iter(self._failing))]
            return
        # Put back at the end: the latest are kept.
        self._failing[record.sequence] = replace(
            known, failure=failure, last_ms=now_ms, attempts=known.attempts + 1
        )


def _failures(records: Sequence[ChangeRecord], outcome: Outcome) -> dict[int, Failure]:
    match outcome:
        case Failed(failures, whole):
            common = {} if whole is None else dict.fromkeys(range(len(records)), whole)
            return {**common, **failures}
        case FailedFrom(index, failure):
            return {index: failure}
    return {}
