"""Order by key: a failing key steps aside at its first failure, every other key goes on.

Rules of this file: no key is ever in two batches at once. A key is *held* while an unsettled batch touches
it; its later records wait behind it, in order. While one batch runs and nothing fails, no key is looked at:
a batch is a slice of what waits. Called by shard.py.
"""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from tailrace.mapping.batch import (
    Allowance,
    BatchingWindow,
    Numbers,
    Work,
    oldest_allowed_ms,
    too_old,
    well_formed,
)
from tailrace.mapping.commands import GivenUp, Invoke
from tailrace.mapping.held import HeldKeys, PendingRecords, by_rank, by_sequence
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome
from tailrace.mapping.pace import Breaker, Pace
from tailrace.mapping.parking import Parking
from tailrace.mapping.retry import FREE, OUTAGES, GiveUp, RetryAfter, Split, after_failure
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.mapping.suspension import Suspension
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord

Stack = list[Work]
NO_STACK: Final[Stack] = []
"""Marks a batch whose keys are not held: nothing else runs, so nothing can overtake it."""


class KeyFlow:
    """Records between reading and settling, ordered by key.

    Shape:   `_pending` waits for a batch; `_aside` is a heap of (time, number, batch), `_retrying` their
             keys; `_continuing` are the unresolved halves of bisected batches, the next one last.
    """

    def __init__(
        self,
        settings: MappingSettings,
        settlement: Settlement,
        breaker: Breaker,
        parking: Parking,
        suspension: Suspension,
    ) -> None:
        self._settings, self._settlement = settings, settlement
        self._breaker, self._parking, self._suspension = breaker, parking, suspension
        self._pace = Pace(settings)
        self._unparked: list[GivenUp] = []
        self._numbers = Numbers()
        self._window = BatchingWindow(settings)
        order = by_rank if settings.is_disordered else by_sequence
        self._pending = PendingRecords(shares=settings.concurrency > 1, order=order)
        self._held = HeldKeys(settings.max_per_key, order)
        self._aside: list[tuple[int, int, Work]] = []
        self._continuing: deque[Stack] = deque()
        self._at_sink: dict[int, tuple[Work, Stack]] = {}
        self._serial = 0
        self._retry_first = True

    @property
    def buffered(self) -> int:
        """Records that are in no batch and wait for no key that stands aside."""
        return len(self._pending) + self._parking.queued

    @property
    def in_flight(self) -> int:
        """Batches at the sink."""
        return len(self._at_sink)

    @property
    def retrying_keys(self) -> int:
        """How many keys stand aside."""
        return len(self._held.retrying)

    @property
    def blocked(self) -> str | None:
        """The bound that stops new records, in words."""
        if self._unparked:
            return (
                f"{len(self._parking.keys)} keys are parked, and max_keys is {self._settings.max_keys}: "
                "`tailrace dlq ls` shows them, `tailrace dlq redrive` puts them back"
            )
        if self._parking.blocked is not None or not self._pending:
            return self._parking.blocked
        if self._settings.on_failure == "block" and self._aside:
            return "a failing change holds everything after it (on_failure=Park.shard)"
        if len(self._held.retrying) >= (most := self._settings.max_keys):
            return f"{len(self._held.retrying)} failing keys stand aside, and max_keys is {most}"
        if (fullest := self._held.fullest) is not None:
            most = self._settings.max_per_key
            return f"a failing key has {fullest} later changes waiting, and max_per_key is {most}"
        return None

    @property
    def at_bound(self) -> GivenUp | None:
        """A change that used up its attempts and finds no room to be parked; None: there is none."""
        return self._unparked[0] if self._unparked else None

    @property
    def _takes_nothing_new(self) -> bool:
        """Whether the policy on failure lets no new record start now."""
        is_full = bool(self._unparked or self._parking.full)
        return is_full or (bool(self._aside) and self._settings.on_failure == "block")

    def add(self, records: Sequence[ChangeRecord]) -> None:
        """Take records in reading order."""
        self._pending.add(self._parking.divert(records) if self._parking.keys else records)

    def free(self, records: list[ChangeRecord]) -> None:
        """These records waited behind a parked key, which is free now."""
        self._to_front(records)
        waiting, self._unparked = self._unparked, []
        self._park(waiting)

    def hold(self, key: bytes) -> bool:
        """Let no change of this key start until release(); False when one is at the sink or stands aside."""
        is_at_sink = any(record.key == key for work, _ in self._at_sink.values() for record in work.records)
        return not is_at_sink and self._held.hold_key(key)

    def is_held(self, key: bytes) -> bool:
        """Whether changes of this key are in a batch."""
        return self._held.is_held(key)

    def release(self, key: bytes) -> None:
        """The opposite of hold()."""
        self._to_front(self._held.release_key(key))

    # ---- what may start ------------------------------------------------------------------------------------

    def start(self, now: Now, allowance: Allowance, *, is_last: bool) -> list[Invoke]:
        """Every batch that may start now, up to the concurrency; one record for a probe or a sample."""
        invokes: list[Invoke] = []
        is_probe, is_sample = allowance == "probe", self._suspension.now is not None
        if back := self._pace.due(now):
            self._held.retrying.difference_update(record.key for record in back)
            self._to_front(self._held.put_back(back))
        most = self._settings.concurrency if is_probe or is_sample else self._pace.slots(now)
        while allowance != "nothing" and len(self._at_sink) < most:
            taken = self._sample(now) if is_sample else self._next(now, is_last=is_last, is_probe=is_probe)
            if taken is None:
                break
            work, stack = taken
            invokes.append(self._numbers.invoke(work, 0))
            self._at_sink[invokes[-1].id] = (work, stack)
            work.is_sample = self._suspension.sampling = is_sample
            work.is_check = self._pace.begin(now)
            if is_probe:
                work.is_probe = self._breaker.probing = True
            if is_probe or is_sample:
                break
        return invokes

    def _sample(self, now: Now) -> tuple[Work, Stack] | None:
        """One record to try while the mapping is paused: of a key never tried, else the longest waiting."""
        if not self._suspension.may_sample(now):
            return None
        tried = set(self._suspension.sampled)
        for place, record in enumerate(self._pending.records):
            if record.key not in tried and self._held.is_free(record):
                self._pending.replace([*self._pending.records[:place], *self._pending.records[place + 1 :]])
                self._held.hold([record])
                return Work([record], self._numbers.request()), []
            tried.add(record.key)  # its later changes come after it
        self._suspension.sampled.clear()
        if self._aside:
            return heappop(self._aside)[2], []
        if self._unparked:
            return self._tried_again(self._unparked.pop(0)), []
        return self._next_half(now, is_probe=True)

    def _tried_again(self, entry: GivenUp) -> Work:
        """A change that was given up and could not be parked, as a batch with all of its attempts."""
        self._held.retrying.discard(entry.record.key)
        return Work([entry.record], self._numbers.request())

    def go_on(self, now: Now) -> None:
        """The mapping goes on: what could not be parked is tried again, with all of its attempts."""
        waiting, self._unparked = self._unparked, []
        for entry in waiting:
            work = self._tried_again(entry)
            self._held.retrying.add(entry.record.key)
            work.ready_ms = now.monotonic_ms
            self._step_aside(work, now)

    def _next(self, now: Now, *, is_last: bool, is_probe: bool) -> tuple[Work, Stack] | None:
        """Halves first; then retries and new records take turns, so that neither starves the other."""
        half = self._next_half(now, is_probe=is_probe) if self._continuing else None
        if half is not None:
            return half
        if self._retry_first and self._aside:
            self._retry_first = False
            return self._next_aside(now) or self._next_fresh(now, is_last=is_last, is_probe=is_probe)
        self._retry_first = True
        return self._next_fresh(now, is_last=is_last, is_probe=is_probe) or self._next_aside(now)

    def _next_half(self, now: Now, *, is_probe: bool) -> tuple[Work, Stack] | None:
        while self._continuing:
            stack = self._continuing[0]
            if not stack:
                self._continuing.popleft()
                continue
            work = stack.pop()
            self._leave_behind(work)
            self._discard_old(work, now)
            if not work.records:
                continue
            if is_probe and len(work.records) > 1:
                stack.append(Work(work.records[1:], self._numbers.request()))
                work = Work(work.records[:1], self._numbers.request())
            self._continuing.popleft()
            return work, stack
        return None

    def _leave_behind(self, work: Work) -> None:
        """Take the records whose key has stepped aside meanwhile out of a half."""
        parked = [record for record in work.records if record.key in self._parking.keys]
        if parked:
            work.records = [record for record in work.records if record.key not in self._parking.keys]
            work.request = self._numbers.request()
            self._to_front(self._held.put_back(parked))
        if not any(record.key in self._held.retrying for record in work.records):
            return
        self._held.move_behind([record for record in work.records if record.key in self._held.retrying])
        work.records = [record for record in work.records if record.key not in self._held.retrying]
        work.request = self._numbers.request()

    def _next_aside(self, now: Now) -> tuple[Work, Stack] | None:
        while self._aside and self._aside[0][0] <= now.monotonic_ms:
            work = heappop(self._aside)[2]
            self._discard_old(work, now)
            if not work.records:
                continue
            if work.ready_ms > now.monotonic_ms:
                self._step_aside(work, now)
                continue
            return work, []
        return None

    def _next_fresh(self, now: Now, *, is_last: bool, is_probe: bool) -> tuple[Work, Stack] | None:
        if self._pending.records:
            self._discard_old_pending(now)
        if not self._pending.records:
            self._window.close()
            return None
        room = self._settings.max_keys - len(self._held)
        limit = min(self._pace.batch_size, room, 1 if is_probe else room)
        if limit <= 0 or self._takes_nothing_new:
            return None
        count, is_full = self._pending.fitting(self._settings, limit)
        if not (is_full or is_last or self._window.is_over(now)):
            return None
        self._window.close()
        if not self._held and self._settings.concurrency == 1:
            return Work(self._pending.take_first(count), self._numbers.request()), NO_STACK
        records = self._pending.take_share(self._held, self._settings, limit)
        if not records:
            return None
        self._held.hold(records)
        return Work(records, self._numbers.request()), []

    # ---- what the sink answered ----------------------------------------------------------------------------

    def finish(self, id: int, outcome: Outcome, now: Now) -> None:
        """The sink answered for this Invoke."""
        work, stack = self._at_sink.pop(id)
        failed = well_formed(outcome, len(work.records))
        is_direct = stack is NO_STACK
        if failed is None:
            self._breaker.succeeded(is_probe=work.is_probe)
            self._pace.answered(len(work.records), 0, now, is_check=work.is_check)
            self._pace.answered_for(work.records)
            self._succeeded(now)
            self._settlement.settle(work.records, "handled")
            if not is_direct and not self._goes_on(work, now):
                self._to_front(self._held.settle(work.records))
        else:
            if is_direct:
                stack = []
                self._held.hold(work.records)
            self._held.retrying.difference_update(record.key for record in work.records)
            if work.is_sample and self._suspension.now is not None:
                self._sample_failed(work, failed, now)
            else:
                self._failed(work, stack, failed, now)
        if stack:
            self._continuing.append(stack)

    def _goes_on(self, work: Work, now: Now) -> bool:
        """Give a busy key its next batch at once, when that takes no slot from another."""
        settings = self._settings
        busy = self._pending.keys + len(self._at_sink) + len(self._continuing)
        if busy >= self._pace.slots(now) or settings.batching_window_ms or settings.on_failure == "block":
            return False
        records = self._held.next_of(work.records, settings)
        if records:
            self._continuing.append([Work(records, self._numbers.request())])
        return bool(records)

    def _succeeded(self, now: Now) -> None:
        """The handler has accepted something: it does not fail at everything."""
        was_suspended = self._suspension.now is not None
        if was_suspended or self._suspension.failing:
            self._suspension.succeeded()
        if was_suspended:
            self.go_on(now)

    def _sample_failed(self, work: Work, failed: Failed | FailedFrom, now: Now) -> None:
        """The sample goes back to where it waited; it has used up no attempt."""
        match failed:
            case FailedFrom(_, failure):
                pass
            case Failed(failures, whole):
                failure = whole or next(iter(failures.values()))
        is_probe, work.is_probe = work.is_probe, False
        self._breaker.failed(failure, now, is_probe=is_probe)
        self._suspension.sample_failed(work.records[0].key, now)
        if not work.attempts:
            self._to_front(self._held.put_back(work.records))
            return
        self._held.retrying.update(record.key for record in work.records)
        work.ready_ms = self._suspension.ready_ms
        self._step_aside(work, now)

    def _failed(self, work: Work, stack: Stack, failed: Failed | FailedFrom, now: Now) -> None:
        match failed:
            case FailedFrom(index, failure):
                rest = work.records[index + 1 :]
                work.records, before = work.records[: index + 1], work.records
                if rest:
                    stack.append(Work(rest, self._numbers.request()))
                self._some_failed(work, {index: failure}, now, is_alone=len(before) == 1)
            case Failed(failures, None):
                self._some_failed(work, dict(failures), now, is_alone=len(work.records) == 1)
            case Failed(_, whole) if whole is not None and len(work.records) == 1:
                self._some_failed(work, {0: whole}, now, is_alone=True)
            case Failed(_, whole):
                assert whole is not None
                self._whole_failed(work, stack, whole, now)

    def _some_failed(self, work: Work, failures: dict[int, Failure], now: Now, *, is_alone: bool) -> None:
        """Settle what was accepted; each failing key steps aside with its first failed record."""
        is_probe, work.is_probe = work.is_probe, False
        accepted: list[ChangeRecord] = []
        heads: dict[bytes, tuple[ChangeRecord, Failure]] = {}
        later: list[ChangeRecord] = []
        for index, record in enumerate(work.records):
            if record.key in heads:
                later.append(record)
            elif index in failures:
                heads[record.key] = (record, failures[index])
            else:
                accepted.append(record)
        if accepted:
            self._succeeded(now)
        self._settlement.settle(accepted, "handled")
        self._held.retrying.update(heads)
        self._held.move_behind(later)
        self._to_front(self._held.settle(accepted))
        refused = sum(failure.kind in OUTAGES for _, failure in heads.values())
        is_outage = self._pace.answered(len(accepted), refused, now, is_check=work.is_check)
        self._pace.answered_for(accepted)
        for record, failure in heads.values():
            self._breaker.failed(
                failure, now, is_probe=is_probe, is_outage=is_outage or self._settings.on_failure == "block"
            )
            is_probe = is_probe and self._breaker.is_open
            head = work if is_alone else Work([record], self._numbers.request())
            self._work_failed(head, failure, now, is_probe=is_probe)

    def _whole_failed(self, work: Work, stack: Stack, failure: Failure, now: Now) -> None:
        is_probe, work.is_probe = work.is_probe, False
        refused = len(work.records) if failure.kind in OUTAGES else 0
        is_outage = self._pace.answered(0, refused, now, is_check=work.is_check)
        self._breaker.failed(
            failure, now, is_probe=is_probe, is_outage=is_outage or self._settings.on_failure == "block"
        )
        is_probe = is_probe and self._breaker.is_open
        if failure.kind in OUTAGES and self._breaker.is_open and not work.attempts:
            self._to_front(
                self._held.put_back([record for piece in (work, *stack) for record in piece.records])
            )
            stack.clear()
            return
        halves = self._work_failed(work, failure, now, is_probe=is_probe)
        stack.extend(reversed(halves))

    def _work_failed(self, work: Work, failure: Failure, now: Now, *, is_probe: bool) -> list[Work]:
        """Retry later, give up, or split: then the halves are returned."""
        work.failed(failure, now)
        is_outage = is_probe or failure.kind in FREE
        work.attempts += not is_outage
        work.outages = work.outages + 1 if is_outage else 0
        size = len(work.records)
        decision = after_failure(
            self._settings, failure, size=size, attempts=work.attempts, outages=work.outages, probing=is_probe
        )
        if not is_outage:
            self._pace.answered_for(work.records)
        if not is_outage and not isinstance(decision, Split):
            self._suspension.failed([record.key for record in work.records], failure)
        match decision:
            case RetryAfter(delay, _):
                self._held.retrying.update(record.key for record in work.records)
                if not is_probe and self._pace.takes(work, failure, now, is_open=self._breaker.is_open):
                    return []
                is_gated = failure.kind in OUTAGES and self._breaker.is_open
                work.ready_ms = now.monotonic_ms + (failure.retry_after_ms if is_gated else delay)
                self._step_aside(work, now)
            case Split(size):
                return [
                    Work(part, self._numbers.request()) for part in (work.records[:size], work.records[size:])
                ]
            case GiveUp() if self._settings.on_failure == "block":
                work.ready_ms = now.monotonic_ms + max(self._settings.backoff.cap_ms, failure.retry_after_ms)
                self._held.retrying.update(record.key for record in work.records)
                self._step_aside(work, now)
            case GiveUp():
                self._give_up(work.exhausted())
        return []

    # ---- stepping aside and coming back --------------------------------------------------------------------

    def _step_aside(self, work: Work, now: Now) -> None:
        self._serial += 1
        heappush(self._aside, (work.wake_ms(self._settings, now), self._serial, work))

    def _to_front(self, records: list[ChangeRecord]) -> None:
        """What waited comes back, in reading order: every slice of what is pending is a batch."""
        if records:
            self._pending.add_in_order(self._parking.divert(records))

    # ---- giving up -----------------------------------------------------------------------------------------

    def _give_up(self, given_up: list[GivenUp]) -> None:
        """By the policy; what was never tried is no failing key, and its age discards it."""
        if not given_up:
            return
        if self._settings.on_failure == "park" and given_up[0].failure is not None:
            self._park(given_up)
            return
        if self._settings.on_failure == "drop":
            self._settlement.settle([entry.record for entry in given_up], "dropped")
        else:
            self._settlement.give_up(given_up)
        self._to_front(self._held.settle([entry.record for entry in given_up]))

    def _park(self, given_up: list[GivenUp]) -> None:
        """Each key leaves the flow with all that waits behind it; without room the shard waits."""
        freed: list[ChangeRecord] = []
        for entry in given_up:
            if not self._parking.has_room(entry.record.key):
                self._held.retrying.add(entry.record.key)
                self._unparked.append(entry)
                continue
            self._parking.add(entry)
            freed += self._held.settle([entry.record])
        if any(record.key in self._parking.keys for record in self._pending.records):
            self._pending.replace(list(self._parking.divert(self._pending.records)))
        self._to_front(freed)

    def _discard_old(self, work: Work, now: Now) -> None:
        size = len(work.records)
        self._give_up(work.take_over_age(self._settings, now))
        if 0 < len(work.records) < size:
            work.request = self._numbers.request()

    def _discard_old_pending(self, now: Now) -> None:
        oldest = oldest_allowed_ms(self._settings, now)
        if oldest is None:
            return
        head = self._pending.records[: self._settings.batch_size]
        if not any(record.created_ms < oldest for record in head):
            return
        over = [r for r in self._pending.records if r.created_ms < oldest and self._held.is_free(r)]
        gone = {record.sequence for record in over}
        self._pending.replace([record for record in self._pending.records if record.sequence not in gone])
        if self._settings.on_failure == "drop":
            self._settlement.settle(over, "dropped")
        else:
            self._settlement.give_up([too_old(record) for record in over])

    def wake_ms(self, now: Now) -> int | None:
        """The earliest back-off or window, when there is a place at the sink for what it brings."""
        if len(self._at_sink) >= self._settings.concurrency:
            return None
        if self._pace.ready_ms > now.monotonic_ms:  # before that nothing starts, whatever is due
            return self._pace.ready_ms
        times = self._pace.wakes + ([self._aside[0][0]] if self._aside else [])
        if self._pending and self._window.wake_ms is not None and not self._takes_nothing_new:
            times.append(self._window.wake_ms)
        return min(times, default=None)
