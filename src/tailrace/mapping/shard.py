"""THE machine: one per mapping and shard. `commands = machine.step(completion, now)`.

Theory of operation. A record is *read*, then owned by a flow (keys.py, lane.py or contiguous.py) until it is
*settled*: handled, filtered, parked or discarded. Settling moves the low watermark; a checkpoint saves the
watermark, the settled ranges above it, the ledger and whatever was given up in one transaction. Each step
applies one completion, then asks for everything that became possible: batches, a checkpoint, a read, a
wake-up, the end. A step costs per batch, never per record.

Rules of this file: no clock, no randomness, no waiting: time is told, waiting is a Wake. At most one Read,
one SaveCheckpoint and one Wake are outstanding; every command but a Read or Wake that Stop overtakes is
answered. A checkpoint never passes a record that is not settled. After Stopped nothing comes. Called by
runtime/driver.py, by scenarios and by the simulation.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, assert_never

from tailrace.errors import InternalError
from tailrace.mapping.batch import Flow
from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    CheckpointFailed,
    Command,
    Completion,
    InvokeDone,
    LeaseTaken,
    ParkDone,
    ParkFailed,
    Pause,
    Read,
    ReadFailed,
    Redriven,
    Released,
    Resume,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.contiguous import ContiguousFlow
from tailrace.mapping.intake import Intake
from tailrace.mapping.keys import KeyFlow
from tailrace.mapping.lane import LaneFlow
from tailrace.mapping.outcomes import Failure, first_line
from tailrace.mapping.pace import Breaker, Waiting
from tailrace.mapping.parking import Parking
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.mapping.suspension import Suspended, Suspension
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.streams.version import NOTHING, Version

Phase: TypeAlias = Literal["new", "running", "stopping", "lost", "stopped"]


class ShardMachine:
    """Decides everything that happens to the records of one shard in one mapping."""

    def __init__(self, settings: MappingSettings) -> None:
        self._settings = settings
        self._capacity = settings.capacity
        self._by_item = settings.ordered_by == "item"
        self._phase: Phase = "new"
        self._paused = False
        self._closed = False
        self._reading = False
        self._saving = False
        self._wake_ms: int | None = None
        self._saved_ms = 0
        self._source = Waiting()
        self._state = Waiting()
        self._breaker = Breaker(settings.breaker)
        self._parks = Waiting()
        self._settlement = Settlement(Checkpoint())
        self._intake: Intake | None = None
        self._parking = Parking(settings, self._settlement)
        self._kept: set[bytes] = set()
        self._suspension = Suspension(settings.max_keys)
        self._flow: Flow = self._make_flow()

    def _make_flow(self) -> Flow:
        settings, settlement, breaker = self._settings, self._settlement, self._breaker
        match settings.order:
            case "key":
                return KeyFlow(settings, settlement, breaker, self._parking, self._suspension)
            case "lane":
                return LaneFlow(settings, settlement, breaker)
            case "shard":
                return ContiguousFlow(settings, settlement, breaker, self._parking)
            case _:
                assert_never(settings.order)

    # ---- what others may see -------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where the machine is in its life."""
        return self._phase

    @property
    def watermark(self) -> int:
        """Every record up to this sequence number is settled."""
        return self._settlement.watermark.value

    @property
    def position(self) -> int:
        """The last sequence number that was read."""
        return self._settlement.watermark.position

    @property
    def unbalanced(self) -> int:
        """Records whose ends do not add up with those that were read: 0."""
        return self._settlement.unbalanced

    @property
    def unsettled(self) -> int:
        """Records read and not settled."""
        return self._settlement.watermark.unsettled

    @property
    def oldest_unsettled_ms(self) -> int | None:
        """When the oldest record read and not settled was written (since the epoch): the lag is now minus
        this.
        """
        return self._settlement.watermark.oldest_open_ms

    @property
    def totals(self) -> dict[str, int]:
        """Records by outcome since this machine started."""
        return {str(outcome): count for outcome, count in self._settlement.totals.items()}

    @property
    def _is_full(self) -> bool:
        return self._settlement.open_bytes >= self._settings.buffer_bytes

    @property
    def is_reading(self) -> bool:
        """Whether the source owes it an answer; not while it backs off from a source that fails."""
        return self._reading

    @property
    def in_flight(self) -> int:
        """Batches at the sink."""
        return self._flow.in_flight

    @property
    def retrying_keys(self) -> int:
        """Failing keys that stand aside (0 in lanes: there the batch waits)."""
        return self._flow.retrying_keys if isinstance(self._flow, KeyFlow) else 0

    @property
    def parked_keys(self) -> int:
        """Keys of this shard that are parked, or about to be."""
        return len(self._parking.keys)

    @property
    def parked_tails(self) -> dict[bytes, Version]:
        """The last durably parked change of each key that this machine takes for parked."""
        return {key: parked.tail for key, parked in self._parking.keys.items() if parked.tail != NOTHING}

    @property
    def is_finished(self) -> bool:
        """The shard is closed and every record of it is settled; while a key is kept for the redriver, no
        shard that continues it may begin.
        """
        is_settled = self._closed and self._settlement.is_complete
        return is_settled and not self._owes_final and not self._kept

    @property
    def _owes_final(self) -> bool:
        return isinstance(self._flow, LaneFlow) and self._flow.owes_final

    @property
    def blocked(self) -> str | None:
        """Why the shard does not go on, in words for people; None: it does."""
        if self._state.failures:
            return "checkpoints cannot be saved"
        if self._parks.failures:
            return "failing keys cannot be parked: the state store does not answer"
        if not self._settlement.watermark.is_compact(self._settings.max_ranges):
            return f"a checkpoint would hold more than {self._settings.max_ranges} ranges (max_ranges)"
        if self._is_full and self.retrying_keys:
            return (
                f"the records behind failing keys weigh {self._settlement.open_bytes:,} bytes (buffer_bytes)"
            )
        if self._suspension.now is not None:
            return (
                f"it has paused: no more keys can be parked (max_keys is {self._settings.max_keys}), "
                "and the last ones tried all failed with "
                f"{first_line(self._suspension.now.error)!r}; one change a minute is tried, and "
                "another version of the code, or `tailrace resume`, goes on"
            )
        if self._breaker.is_open:
            cause = f" ({first_line(self._breaker.error)})" if self._breaker.error else ""
            return (
                f"{self._settings.id} cannot reach its other side{cause}; one change at a time is tried "
                "until it answers"
            )
        return self._flow.blocked

    @property
    def suspended(self) -> Suspended | None:
        """Why the mapping has paused by itself in this shard; None: it has not."""
        return self._suspension.now

    def hold(self, key: bytes) -> bool:
        """Keep a key from the sink for the redriver, until Released; False: a change of it is in flight."""
        # A machine that is to start knows of nothing on its way; what continues a finished one may have
        # begun.
        is_kept = self._phase != "new" and not self.is_finished and self._flow.hold(key)
        if is_kept:
            self._kept.add(key)
        return is_kept

    def last_passed(self, key: bytes) -> Version:
        """The last change of a key with dead letters that was handled; 0: none."""
        return self._settlement.watched.get(key, NOTHING)

    # ---- the step ------------------------------------------------------------------------------------------

    def step(self, completion: Completion, now: Now) -> list[Command]:
        """Apply one completion, then ask for everything that became possible."""
        if self._phase == "stopped":
            return []
        self._apply(completion, now)
        if self._phase == "new":
            return []
        if self._intake is not None and self._phase == "running":
            self._accept(self._intake.pass_time(now, can_read=self._can_read))
        self._consider_suspension(now)
        commands: list[Command] = []
        self._ask_for_invokes(commands, now)
        self._ask_for_parks(commands, now)
        finished = self.is_finished
        has_news = self._ask_for_checkpoint(commands, now, finished=finished)
        self._ask_for_read(commands, now)
        self._ask_for_end(commands, finished=finished, has_news=has_news)
        self._ask_for_wake(commands, now, has_news=has_news)
        return commands

    def _apply(self, completion: Completion, now: Now) -> None:
        match completion:
            case InvokeDone(id, outcome):
                self._flow.finish(id, outcome, now)
            case ReadDone():
                self._read_done(completion, now)
            case CheckpointDone():
                self._checkpoint_done(now)
            case Woken():
                self._wake_ms = None
            case ReadFailed(failure):
                self._reading = False
                if self._intake is not None:
                    self._intake.hears_nothing()
                self._source.failed(failure, now)
                if isinstance(self._flow, LaneFlow):
                    self._flow.not_heard()
            case CheckpointFailed(failure):
                self._checkpoint_failed(failure, now)
            case ParkDone(id, is_free):
                self._parks.succeeded()
                if is_free:
                    self._lift_suspension(now)
                self._free(self._parking.done(id, is_free=is_free))
            case ParkFailed(id, failure):
                self._parks.failed(failure, now)
                self._parking.failed(id)
            case Start():
                self._start(completion, now)
            case Stop():
                self._stop()
            case LeaseTaken():
                self._phase = "lost"
            case Pause():
                self._paused = True
            case Resume():
                self._paused = False
                self._lift_suspension(now)
            case Redriven(key, version, passed):
                if key in self._settlement.watched:
                    self._settlement.note_redriven(key, passed)
                self._lift_suspension(now)  # the handler has accepted something, or there is room again
                self._free(self._parking.redriven(key, version))
            case Released(key, passed):
                self._settlement.note_redriven(key, passed)
                if key in self._kept:  # every machine is told; where it was not kept a batch may have it
                    self._kept.remove(key)
                    self._flow.release(key)
            case _:
                assert_never(completion)

    def _free(self, records: list[ChangeRecord]) -> None:
        if isinstance(self._flow, KeyFlow):
            self._flow.free(records)

    def _start(self, start: Start, now: Now) -> None:
        if self._phase != "new":
            raise InternalError("a machine is started once")
        self._phase = "running"
        self._saved_ms = now.monotonic_ms
        checkpoint, is_strict = self._begins_at(start.checkpoint), self._settings.is_transactional
        if self._settings.is_disordered:
            self._intake = Intake(self._settings, start)
            self._settlement = self._intake.settlement
        else:
            self._settlement = Settlement(checkpoint, start.passed, is_strict=is_strict)
        if not self._settings.tumbling_window_ms:
            self._settlement.window = None  # it had windows once: what is left of the last one is forgotten
        # Behind a claim of a discarded change nothing waits yet: only where keys can be parked does anything
        # come to wait there.
        heads = [head for head in start.parked if head.count or self._settings.order == "key"]
        self._parking = Parking(self._settings, self._settlement, heads)
        self._suspension = Suspension(self._settings.max_keys, self._settlement.suspended)
        self._flow = self._make_flow()
        self._closed = start.checkpoint.finished
        if self._intake is not None:
            self._accept(self._intake.begin(start))

    def _begins_at(self, checkpoint: Checkpoint) -> Checkpoint:
        """What a checkpoint of another order means in this one: only by keys does a mapping pause by itself,
        and a whole shard knows no ranges.
        """
        if self._settings.order != "key":
            checkpoint = replace(checkpoint, suspended=None)
        return replace(checkpoint, ranges=()) if self._settings.order == "shard" else checkpoint

    def _consider_suspension(self, now: Now) -> None:
        """Pause, in place of blocking, when no more keys can be parked and everything fails alike."""
        if not isinstance(self._flow, KeyFlow):
            return
        if self._suspension.now is None:
            entry = self._flow.at_bound
            if entry is not None and entry.failure is not None and self._suspension.is_convinced:
                self._suspension.begin(entry.failure, now)
        self._settlement.suspended = self._suspension.now

    def _lift_suspension(self, now: Now) -> None:
        if self._suspension.now is not None and isinstance(self._flow, KeyFlow):
            self._suspension.lift()
            self._flow.go_on(now)

    def _stop(self) -> None:
        if self._phase == "new":
            self._phase = "lost"  # nothing was read, so there is nothing to save
        elif self._phase == "running":
            self._phase = "stopping"

    def _read_done(self, done: ReadDone, now: Now) -> None:
        if not self._reading or self._phase != "running":
            return
        self._reading = False
        self._source.succeeded()
        settlement, before = self._settlement, self._settlement.watermark.position
        records = done.records
        if records and records[0].sequence <= before:
            records = [record for record in records if record.sequence > before]
        if done.trimmed:
            last = records[0].sequence - 1 if records else done.next_after
            until_ms = records[0].created_ms if records else now.wall_ms
            settlement.lost_to_trim(before + 1, max(before + 1, last), until_ms)
        fresh = settlement.read(records, done.next_after)
        self._accept(fresh if self._intake is None else self._intake.read(fresh, done, now))
        self._closed = self._closed or done.closed

    def _accept(self, fresh: Sequence[ChangeRecord]) -> None:
        """Hand to the flow what no filter refuses, with the key that it is kept in order by."""
        accepts = self._settings.accepts
        if accepts is not None and fresh and not isinstance(self._flow, ContiguousFlow):
            accepted: list[ChangeRecord] = []
            refused: list[ChangeRecord] = []
            for record in fresh:
                (accepted if accepts(record) else refused).append(record)
            self._settlement.settle(refused, "filtered")
            fresh = accepted
        self._flow.add(fresh if self._by_item else self._settings.keyed(fresh))

    def _checkpoint_done(self, now: Now) -> None:
        if self._saving:
            self._saving = False
            self._state.succeeded()
            self._settlement.saved()
            self._saved_ms = now.monotonic_ms

    def _checkpoint_failed(self, failure: Failure, now: Now) -> None:
        if self._saving:
            self._saving = False
            self._state.failed(failure, now)
            self._settlement.not_saved()

    # ---- what became possible ------------------------------------------------------------------------------

    def _is_held_back(self) -> bool:
        """Whether starting more would let what a crash repeats grow without bound."""
        if self._state.failures > 0 or self._settlement.is_behind:
            return True
        return self._saving and self._settlement.unsaved >= self._capacity

    def _ask_for_invokes(self, commands: list[Command], now: Now) -> None:
        if self._phase == "running" and not self._paused and not self._is_held_back():
            commands.extend(self._flow.start(now, self._breaker.allows(now), is_last=self._closed))

    def _ask_for_parks(self, commands: list[Command], now: Now) -> None:
        if not self._parking.keys or not isinstance(self._flow, KeyFlow):
            return
        if self._phase in ("running", "stopping") and now.monotonic_ms >= self._parks.ready_ms:
            commands.extend(self._parking.start(self._flow.is_held))

    def _ask_for_checkpoint(self, commands: list[Command], now: Now, *, finished: bool) -> bool:
        """Save what is new, when it is due; returns whether something new is left for a later checkpoint."""
        has_news = self._settlement.has_news(finished=finished)
        if not has_news or self._saving or self._phase == "lost" or now.monotonic_ms < self._state.ready_ms:
            return has_news
        is_urgent = (
            finished
            or self._phase == "stopping"
            or self._state.failures > 0
            or self._settlement.is_behind
            or self._settlement.unsaved >= self._capacity
        )
        if is_urgent or now.monotonic_ms >= self._saved_ms + self._settings.checkpoint_interval_ms:
            self._saving = True
            commands.append(self._settlement.save(finished=finished))
            return False
        return True

    def _ask_for_read(self, commands: list[Command], now: Now) -> None:
        if self._reading or self._closed or self._phase != "running" or self._state.failures:
            return
        if self._can_read and now.monotonic_ms >= self._source.ready_ms:
            self._reading = True
            if self._intake is not None:
                self._intake.listens(now)
            commands.append(Read(self._settlement.watermark.position, self._capacity - self._flow.buffered))

    @property
    def _can_read(self) -> bool:
        has_room = (self._capacity - self._flow.buffered) * 2 >= self._capacity and not self._is_full
        return has_room and self._settlement.watermark.is_compact(self._settings.max_ranges)

    def _ask_for_end(self, commands: list[Command], *, finished: bool, has_news: bool) -> None:
        is_saved = not self._saving and not has_news
        is_over = self._phase == "lost" or (is_saved and (finished or self._phase == "stopping"))
        if is_over and not (self._flow.in_flight or self._parking.in_flight):
            commands.append(Stopped(finished=finished and self._phase != "lost"))
            self._phase = "stopped"

    def _ask_for_wake(self, commands: list[Command], now: Now, *, has_news: bool) -> None:
        if self._phase not in ("running", "stopping"):
            return
        earliest = self._next_wake_ms(now, has_news=has_news)
        if earliest is not None and (self._wake_ms is None or earliest < self._wake_ms):
            self._wake_ms = earliest
            commands.append(Wake(earliest))

    def _next_wake_ms(self, now: Now, *, has_news: bool) -> int | None:
        times: list[int] = []
        if self._phase == "running":
            if self._source.failures and not self._reading and not self._closed:
                times.append(self._source.ready_ms)
            flow_ms = self._flow_wake_ms(now)
            if flow_ms is not None:
                times.append(flow_ms)
            if self._intake is not None and (due_ms := self._intake.wake_ms(now)) is not None:
                times.append(due_ms)
        if self._parks.failures and self._parking.queued:
            times.append(self._parks.ready_ms)
        if not self._saving:
            if self._state.failures:
                times.append(self._state.ready_ms)
            elif has_news:
                times.append(self._saved_ms + self._settings.checkpoint_interval_ms)
        if not times:
            return None
        return min((time for time in times if time > now.monotonic_ms), default=None)

    def _flow_wake_ms(self, now: Now) -> int | None:
        if self._paused or self._is_held_back():
            return None
        if self._suspension.now is not None:
            if self._suspension.sampling or not self.unsettled:
                return None
            return max(self._suspension.ready_ms, self._breaker.ready_ms)
        if not self._breaker.is_open:
            return self._flow.wake_ms(now)
        if self._breaker.probing or not (self.unsettled or self._owes_final):
            return None
        ready_ms = self._breaker.ready_ms
        return ready_ms if ready_ms > now.monotonic_ms else self._flow.wake_ms(now)
