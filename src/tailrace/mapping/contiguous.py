"""Order of the whole shard: contiguous batches, one in flight, in sequence; what is settled has no holes.

Theory of operation. A target that owns its position, or that keeps a log, wants every change of a shard in
the order of the shard, and one number that says how far it is. So a batch follows the one before it only when
that is accepted to its end; a failure repeats from the first record that was not accepted; a record that the
target refuses is found, by its index or by halves, and leaves the flow alone: as a dead letter, or, where
nothing may be left out (`on_failure="block"`), by stopping the shard in words until it is accepted. What a
filter refuses is settled in its turn, not when it is read. A target that has the position beside its rows
(`is_transactional`) accepts a batch whole or not at all, whichever record it names.
Rules of this file: settled is always a prefix of what was read, so that a checkpoint needs no ranges. Only
RECORD is a refusal: an outage and a time-out say nothing about a record, and are waited out. Nothing is too
old. Called by shard.py. Source: growth §2.4, §5.
"""

from bisect import bisect_left
from collections.abc import Sequence

from tailrace.mapping.batch import Allowance, BatchingWindow, Numbers, Weighed, Work, lowest, well_formed
from tailrace.mapping.commands import Invoke
from tailrace.mapping.held import by_sequence
from tailrace.mapping.outcomes import FailedFrom, Failure, FailureKind, Outcome, first_line
from tailrace.mapping.pace import Breaker
from tailrace.mapping.parking import Parking
from tailrace.mapping.retry import GiveUp, RetryAfter, Split
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord


