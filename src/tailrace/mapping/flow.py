"""What the three domains of order have in common: numbering, and the shape that shard.py drives.

Rules of this file: no decision. A flow owns every record between reading and settling: nobody else holds one.
Implemented by lane.py (Lambda's order), keys.py (order by key) and contiguous.py (order of the whole shard).
"""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from tailrace.mapping.batch import Work
from tailrace.mapping.commands import Invoke
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome, Written
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord

Allowance: TypeAlias = Literal["all", "probe", "nothing"]


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
        """Every batch that may start now. `is_last`: no more records will come, so no window is waited for."""

    def finish(self, id: int, outcome: Outcome, now: Now) -> None:
        """The sink answered for this Invoke."""

    def hold(self, key: bytes) -> bool:
        """Keep a key from the sink until release(); False when a batch has a change of it."""

    def release(self, key: bytes) -> None:
        """Whoever held the key is done."""

    def wake_ms(self, now: Now) -> int | None:
        """The next time at which start() could find more than now."""


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
        return Invoke(self._id, work.records, work.attempts + 1, lane, work.request, work.window)


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
