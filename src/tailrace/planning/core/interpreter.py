"""A plan is run: one real machine a shard, virtual time, and a handler that takes as long as it is said to.

Theory of operation. As the interpreter for asyncio (runtime/driver.py) this one carries out the machine's
commands, and its world is a heap of events: an answer of the handler, a page of records, a wake-up. Time goes
from one to the next. Nothing is written and nothing is called, so a million changes take seconds. Of one
instant answers come first, then what was written in it; beyond that events come in the order in which they
were asked for, as on a manual clock.
How a stream is read is one of two: at once, as the embedded engine wakes its readers, or at a pace, by the
very `Pacer` of a worker (it is given, as `ReadPace`).
Rules of this file: pure; no decision about records is made here, all of them are `ShardMachine`'s.
Checkpoints are saved at once. Called by planning/run/planned.py.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import InternalError
from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    Command,
    Completion,
    Invoke,
    InvokeDone,
    Read,
    SaveCheckpoint,
    Start,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Written
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.planning.core.durations import ServiceTimes
from tailrace.planning.core.measures import SAMPLES, Meter, PlanFigures, PlannedCall, ShardState
from tailrace.planning.core.sweep import PlannedSetting
from tailrace.planning.core.traffic import PlannedTraffic
from tailrace.streams.moment import Now
from tailrace.streams.record import ReadDone

Place: TypeAlias = tuple[str, str]
PAGE_RECORDS: Final = 1_000
PAGE_BYTES: Final = 1_000_000
"""What one GetRecords answers. Source: reference/fleet §1.1."""
WRITTEN: Final = Written(b"{}")
"""With a state, which a tumbling window needs."""
ANSWERS, ARRIVALS = 0, 2
"""The two parts of an instant."""
SAVING: Final = 1
"""To save takes longer than to read: a checkpoint is answered at the end of its part of an instant."""


class ReadPace(Protocol):
    """When a shard of another server's stream is read, as runtime/pacing.py says it. Units: milliseconds,
    monotonic.
    """

    def due_ms(self, place: Place, after: int, now_ms: int) -> int:
        """When a read behind a position is due."""

    def book(self, place: Place, after: int, now_ms: int) -> int:
        """The moment of a read that is due."""

    def page(self, place: Place, next_after: int, *, has_records: bool, now_ms: int) -> list[Place]:
        """A read has succeeded. Returns: the siblings that are due now."""


class EvenPace:
    """How Lambda looks at a shard: so often, whatever it finds. Units: milliseconds between two looks."""

    def __init__(self, apart_ms: int) -> None:
        self._apart_ms = apart_ms
        self._last: dict[Place, int] = {}

    def due_ms(self, place: Place, after: int, now_ms: int) -> int:
        """As the protocol says."""
        return self._last.get(place, -self._apart_ms) + self._apart_ms

    def book(self, place: Place, after: int, now_ms: int) -> int:
        """As the protocol says."""
        self._last[place] = now_ms
        return now_ms

    def page(self, place: Place, next_after: int, *, has_records: bool, now_ms: int) -> list[Place]:
        """As the protocol says."""
        return []


class PlannedReads(Struct, frozen=True):
    """How the stream is read. Shape: `make_pace` None: readers are woken by what is written. Units:
    answer_us how long one read takes.
    """

    make_pace: Callable[[], ReadPace] | None = None
    answer_us: int = 0


class PlannedHandler(Struct, frozen=True):
    """The handler as far as a plan knows it. Shape: `most_calls` at once in all shards together, as a pool of
    threads or an account allows them; None: without a bound. What is beyond it waits.
    """

    times: ServiceTimes
    most_calls: int | None = None


@dataclass(slots=True)
class PlannedShard:
    """One shard while a plan runs. Shape: `cursor` is the place of the next change in its columns, `wake` the
    number of the last wake-up, `polling` of the last look whether a read is due, `at_handler` how many
    records are there.
    """

    number: int
    machine: ShardMachine
    cursor: int = 0
    wake: int = 0
    polling: int = 0
    read: Read | None = None
    is_resting: bool = False
    at_handler: int = 0
    state: ShardState = "idle"
    since_us: int = 0


Event: TypeAlias = tuple[int, int, int, PlannedShard, Callable[[PlannedShard], None]]
"""When, in which part of that instant, in which order, to whom, and what. The order has no equals."""


class PlanRun:
    """One setting over one traffic. Shape: `told` is called for every call that has ended, where somebody
    wants to know.
    """

    def __init__(
        self,
        setting: PlannedSetting,
        traffic: PlannedTraffic,
        handler: PlannedHandler,
        reads: PlannedReads,
        told: Callable[[PlannedCall], None] | None = None,
    ) -> None:
        if len(traffic.shards) != setting.shards:
            raise InternalError(f"traffic of {len(traffic.shards)} shards for {setting.shards}")
        self._traffic, self._handler, self._told = traffic, handler, told
        self._answer_us = reads.answer_us
        self._pace = None if reads.make_pace is None else reads.make_pace()
        self._at_once = setting.settings.at_once
        self._has_window = setting.settings.batching_window_ms > 0
        self._end_us = traffic.length_us
        hottest = traffic.items[traffic.hottest].key
        self.meter = Meter(setting, self._end_us, traffic.begins_ms, hottest)
        refused = traffic.refused
        settings = setting.settings
        if refused:
            settings = _refusing(settings, refused)
        self._shards = [PlannedShard(number, ShardMachine(settings)) for number in range(setting.shards)]
        self._heap: list[Event] = []
        self._serial = 0
        self._part = ANSWERS
        self._now_us = 0
        self._now = Now(traffic.begins_ms, 0)
        self._calls = 0
        self._queue: deque[tuple[PlannedShard, Invoke]] = deque()
        self._sampled_us = self._end_us / SAMPLES

    def run(self) -> Iterator[float]:
        """Run it to its end. Yields, now and then, which part of its time has passed."""
        for shard in self._shards:
            self._step(shard, Start(Checkpoint()))
        heap, count = self._heap, 0
        while heap and heap[0][0] <= self._end_us:
            at_us, phase, _, shard, act = heappop(heap)
            self._move_to(at_us, phase)
            act(shard)
            count += 1
            if not count & 0x3FFF:
                yield at_us / self._end_us
        self._move_to(self._end_us, ARRIVALS)
        for shard in self._shards:
            self.meter.spent(shard.number, shard.state, self._end_us - shard.since_us)

    def figures(self) -> PlanFigures:
        """What it came to. Call it when `run` is over."""
        over = {*self.meter.handled, *self._traffic.refused}
        left = [
            self._end_us - at * 1_000
            for columns in self._traffic.shards
            for sequence, at in zip(columns.sequences, columns.times, strict=True)
            if sequence not in over
        ]
        return self.meter.figures(left, self._traffic.changes - len(self._traffic.refused))

    # ---- time ----------------------------------------------------------------------------------------------

    def _move_to(self, at_us: int, phase: int) -> None:
        while at_us >= self._sampled_us and len(self.meter.series) < SAMPLES:
            self.meter.series.append(self._lag_us(int(self._sampled_us)))
            self._sampled_us += self._end_us / SAMPLES
        self._part = phase & ~1
        if at_us != self._now_us:
            self._now_us = at_us
            milliseconds = at_us // 1_000
            self._now = Now(self._traffic.begins_ms + milliseconds, milliseconds)

    def _lag_us(self, at_us: int) -> int:
        """The age of the oldest change that is not handled at a time."""
        oldest_ms: int | None = None
        for shard, columns in zip(self._shards, self._traffic.shards, strict=True):
            open_ms = shard.machine.oldest_unsettled_ms
            if open_ms is not None:
                open_ms -= self._traffic.begins_ms
            elif shard.cursor < len(columns):
                open_ms = columns.times[shard.cursor]
            if open_ms is not None and (oldest_ms is None or open_ms < oldest_ms):
                oldest_ms = open_ms
        return 0 if oldest_ms is None else max(0, at_us - oldest_ms * 1_000)

    def _at(
        self, at_us: int, shard: PlannedShard, act: Callable[[PlannedShard], None], phase: int | None = None
    ) -> None:
        """Let something happen: in this instant as it goes on, later among the answers."""
        if phase is None:
            phase = self._part if at_us == self._now_us else ANSWERS
        self._serial += 1
        heappush(self._heap, (at_us, phase, self._serial, shard, act))

    # ---- the machine ---------------------------------------------------------------------------------------

    def _step(self, shard: PlannedShard, completion: Completion) -> None:
        commands = shard.machine.step(completion, self._now)
        for command in commands:
            self._do(shard, command)
        state = self._state_of(shard)
        if state != shard.state:
            self.meter.spent(shard.number, shard.state, self._now_us - shard.since_us)
            shard.state, shard.since_us = state, self._now_us

    def _do(self, shard: PlannedShard, command: Command) -> None:
        match command:
            case Invoke():
                shard.at_handler += len(command.records)
                most = self._handler.most_calls
                if most is None or self._calls < most:
                    self._call(shard, command)
                else:
                    self._queue.append((shard, command))
            case Read():
                shard.read = command
                if self._pace is None:
                    self._read_when_written(shard)
                else:
                    self._look(shard)
            case SaveCheckpoint():
                self.meter.checkpoints += 1
                self._at(self._now_us, shard, self._saved, self._part + SAVING)
            case Wake(at_ms):
                shard.wake += 1
                number = shard.wake
                at_us = max(at_ms * 1_000, self._now_us)
                self._at(at_us, shard, lambda shard: self._woken(shard, number))
            case _:
                raise InternalError(f"a plan has no {command}")

    def _saved(self, shard: PlannedShard) -> None:
        self._step(shard, CheckpointDone())

    def _woken(self, shard: PlannedShard, number: int) -> None:
        if shard.wake == number:
            self._step(shard, Woken())

    def _state_of(self, shard: PlannedShard) -> ShardState:
        machine = shard.machine
        if machine.unsettled > shard.at_handler:
            if machine.in_flight >= self._at_once:
                return "full"
            return "window" if self._has_window and not machine.in_flight else "behind"
        columns = self._traffic.shards[shard.number]
        is_unread = shard.cursor < len(columns) and columns.times[shard.cursor] * 1_000 < self._now_us
        if is_unread and machine.in_flight < self._at_once:
            return "unread"
        return "working" if machine.in_flight else "idle"

    # ---- the handler ---------------------------------------------------------------------------------------

    def _call(self, shard: PlannedShard, invoke: Invoke) -> None:
        self._calls += 1
        begun_us = self._now_us
        self.meter.begun(begun_us)
        ends_us = begun_us + self._handler.times.of(invoke.records)
        self._at(ends_us, shard, lambda shard: self._answered(shard, invoke, begun_us))

    def _answered(self, shard: PlannedShard, invoke: Invoke, begun_us: int) -> None:
        self._calls -= 1
        shard.at_handler -= len(invoke.records)
        self.meter.ended(shard.number, invoke, begun_us, self._now_us)
        if self._told is not None:
            sequences = tuple(record.sequence for record in invoke.records)
            self._told(PlannedCall(shard.number, invoke.lane, sequences, begun_us, self._now_us))
        if self._queue:
            self._call(*self._queue.popleft())
        self._step(shard, InvokeDone(invoke.id, WRITTEN))

    # ---- the stream ----------------------------------------------------------------------------------------

    def _read_when_written(self, shard: PlannedShard) -> None:
        """A reader waits for what is written, as in the embedded engine."""
        columns = self._traffic.shards[shard.number]
        if shard.cursor >= len(columns):
            return
        at_us = columns.times[shard.cursor] * 1_000
        is_there = at_us < self._now_us or (at_us == self._now_us and self._part == ARRIVALS)
        if is_there:
            self._at(self._now_us, shard, self._page)
        else:
            self._at(at_us, shard, self._page, ARRIVALS)

    def _page(self, shard: PlannedShard) -> None:
        read = shard.read
        assert read is not None
        shard.read = None
        self._step(shard, self._records(shard, read.limit))

    def _records(self, shard: PlannedShard, limit: int) -> ReadDone:
        """The next records that are there."""
        columns = self._traffic.shards[shard.number]
        first = end = shard.cursor
        now_ms = self._now_us // 1_000
        most = min(len(columns), first + limit)
        if self._part == ANSWERS and self._now_us % 1_000 == 0:
            now_ms -= 1  # what is written in this instant comes after its answers
        times = columns.times
        while end < most and times[end] <= now_ms:
            end += 1
        shard.cursor = end
        records = self._traffic.records(shard.number, first, end)
        self.meter.was_read(times[first:end], self._now_us)
        return ReadDone(records, records[-1].sequence if records else shard.machine.position)

    def _look(self, shard: PlannedShard) -> None:
        """A read waits until it is due, at the pace of a worker."""
        assert self._pace is not None
        assert shard.read is not None
        shard.polling += 1
        number, place, now_ms = shard.polling, _place(shard), self._now.monotonic_ms
        due_ms = self._pace.due_ms(place, shard.read.after, now_ms)
        shard.is_resting = due_ms > now_ms
        if not shard.is_resting:
            at_ms = self._pace.book(place, shard.read.after, now_ms)
            ends_us = max(at_ms * 1_000, self._now_us) + self._answer_us
            self._at(ends_us, shard, self._polled)
            return

        def again(shard: PlannedShard) -> None:
            if shard.polling == number:
                self._look(shard)

        self._at(due_ms * 1_000, shard, again)

    def _polled(self, shard: PlannedShard) -> None:
        """One GetRecords has answered."""
        assert self._pace is not None
        read = shard.read
        assert read is not None
        self.meter.reads += 1
        size = 2 * self._traffic.item_bytes
        limit = min(read.limit, PAGE_RECORDS, max(1, PAGE_BYTES // size) if size else PAGE_RECORDS)
        page = self._records(shard, limit)
        woken = self._pace.page(
            _place(shard),
            page.next_after,
            has_records=bool(page.records),
            now_ms=self._now.monotonic_ms,
        )
        for _, name in woken:
            sibling = self._shards[int(name)]
            if sibling.is_resting:
                self._look(sibling)
        if page.records:
            shard.read = None
            self._step(shard, page)
        else:
            self._look(shard)


def _place(shard: PlannedShard) -> Place:
    return "planned", str(shard.number)


def _refusing(settings: MappingSettings, refused: frozenset[int]) -> MappingSettings:
    """These settings with a filter that lets some changes not through."""
    return replace(settings, accepts=lambda record: record.sequence not in refused)
