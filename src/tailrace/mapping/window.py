"""Tumbling windows of one shard: which window a record falls into, what its state is, when it is over.

Theory of operation. A shard is in one window at a time. It opens with the first batch that is made for it,
hands the state that the function returned last to the next batch, and is closed by a final invoke without
records: when a record of a later window comes first, when the shard ends, when nothing more comes after its
end, or at once when the state has outgrown its limit. A window that was closed opens again, with an empty
state, for a record that comes too late: there is no older window to go back to.

Rules of this file: the window's time is the records' own; only idleness asks the clock. Called by lane.py.
Source: semantics §2.9.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome, Written
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.streams.windows import EMPTY_STATE, WindowInvoke

STATE_BYTES: Final = 1_048_576
"""A state of more bytes of JSON ends its window early. Source: semantics §2.9 ("over 1 MB")."""
NO_STATE: Final = (
    'the function answered without a state; with TumblingWindowInSeconds it returns {"state": {...}}'
)


class WindowState(Struct, frozen=True):
    """The window that a shard is in, as a checkpoint keeps it.

    Shape:   `state` is a JSON object; None: the window was closed and no record has come since.
    Units:   milliseconds since the epoch; the end is outside.
    """

    start_ms: int
    end_ms: int
    state: bytes | None = None


class TumblingWindow:
    """The window of one shard. Shape: `current` is None until the first record ever."""

    __slots__ = ("_idle_ms", "_is_deaf", "_length_ms", "_quiet_ms", "current")

    def __init__(self, length_ms: int, idle_ms: int, last: WindowState | None) -> None:
        self._length_ms = length_ms
        self._idle_ms = idle_ms
        self._quiet_ms: int | None = None
        self._is_deaf = False
        self.current = last

    @property
    def is_open(self) -> bool:
        """Whether a final invoke is owed."""
        return self.current is not None and self.current.state is not None

    @property
    def is_oversized(self) -> bool:
        """Whether the window must end early."""
        return self.state_bytes > STATE_BYTES

    @property
    def state_bytes(self) -> int:
        """What the state weighs in an event."""
        return len(self.current.state) if self.current is not None and self.current.state is not None else 0

    def heard(self) -> None:
        """The source has answered: the shard is not idle."""
        self._quiet_ms = None
        self._is_deaf = False

    def not_heard(self) -> None:
        """The source has failed: until it answers, nothing new does not mean that there is nothing."""
        self._quiet_ms = None
        self._is_deaf = True

    def is_over(self, pending: Sequence[ChangeRecord], now: Now, *, is_last: bool) -> bool:
        """Whether the final invoke is due. `is_last`: no more records will come."""
        current = self.current
        if current is None or current.state is None:
            return False
        if pending:
            return pending[0].created_ms >= current.end_ms
        if self._quiet_ms is None and not self._is_deaf:
            self._quiet_ms = now.monotonic_ms
        return is_last or (not self._is_deaf and self._idle_until(current, now) <= now.monotonic_ms)

    def _idle_until(self, current: WindowState, now: Now) -> int:
        """When a shard that stays quiet counts as idle: some time after the window's end, and after the last
        answer of the source.
        """
        quiet_ms = now.monotonic_ms if self._quiet_ms is None else self._quiet_ms
        return max(quiet_ms, now.monotonic_ms + current.end_ms - now.wall_ms) + self._idle_ms

    def wake_ms(self, now: Now) -> int | None:
        """When an idle window is over."""
        if self.current is None or self.current.state is None or self._quiet_ms is None:
            return None
        return self._idle_until(self.current, now)

    def leading(self, records: Sequence[ChangeRecord], limit: int) -> int:
        """How many of the first records may be one batch: those before the first one of a later window, at
        most `limit`.
        """
        end_ms = self._of(records[0]).end_ms
        later = (index for index, record in enumerate(records[:limit]) if record.created_ms >= end_ms)
        return next(later, limit)

    def _of(self, record: ChangeRecord) -> WindowState:
        """The window of the next record: never one before the present one, whatever its own time."""
        if self.current is not None and record.created_ms < self.current.end_ms:
            return self.current
        start_ms = record.created_ms - record.created_ms % self._length_ms
        return WindowState(start_ms, start_ms + self._length_ms)

    def invoke(self, records: Sequence[ChangeRecord]) -> WindowInvoke:
        """What the invocation with these records is told; the window is open from now on. Without records it
        is the final one.
        """
        current = self._of(records[0]) if records else self.current
        assert current is not None
        if current.state is None:
            current = replace(current, state=EMPTY_STATE)
        self.current = current
        return WindowInvoke(
            current.start_ms,
            current.end_ms,
            current.state or EMPTY_STATE,
            not records,
            not records and self.is_oversized,
        )

    def accepted(self, state: bytes | None) -> None:
        """The function has returned this state for records that it accepted."""
        assert self.current is not None
        self.current = replace(self.current, state=state)

    def close(self) -> None:
        """The final invoke is done, or given up."""
        assert self.current is not None
        self.current = replace(self.current, state=None)
        self._quiet_ms = None


def judged(outcome: Outcome) -> Outcome:
    """What an answer means inside a window: one that accepts something must bring a state."""
    match outcome:
        case Written(state=None):
            return Failed(whole=Failure(error=NO_STATE))
        case FailedFrom(index, _, None) if index > 0:
            return Failed(whole=Failure(error=NO_STATE))
    return outcome
