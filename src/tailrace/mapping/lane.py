"""Order as AWS Lambda keeps it: a shard is split into lanes by partition key, a failing batch blocks its
lane.

Rules of this file: at most one batch of a lane is at the sink; what a failed batch left over (`_stack`, the
next one on top, so bisecting goes depth first) is sent before anything new. With tumbling windows a shard is
one lane, and the window's state moves together with what it was made of. Source: semantics §2.3 to §2.7,
§2.9. Called by shard.py.
"""

from collections.abc import Sequence, Set

from tailrace.mapping.batch import (
    Allowance,
    BatchingWindow,
    Numbers,
    Weighed,
    Work,
    lowest,
    oldest_allowed_ms,
    too_old,
    well_formed,
)
from tailrace.mapping.commands import Condition, GivenUp, Invoke
from tailrace.mapping.outcomes import FailedFrom, Failure, Outcome, Written
from tailrace.mapping.pace import Breaker
from tailrace.mapping.retry import OUTAGES, GiveUp, RetryAfter, Split, delay_ms
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.mapping.window import TumblingWindow, judged
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord


class Lane:
    """One lane: records that wait, batches to be sent again, the batch at the sink."""

    __slots__ = (
        "_breaker",
        "_held",
        "_numbers",
        "_settings",
        "_settlement",
        "_stack",
        "_weighed",
        "at_sink",
        "pending",
        "tumbling",
        "window",
    )

    def __init__(
        self,
        settings: MappingSettings,
        settlement: Settlement,
        breaker: Breaker,
        numbers: Numbers,
        held: Set[bytes],
    ) -> None:
        self._settings = settings
        self._held = held
        self._settlement = settlement
        self._breaker = breaker
        self._numbers = numbers
        self._stack: list[Work] = []
        self.pending: list[ChangeRecord] = []
        self._weighed = Weighed()
        self.at_sink: Work | None = None
        self.window = BatchingWindow(settings)
        self.tumbling: TumblingWindow | None = None
        if settings.tumbling_window_ms:
            self.tumbling = TumblingWindow(
                settings.tumbling_window_ms, settings.tumbling_idle_ms, settlement.window
            )

    @property
    def is_failing(self) -> bool:
        """Whether a batch must be sent again before anything new."""
        return bool(self._stack)

    @property
    def owes_final(self) -> bool:
        """Whether a tumbling window is open."""
        return self.tumbling is not None and self.tumbling.is_open

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to send, or a batch is at the sink."""
        return self.at_sink is not None or not (self.pending or self._stack or self.owes_final)

    def next(self, now: Now, *, is_last: bool) -> Work | None:
        """The batch to send now. Records that became too old are discarded on the way."""
        if self.is_idle:
            return None
        work = self._next(now, is_last=is_last)
        if work is not None and self.tumbling is not None and not work.is_final:
            work.window = self.tumbling.invoke(work.records)
        return work

    def _next(self, now: Now, *, is_last: bool) -> Work | None:
        if self.tumbling is not None and self.tumbling.is_oversized and not self._is_at_final:
            return self._final(self.tumbling)
        while self._stack:
            work = self._stack[-1]
            if not self._takes_over_age(work, now):
                self._stack.pop()
                continue
            if work.ready_ms > now.monotonic_ms:
                return None
            return self._stack.pop()
        return self._fresh(now, is_last=is_last)

    @property
    def _is_at_final(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_final

    def _takes_over_age(self, work: Work, now: Now) -> bool:
        """Discard what is too old of a batch that is to be sent again; returns whether anything is left of
        it.
        """
        if work.is_final:
            if not work.final_is_too_old(self._settings, now):
                return True
            self._final_done(work, "RecordAgeExceeded")
            return False
        over = work.take_over_age(self._settings, now)
        if over:
            self._give_up(over)
            work.request = self._numbers.request()
        return bool(work.records)

    def _final(self, tumbling: TumblingWindow) -> Work:
        """The final invoke of the open window: a batch without records."""
        return Work([], self._numbers.request(), window=tumbling.invoke([]))

    def _fresh(self, now: Now, *, is_last: bool) -> Work | None:
        if self._settings.maximum_record_age_ms != INFINITE:
            self._discard_old(now)
        limit, state_bytes = self._settings.batch_size, 0
        if self.tumbling is not None:
            if self.tumbling.is_over(self.pending, now, is_last=is_last):
                return self._final(self.tumbling)
            if self.pending:
                limit, state_bytes = self.tumbling.leading(self.pending, limit), self.tumbling.state_bytes
        if self._held:
            held = (index for index, record in enumerate(self.pending[:limit]) if record.key in self._held)
            limit = next(held, limit)
        count, is_full = self._weighed.fitting(self.pending, self._settings, limit, state_bytes)
        if not count:
            self.window.close()
            return None
        if not (is_full or is_last or self.window.is_over(now)):
            return None
        self.window.close()
        work = Work(self.pending[:count], self._numbers.request())
        del self.pending[:count]
        self._weighed.forget()
        return work

    def _discard_old(self, now: Now) -> None:
        oldest = oldest_allowed_ms(self._settings, now)
        head = self.pending[: self._settings.batch_size]
        if oldest is not None and any(record.created_ms < oldest for record in head):
            over = [record for record in self.pending if record.created_ms < oldest]
            self.pending = [record for record in self.pending if record.created_ms >= oldest]
            self._weighed.forget()
            self._settlement.give_up([too_old(record) for record in over])

    def finish(self, outcome: Outcome, now: Now) -> None:
        """The sink answered for the batch of this lane."""
        work, self.at_sink = self.at_sink, None
        assert work is not None
        is_probe, work.is_probe = work.is_probe, False
        outcome = outcome if self.tumbling is None else judged(outcome)
        failed = well_formed(outcome, len(work.records))
        if failed is None:
            self._breaker.succeeded(is_probe=is_probe)
            if work.is_final:
                self._final_done(work)
            else:
                self._handled(work.records, outcome)
            return
        match lowest(failed):
            case FailedFrom(index, failure) if index > 0:
                self._breaker.failed(failure, now, is_probe=is_probe)
                self._handled(work.records[:index], outcome)
                self._send_rest(work.records[index:], failure, now)
            case FailedFrom(_, failure):
                self._failed(work, failure, now, is_probe=is_probe)
            case Failure() as failure:
                self._failed(work, failure, now, is_probe=is_probe)

    def _handled(self, records: Sequence[ChangeRecord], outcome: Outcome) -> None:
        """The function accepted these; the state that it made of them is saved with them."""
        if self.tumbling is not None and isinstance(outcome, Written | FailedFrom):
            self.tumbling.accepted(outcome.state)
            self._settlement.window = self.tumbling.current
        self._settlement.settle(records, "handled")

    def _give_up(self, entries: Sequence[GivenUp]) -> None:
        """Records that a batch was tried with are discarded; their window stays open with the state of the
        last success.
        """
        if self.tumbling is not None:
            self._settlement.window = self.tumbling.current
        self._settlement.give_up(entries)

    def _final_done(self, work: Work, given_up: Condition | None = None) -> None:
        """The window is closed: its final invoke succeeded, or will not be tried again."""
        assert self.tumbling is not None
        if given_up is not None:
            self._settlement.give_up_window(work.final_given_up(given_up))
        self.tumbling.close()
        self._settlement.window = self.tumbling.current

    def _send_rest(self, records: Sequence[ChangeRecord], failure: Failure, now: Now) -> None:
        """Progress was made: the rest, whole, is a new batch with a fresh budget, sent at once unless the
        sink is out.
        """
        rest = Work(records, self._numbers.request())
        rest.failed(failure, now)
        rest.ready_ms = now.monotonic_ms + failure.retry_after_ms
        if failure.kind in OUTAGES:
            rest.outages = 1
            rest.ready_ms = now.monotonic_ms + delay_ms(self._settings.backoff, 1, failure.retry_after_ms)
        self._stack.append(rest)

    def _failed(self, work: Work, failure: Failure, now: Now, *, is_probe: bool) -> None:
        self._breaker.failed(failure, now, is_probe=is_probe)
        match work.decided(self._settings, failure, now):
            case RetryAfter():
                self._stack.append(work)
            case Split(size):
                self._stack.append(Work(work.records[size:], self._numbers.request()))
                self._stack.append(Work(work.records[:size], self._numbers.request()))
            case GiveUp():
                if work.is_final:
                    self._final_done(work, "RetryAttemptsExhausted")
                else:
                    self._give_up(work.exhausted())

    def has_in_a_batch(self, key: bytes) -> bool:
        """Whether the batch at the sink, or one that is to be sent again, has a change of this key."""
        batches = self._stack if self.at_sink is None else [*self._stack, self.at_sink]
        return any(record.key == key for work in batches for record in work.records)

    def wake_ms(self, now: Now) -> int | None:
        """When this lane needs a look."""
        if self.at_sink is not None:
            return None
        if self._stack:
            return self._stack[-1].wake_ms(self._settings, now)
        if self.tumbling is not None and not self.pending:
            return self.tumbling.wake_ms(now)
        return self.window.wake_ms


class LaneFlow:
    """All lanes of one shard. A record's lane is its partition key's hash modulo the number of lanes."""

    def __init__(self, settings: MappingSettings, settlement: Settlement, breaker: Breaker) -> None:
        self._breaker = breaker
        self._numbers = Numbers()
        self._capacity = settings.capacity
        self._held: set[bytes] = set()
        self._lanes = [
            Lane(settings, settlement, breaker, self._numbers, self._held)
            for _ in range(settings.parallelization_factor)
        ]
        self._at_sink: dict[int, Lane] = {}

    @property
    def buffered(self) -> int:
        """Records that were never part of a batch."""
        return sum(len(lane.pending) for lane in self._lanes)

    @property
    def in_flight(self) -> int:
        """Batches at the sink."""
        return len(self._at_sink)

    @property
    def blocked(self) -> str | None:
        """A failing batch blocks its lane; when the buffer is full behind it, it blocks the shard."""
        failing = [number for number, lane in enumerate(self._lanes) if lane.is_failing]
        if failing and self.buffered >= self._capacity:
            return f"{self.buffered} records wait behind the failing batch of lane {failing[0]}"
        return None

    @property
    def owes_final(self) -> bool:
        """Whether a tumbling window is open: it is closed before the shard is finished."""
        return self._lanes[0].owes_final

    def not_heard(self) -> None:
        """The source has failed: that nothing comes does not mean that there is nothing."""
        if self._lanes[0].tumbling is not None:
            self._lanes[0].tumbling.not_heard()

    def add(self, records: Sequence[ChangeRecord]) -> None:
        """Take records in reading order."""
        lanes = self._lanes
        if len(lanes) == 1:
            lanes[0].pending.extend(records)
            if lanes[0].tumbling is not None:
                lanes[0].tumbling.heard()
            return
        for record in records:
            lanes[record.partition % len(lanes)].pending.append(record)

    def start(self, now: Now, allowance: Allowance, *, is_last: bool) -> list[Invoke]:
        """Every batch that may start now, at most one a lane."""
        invokes: list[Invoke] = []
        if allowance == "nothing":
            return invokes
        for number, lane in enumerate(self._lanes):
            work = lane.next(now, is_last=is_last)
            if work is None:
                continue
            lane.at_sink = work
            invokes.append(self._numbers.invoke(work, number))
            self._at_sink[invokes[-1].id] = lane
            if allowance == "probe":
                work.is_probe = self._breaker.probing = True
                break
        return invokes

    def finish(self, id: int, outcome: Outcome, now: Now) -> None:
        """The sink answered for this Invoke."""
        self._at_sink.pop(id).finish(outcome, now)

    def hold(self, key: bytes) -> bool:
        """Keep a key from the function for the redriver: its lane waits before the next change of it."""
        if key in self._held or any(lane.has_in_a_batch(key) for lane in self._lanes):
            return False
        self._held.add(key)
        return True

    def release(self, key: bytes) -> None:
        """The redriver is done with it."""
        self._held.discard(key)

    def wake_ms(self, now: Now) -> int | None:
        """The earliest time of any lane."""
        times = [time for lane in self._lanes if (time := lane.wake_ms(now)) is not None]
        return min(times, default=None)
