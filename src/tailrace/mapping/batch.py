"""Batches: the flows that make them, how they are numbered and cut, and a batch's own story of attempts.

Rules of this file: no decision of order. A flow alone owns every record between reading and
settling. A batch holds neighbours of one shard, in reading order; what comes first of size, payload and
window sends it. A flow is lane.py (Lambda's order), keys.py (order by key) or contiguous.py (order of the
whole shard); shard.py drives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, assert_never

from tailrace.mapping.commands import Condition, GivenUp, GivenUpWindow, Invoke
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome, Written
from tailrace.mapping.retry import Decision, GiveUp, RetryAfter, Split, after_failure
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.streams.windows import WindowInvoke

Allowance: TypeAlias = Literal["all", "probe", "nothing"]
"""What may start: everything, one batch that asks whether the sink is there, nothing."""
ENVELOPE_BYTES: Final = 600
"""What the event JSON adds to the keys and images of one record: names, ARN, region. Generous, so that 6 MB
hold.
"""
RETENTION_MS: Final = 86_400_000
"""How long a stream keeps a record. A lane that fails longer gives it up; a restart could not read it again.
Source: semantics §2.5, §2.7.
"""


class Flow(Protocol):
    """Records between reading and settling."""

    @property
    def buffered(self) -> int:
        """Records that wait and were never part of a batch."""

    @property
    def in_flight(self) -> int:
        """Batches at the sink."""

    @property
    def blocked(self) -> str | None:
        """Why nothing new can start although records wait; None: nothing is blocked."""

    def add(self, records: Sequence[ChangeRecord]) -> None:
        """Take records in reading order."""

    def start(self, now: Now, allowance: Allowance, *, is_last: bool) -> list[Invoke]:
        """Every batch that may start now. `is_last`: no more records will come, so no window is waited
        for.
        """

    def finish(self, id: int, outcome: Outcome, now: Now) -> None:
        """The sink answered for this Invoke."""

    def hold(self, key: bytes) -> bool:
        """Keep a key from the sink until release(); False when a batch has a change of it."""

    def release(self, key: bytes) -> None:
        """The opposite of hold()."""

    def wake_ms(self, now: Now) -> int | None:
        """The next time at which start() could find more than now."""


# ---- a batch -----------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Work:
    """One batch until it is settled.

    Shape:   `attempts` used up; `outages` in a row; not before `ready_ms`. An unchanged batch keeps its
             `request`. `window` is what its last attempt was told of its tumbling window; without records it
             is the window's final invoke.
    Units:   ready_ms monotonic; first and last failure since the epoch.
    """

    records: Sequence[ChangeRecord]
    request: int
    attempts: int = 0
    outages: int = 0
    ready_ms: int = 0
    failure: Failure | None = None
    first_failure_ms: int = 0
    last_failure_ms: int = 0
    is_probe: bool = False
    is_sample: bool = False
    is_check: bool = False
    window: WindowInvoke | None = None
    through: int = 0
    """In the order of a whole shard: up to where everything is settled once it is accepted. It never changes:
    by it a target knows what it has committed before.
    """

    @property
    def is_final(self) -> bool:
        """Whether it is the final invoke of a window: the only batch without records."""
        return self.window is not None and self.window.is_final

    def failed(self, failure: Failure, now: Now) -> None:
        """Note a failure; whether it uses up an attempt is decided in retry.py."""
        self.first_failure_ms = self.first_failure_ms or now.wall_ms
        self.last_failure_ms = now.wall_ms
        self.failure = failure

    def decided(self, settings: MappingSettings, failure: Failure, now: Now) -> Decision:
        """What is to be done after it failed as a whole, with the attempt or the outage counted and the wait
        begun.

        For the flows in which a failing batch keeps its place; in keys.py a probe and the pace have a say in
        the count and the wait.
        """
        self.failed(failure, now)
        decision = after_failure(
            settings, failure, size=len(self.records), attempts=self.attempts + 1, outages=self.outages + 1
        )
        match decision:
            case RetryAfter(delay, counts):
                self.attempts += counts
                self.outages = 0 if counts else self.outages + 1
                self.ready_ms = now.monotonic_ms + delay
            case GiveUp():
                self.attempts += 1
            case Split():
                pass
            case _:
                assert_never(decision)
        return decision

    def exhausted(self) -> list[GivenUp]:
        """All of it, given up after its last attempt."""
        return [
            GivenUp(
                record,
                "RetryAttemptsExhausted",
                self.attempts,
                self.failure,
                self.first_failure_ms,
                self.last_failure_ms,
                self.request,
                self.window,
            )
            for record in self.records
        ]

    def final_given_up(self, condition: Condition) -> GivenUpWindow:
        """The final invoke of a window, given up."""
        assert self.window is not None
        return GivenUpWindow(
            self.window,
            condition,
            self.attempts,
            self.failure,
            self.first_failure_ms,
            self.last_failure_ms,
            self.request,
        )

    def final_is_too_old(self, settings: MappingSettings, now: Now) -> bool:
        """Whether a final invoke is beyond the age limit, which counts from the end of its window."""
        longest = _longest_ms(settings)
        return (
            longest is not None
            and self.window is not None
            and self.is_final
            and self.window.end_ms < now.wall_ms - longest
        )

    def take_over_age(self, settings: MappingSettings, now: Now) -> list[GivenUp]:
        """Remove the records beyond the age limit, or beyond what the stream keeps, and only those, from a
        batch that has failed.
        """
        longest = _longest_ms(settings)
        if longest is None:
            return []
        oldest = now.wall_ms - longest
        if not any(record.created_ms < oldest for record in self.records):
            return []
        over = [record for record in self.records if record.created_ms < oldest]
        self.records = [record for record in self.records if record.created_ms >= oldest]
        return [too_old(record, self) for record in over]

    def wake_ms(self, settings: MappingSettings, now: Now) -> int:
        """When this batch needs a look: its back-off has passed, or before that a record becomes too old."""
        longest = _longest_ms(settings)
        if longest is None:
            return self.ready_ms
        created = (
            self.window.end_ms
            if self.window is not None and self.is_final
            else min(record.created_ms for record in self.records)
        )
        expires_in = created + longest + 1 - now.wall_ms
        return min(self.ready_ms, now.monotonic_ms + max(expires_in, 0))


class Numbers:
    """Numbers of invokes and of requests, never used twice by one machine."""

    __slots__ = ("_id", "_request")

    def __init__(self) -> None:
        self._id = 0
        self._request = 0

    def request(self) -> int:
        """A number for a new batch."""
        self._request += 1
        return self._request

    def invoke(self, work: Work, lane: int) -> Invoke:
        """The command for one attempt of this batch."""
        self._id += 1
        attempt = work.attempts + 1
        return Invoke(self._id, work.records, attempt, lane, work.request, work.window, work.through)


def well_formed(outcome: Outcome, size: int) -> Failed | FailedFrom | None:
    """The outcome without its degenerate forms: None is success, indexes lie inside the batch.

    An index outside the batch is a total failure. Source: semantics §2.6.
    """
    match outcome:
        case Written():
            return None
        case FailedFrom(index, failure):
            return outcome if 0 <= index < size else Failed(whole=failure)
        case Failed(failures, whole):
            if whole is not None:
                return outcome
            outside = [index for index in failures if not 0 <= index < size]
            return Failed(whole=failures[outside[0]]) if outside else (outcome if failures else None)


def lowest(failed: Failed | FailedFrom) -> FailedFrom | Failure:
    """Lambda's view of a vector of failures: everything from the lowest one on is sent again."""
    if isinstance(failed, FailedFrom):
        return failed
    if failed.whole is not None:
        return failed.whole
    index = min(failed.failures)
    return FailedFrom(index, failed.failures[index])