class ContiguousFlow:
    """Records between reading and settling, in the order of their shard.

    Shape:   in reading order there is the batch at the sink, then `_again` (batches to be sent again, the
             next one last), then `_pending`; `_filtered` are those that no filter let through, between the
             others.
    """

    def __init__(
        self, settings: MappingSettings, settlement: Settlement, breaker: Breaker, parking: Parking
    ) -> None:
        self._settings = settings
        self._settlement = settlement
        self._breaker = breaker
        self._parking = parking
        self._numbers = Numbers()
        self._window = BatchingWindow(settings)
        self._pending: list[ChangeRecord] = []
        self._weighed = Weighed()
        self._filtered: list[ChangeRecord] = []
        self._again: list[Work] = []
        self._at_sink: Work | None = None
        self._refused: Work | None = None
        self._held: set[bytes] = set()

    @property
    def buffered(self) -> int:
        """Records that were never part of a batch."""
        return len(self._pending) + len(self._filtered)

    @property
    def in_flight(self) -> int:
        """Batches at the sink: one at most."""
        return 0 if self._at_sink is None else 1

    @property
    def blocked(self) -> str | None:
        """What nothing may pass: keys parked by another order, a refused record, or a failing batch with a
        full buffer behind it.
        """
        if self._parking.keys:
            return (
                f"{len(self._parking.keys)} keys were parked before order='shard' began, and their "
                "changes come first: "
                "`tailrace dlq ls` shows them, `tailrace dlq redrive` puts them back"
            )
        if self._refused is not None and self._refused.failure is not None:
            return (
                f"record {self._refused.records[0].sequence} is refused "
                f"({first_line(self._refused.failure.error)}), and nothing of the shard may be left out "
                "(order='shard', on_failure='block'): it is tried again until it is accepted"
            )
        if self._again and self.buffered >= self._settings.capacity:
            return (
                f"{self.buffered} records wait behind the failing batch that begins with record "
                f"{self._again[-1].records[0].sequence}"
            )
        return None

    def add(self, records: Sequence[ChangeRecord]) -> None:
        """Take records in reading order; those that the filter refuses too, which are settled when their turn
        comes.
        """
        accepts = self._settings.accepts
        if accepts is None:
            self._pending.extend(records)
            return
        for record in records:
            (self._pending if accepts(record) else self._filtered).append(record)
        self._pass_filtered()

    # ---- what may start ------------------------------------------------------------------------------------

    def start(self, now: Now, allowance: Allowance, *, is_last: bool) -> list[Invoke]:
        """The next batch, when none is at the sink."""
        if allowance == "nothing" or self._at_sink is not None or self._parking.keys:
            return []
        work = self._next_again(now) if self._again else self._next_fresh(now, is_last=is_last)
        if work is None:
            return []
        self._at_sink = work
        if allowance == "probe":
            work.is_probe = self._breaker.probing = True
        return [self._numbers.invoke(work, 0)]

    def _next_again(self, now: Now) -> Work | None:
        return self._again.pop() if self._again[-1].ready_ms <= now.monotonic_ms else None

    def _next_fresh(self, now: Now, *, is_last: bool) -> Work | None:
        limit = self._settings.batch_size
        if self._held:
            held = (index for index, record in enumerate(self._pending[:limit]) if record.key in self._held)
            limit = next(held, limit)
        count, is_full = self._weighed.fitting(self._pending, self._settings, limit)
        if not count:
            self._window.close()
            return None
        if not (is_full or is_last or self._window.is_over(now)):
            return None
        self._window.close()
        records = self._pending[:count]
        del self._pending[:count]
        self._weighed.forget()
        return Work(records, self._numbers.request(), through=self._through(records))

    def _through(self, records: Sequence[ChangeRecord]) -> int:
        """Where the shard stands when these are accepted: with what no filter let through behind them."""
        last, behind = records[-1].sequence, self._pending
        count = bisect_left(self._filtered, behind[0].sequence, key=by_sequence) if behind else None
        filtered = self._filtered[:count]
        return max(last, filtered[-1].sequence) if filtered else last

    def _part(self, work: Work, first: int, end: int) -> Work:
        """Some records of a batch, as a batch of their own: the last part leads to where all of it led."""
        records = work.records[first:end]
        is_last = end >= len(work.records)
        return Work(
            records, self._numbers.request(), through=work.through if is_last else records[-1].sequence
        )

    # ---- what the sink answered ----------------------------------------------------------------------------

    def finish(self, id: int, outcome: Outcome, now: Now) -> None:
        """The sink answered for this Invoke."""
        work, self._at_sink = self._at_sink, None
        assert work is not None
        is_probe, work.is_probe = work.is_probe, False
        failed = well_formed(outcome, len(work.records))
        if failed is None:
            self._breaker.succeeded(is_probe=is_probe)
            self._handled(work.records)
        else:
            match lowest(failed):
                case FailedFrom(index, failure):
                    self._breaker.failed(failure, now, is_probe=is_probe)
                    self._failed_at(work, index, failure, now)
                case Failure() as failure:
                    self._breaker.failed(failure, now, is_probe=is_probe)
                    self._failed(work, failure, now)
        self._pass_filtered()

    def _handled(self, records: Sequence[ChangeRecord]) -> None:
        if records:
            self._refused = None
            self._settlement.settle(records, "handled")

    def _failed_at(self, work: Work, index: int, failure: Failure, now: Now) -> None:
        """The target named the first record that it did not accept. Where it refuses that one, it goes on
        alone: it is found already. A target that has the position has accepted nothing of the others either.
        """
        if self._settings.is_transactional and index:
            self._again_in_parts(work, index, failure, now)
            return
        self._handled(work.records[:index])
        size = end = len(work.records)
        if failure.kind is FailureKind.RECORD and size - index > 1:
            end = index + 1
            self._again.append(self._part(work, end, size))
        self._failed(work if end - index == size else self._part(work, index, end), failure, now)

    def _again_in_parts(self, work: Work, index: int, failure: Failure, now: Now) -> None:
        """What comes before a refused record is to be accepted first; the record has its attempts alone."""
        if failure.kind is not FailureKind.RECORD:
            self._failed(work, failure, now)
            return
        for first, end in ((index + 1, len(work.records)), (index, index + 1), (0, index)):
            if first < end:
                self._again.append(self._part(work, first, end))

    def _failed(self, work: Work, failure: Failure, now: Now) -> None:
        match work.decided(self._settings, failure, now):
            case RetryAfter():
                self._again.append(work)
            case Split(size):
                self._again += [self._part(work, size, len(work.records)), self._part(work, 0, size)]
            case GiveUp():
                self._refuse(work, failure, now)

    def _refuse(self, work: Work, failure: Failure, now: Now) -> None:
        """The target refuses this one record: its dead letter goes into the commit that passes it, or the
        shard stops at it.
        """
        if self._settings.on_failure == "discard":
            (given_up,) = work.exhausted()
            self._settlement.give_up_now(given_up)
            return
        work.ready_ms = now.monotonic_ms + max(self._settings.backoff.cap_ms, failure.retry_after_ms)
        self._refused = work
        self._again.append(work)

    # ---- what needs no batch -------------------------------------------------------------------------------

    def _pass_filtered(self) -> None:
        """Settle what no filter let through as far as everything before it is settled."""
        if not self._filtered:
            return
        waiting = self._at_sink or (self._again[-1] if self._again else None)
        records = self._pending if waiting is None else waiting.records
        count = (
            bisect_left(self._filtered, records[0].sequence, key=by_sequence)
            if records
            else len(self._filtered)
        )
        if count:
            self._settlement.settle(self._filtered[:count], "filtered")
            del self._filtered[:count]

    def hold(self, key: bytes) -> bool:
        """Keep a key from the target for the redriver: the shard waits before the next change of it."""
        batches = self._again if self._at_sink is None else [*self._again, self._at_sink]
        if key in self._held or any(record.key == key for work in batches for record in work.records):
            return False
        self._held.add(key)
        return True

    def release(self, key: bytes) -> None:
        """The redriver is done with it."""
        self._held.discard(key)

    def wake_ms(self, now: Now) -> int | None:
        """The end of the back-off of what is sent again, or of the window."""
        if self._at_sink is not None or self._parking.keys:
            return None
        return self._again[-1].ready_ms if self._again else self._window.wake_ms