# ---- age ---------------------------------------------------------------------------------------------------


def too_old(record: ChangeRecord, work: Work | None = None) -> GivenUp:
    """A record discarded for its age; `attempts` is what was really used."""
    if work is None:
        return GivenUp(record, "RecordAgeExceeded", 0, None, 0, 0)
    return GivenUp(
        record,
        "RecordAgeExceeded",
        work.attempts,
        work.failure,
        work.first_failure_ms,
        work.last_failure_ms,
        work.request,
        work.window,
    )


def oldest_allowed_ms(settings: MappingSettings, now: Now) -> int | None:
    """Records created before this are too old; None: none ever is. Source: semantics §2.7 (age = now −
    creation).
    """
    age = settings.maximum_record_age_ms
    return None if age == INFINITE else now.wall_ms - age


def _longest_ms(settings: MappingSettings) -> int | None:
    """How old a record of a failing batch may become; None: as old as it gets. Keys have Park and Park.shard
    for that, lanes nothing.
    """
    age = settings.maximum_record_age_ms
    if settings.order != "lane":
        return None if age == INFINITE else age
    return RETENTION_MS if age == INFINITE else min(age, RETENTION_MS)


# ---- cutting -----------------------------------------------------------------------------------------------


def payload_bytes(record: ChangeRecord) -> int:
    """At most this much event JSON for one record, whatever the view type."""
    return ENVELOPE_BYTES + len(record.keys) + len(record.old or b"") + len(record.new or b"")


def fitting(
    records: Sequence[ChangeRecord], settings: MappingSettings, limit: int, state_bytes: int = 0
) -> tuple[int, bool]:
    """How many of the first records make one batch beside a window's state, and whether it is full. One
    record always fits.
    """
    count = min(len(records), limit)
    if state_bytes + _weight(records[:count]) <= settings.batch_bytes:  # nearly always all of them fit
        return count, count >= limit
    total = state_bytes
    for index in range(count):
        total += payload_bytes(records[index])
        if total > settings.batch_bytes:
            return max(index, 1), True
    return count, count >= limit


def _weight(records: Sequence[ChangeRecord]) -> int:
    """As `payload_bytes`, of all at once."""
    images = [len(record.keys) + len(record.old or b"") + len(record.new or b"") for record in records]
    return sum(images) + ENVELOPE_BYTES * len(images)


class Weighed:
    """How much the first of the records that wait weigh: each is weighed once, however often it is asked
    whether they make a batch while their window is open. Shape: they come at the end alone; whoever takes
    some, or puts some between them, says so by `forget`.
    """

    __slots__ = ("_bytes", "_count")

    def __init__(self) -> None:
        self._bytes = self._count = 0

    def forget(self) -> None:
        """The first ones are others now."""
        self._bytes = self._count = 0

    def fitting(
        self, records: Sequence[ChangeRecord], settings: MappingSettings, limit: int, state_bytes: int = 0
    ) -> tuple[int, bool]:
        """As the function of this name."""
        count = min(len(records), limit)
        if count < self._count:
            self.forget()
        self._bytes += _weight(records[self._count : count])
        self._count = count
        if state_bytes + self._bytes <= settings.batch_bytes:
            return count, count >= limit
        return fitting(records, settings, limit, state_bytes)


class BatchingWindow:
    """The batching window of one flow of records: it opens when records wait and nothing is in flight.

    Source:  semantics §2.3 ("next window starts when the previous invocation is complete").
    """

    __slots__ = ("_length_ms", "opened_ms")

    def __init__(self, settings: MappingSettings) -> None:
        self._length_ms = settings.batching_window_ms
        self.opened_ms: int | None = None

    def is_over(self, now: Now) -> bool:
        """Whether what waits is sent although the batch is not full. Opens the window if it was closed."""
        if not self._length_ms:
            return True
        if self.opened_ms is None:
            self.opened_ms = now.monotonic_ms
        return now.monotonic_ms >= self.opened_ms + self._length_ms

    def close(self) -> None:
        """A batch was sent, or nothing waits any more."""
        self.opened_ms = None

    @property
    def wake_ms(self) -> int | None:
        """When an open window is over."""
        return None if self.opened_ms is None else self.opened_ms + self._length_ms
