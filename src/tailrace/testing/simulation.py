"""A simulated world around the delivery machine: log, sink, durable rows, workers, time. One seed, one run.

The machine, the leases and the checkpoints are the production code; only the ports are simulated. Rules of this file: nothing judges
here; whoever judges is an Observer and sees effects only (what reached the sink, what became durable). Called by
`tailrace.testing.simulate`, tests/simulation and `make simulate`.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import get_args

from tailrace import errors
from tailrace.deadletters.head import head_key
from tailrace.errors import StateConflict
from tailrace.leases import lease as leases
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.commands import (
    CheckpointDone,
    CheckpointFailed,
    Command,
    Completion,
    Invoke,
    InvokeDone,
    LeaseLost,
    Park,
    ParkDone,
    ParkFailed,
    Pause,
    Read,
    ReadDone,
    ReadFailed,
    Redriven,
    Resume,
    SaveCheckpoint,
    Stop,
    Stopped,
    Wake,
    Woken,
)  # fmt: skip
from tailrace.mapping.outcomes import Failure, FailureKind
from tailrace.mapping.shard import ShardMachine
from tailrace.rows.writes import Absent, Write
from tailrace.runtime.parking import park
from tailrace.runtime.settle import Settling
from tailrace.runtime.starting import load_start, take_lease
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.testing.simulation_plan import CRASH_POINTS, RARE_POINTS, WALL_MS, Fault, Plan, ShardPlan
from tailrace.testing.simulation_retention import STREAM, Retention, SimulatedPlace, known
from tailrace.testing.simulation_roles import Observer, Worker
from tailrace.testing.simulation_rows import APP, MAPPING, Rows
from tailrace.testing.simulation_sink import HANG_MS, SimulatedSink
from tailrace.testing.simulation_windows import WindowFunction

PATIENCE_MS = 1_200_000
"""How long after the last fault everything must be finished."""
ITERATOR_MS = 20_000
"""How long an iterator lives: AWS's quarter of an hour, in the measure of these runs."""
REPEATED_RATE = 0.01
"""How often a source repeats records that it has given already."""


class Run:
    """One simulated run."""

    def __init__(self, made: Plan, observer: Observer, begin_redrive: "Callable[[Run], None]") -> None:
        self.begin_redrive = begin_redrive
        self.plan = made
        self.counts = made.counts
        self.passed: Counter[type] = Counter()
        self.random = Random(made.seed ^ 0x5EED)
        self.observer = observer
        self.rows = Rows()
        self.sink = SimulatedSink(made, self.random)
        self.function = WindowFunction(made, self.random)
        self.log: dict[str, list[ChangeRecord]] = {shard.shard_id: [] for shard in made.shards}
        self.trimmed: dict[str, int] = {shard.shard_id: 0 for shard in made.shards}
        self.time_ms = 0
        self.wall_step_ms = 0
        self.steps = 0
        self.redrivers = 0
        """How many redrives are at work."""
        self.workers: list[Worker] = []
        self.finished: set[str] = set()
        self._names = 0
        self._serial = 0
        self.retention = Retention(self)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []

    @property
    def now(self) -> Now:
        """The present."""
        return Now(WALL_MS + self.time_ms + self.wall_step_ms, self.time_ms)

    def after(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Do this later."""
        self._serial += 1
        heappush(self._agenda, (self.time_ms + delay_ms, self._serial, what))

    def run(self) -> "Run":
        """Play the plan to its end."""
        for shard in self.plan.shards:
            for at_ms, record in shard.writes:
                self.after(at_ms, lambda shard=shard, record=record: self.write(shard, record))  # type: ignore[misc]
            self.after(shard.closed_ms, lambda shard=shard: self.wake_readers(shard))  # type: ignore[misc]
        for fault in self.plan.faults:
            self.after(fault.at_ms, lambda fault=fault: self.happen(fault))  # type: ignore[misc]
        self.after(0, lambda: self.open(self.plan.shards[0]))
        self.after(self.plan.heal_ms, self.redrive_what_is_left)
        self.retention.begin()
        end_ms = self.plan.heal_ms + PATIENCE_MS
        while self._agenda and self._agenda[0][0] <= end_ms and not self.is_over:
            self.time_ms, _, what = heappop(self._agenda)
            what()
        for kind, times in self.passed.items():
            word = "command" if issubclass(kind, get_args(Command)) else "completion"
            self.counts[f"{word} {kind.__name__}"] += times
        self.observer.over(self)
        return self

    @property
    def is_over(self) -> bool:
        """Every shard is finished and nobody works any more."""
        is_read = len(self.finished) == len(self.log) and not any(worker.is_alive for worker in self.workers)
        return is_read and not self.redrivers and not self.rows.heads()

    # ---- workers ---------------------------------------------------------------------------------------------------

    def open(self, shard: ShardPlan) -> None:
        """A worker takes the lease of a shard and starts a machine at the last checkpoint."""
        if shard.shard_id in self.finished:
            return
        self._names += 1
        key = leases.lease_key(APP, STREAM.label, shard.shard_id)
        place = SimulatedPlace(APP, MAPPING, STREAM.table, STREAM.label, shard.shard_id)
        is_new = place.checkpoint_key not in self.rows
        lease, stamped = self.rows.perform(take_lease(key, f"worker-{self._names}", [place]), self.now)
        if is_new:
            begun = CheckpointRow(lease.epoch)
            self.rows.transact([Write(place.checkpoint_key, begun.fields(), Absent())])
        else:
            begun = stamped[place.checkpoint_key]
        start = self.rows.perform(load_start(place, known(shard), begun), self.now)
        if len(self.log) > 2 and shard.parent and is_new:
            self.counts["fault parked-at-reshard"] += len(start.parked)
        self.counts["fault parked-at-start"] += len(start.parked)
        settling = Settling(place, begun)
        worker = Worker(self._names, shard, lease, ShardMachine(self.plan.settings), settling)
        self.workers.append(worker)
        self.observer.started(worker, start.checkpoint)
        self.after(3_000, lambda: self.renew(worker))
        self.step(worker, start)

    def renew(self, worker: Worker) -> None:
        """Say that the worker lives; when that fails, it learns that it lost its lease."""
        if not worker.is_alive:
            return
        worker.lease, write = leases.renew(worker.lease)
        try:
            self.rows.transact([write])
        except StateConflict:
            self.lose(worker)
        else:
            self.after(3_000, lambda: self.renew(worker))

    def lose(self, worker: Worker) -> None:
        """The worker learns that somebody else has the shard."""
        self.counts["fault lease-lost"] += 1
        self.step(worker, LeaseLost())

    def step(self, worker: Worker, completion: Completion) -> None:
        """One step of a machine, and everything it asks for."""
        if not worker.is_alive:
            return
        self.steps += 1
        self.passed[type(completion)] += 1
        for command in worker.machine.step(completion, self.now):
            self.passed[type(command)] += 1
            self.carry_out(worker, command)
            if self.dies_at(worker, "step") or not worker.is_alive:
                return

    def carry_out(self, worker: Worker, command: Command) -> None:
        """What a driver would do."""
        if self.dies_at(worker, type(command).__name__):
            return
        match command:
            case Invoke():
                worker.at_sink[command.id] = command
                self.observer.begun(worker, command, self.now)
                hangs = self.sink.hangs(self.time_ms)
                self.after(
                    HANG_MS if hangs else self.latency(), lambda: self.answer(worker, command, hangs=hangs)
                )
            case Park():
                self.after(self.latency(), lambda: self.park(worker, command))
            case SaveCheckpoint():
                self.observer.saving(worker, command, self.now)
                self.after(self.latency(), lambda: self.save(worker, command))
            case Read():
                worker.read = command
                self.after(self.latency() // 4, lambda: self.answer_read(worker, command))
            case Wake(at_ms):
                worker.wake_ms = at_ms
                self.after(at_ms - self.time_ms, lambda: self.wake(worker, at_ms))
            case Stopped(finished):
                self.stopped(worker, finished)

    def latency(self) -> int:
        """How long a port takes."""
        return self.sink.latency(self.time_ms)

    def dies_at(self, worker: Worker, point: str) -> bool:
        """Whether the worker dies here, where a fault has told it to."""
        if worker.dies_at != point:
            return False
        worker.dies_at = ""
        self.counts[f"fault crash-{point}"] += 1
        self.crash(worker)
        return True

    def wake(self, worker: Worker, at_ms: int) -> None:
        """Woken, unless a newer Wake replaced this one."""
        if worker.wake_ms == at_ms:
            worker.wake_ms = -1
            self.step(worker, Woken())

    def stopped(self, worker: Worker, finished: bool) -> None:
        """A machine has ended: the child begins, or another worker continues."""
        worker.is_alive = False
        self.observer.ended(worker, "finished" if finished else "stopped")
        if finished:
            self.finished.add(worker.shard.shard_id)
            for child in self.plan.shards:
                if child.parent == worker.shard.shard_id:
                    self.after(1, partial(self.open_once, child))
        else:
            self.after(self.random.randrange(1, 2_000), lambda: self.open_once(worker.shard))

    def working_on(self, shard: ShardPlan) -> bool:
        """Whether somebody reads this shard."""
        return any(worker.is_alive and worker.shard is shard for worker in self.workers)

    def open_once(self, shard: ShardPlan) -> None:
        """Open a shard that nobody reads."""
        if not self.working_on(shard):
            self.open(shard)

    # ---- the source ------------------------------------------------------------------------------------------------

    def write(self, shard: ShardPlan, record: ChangeRecord) -> None:
        """A change is committed."""
        self.log[shard.shard_id].append(record)
        self.wake_readers(shard)

    def wake_readers(self, shard: ShardPlan) -> None:
        """Whoever waits for this shard reads again."""
        for worker in self.workers:
            if worker.is_alive and worker.shard is shard and worker.read is not None:
                self.answer_read(worker, worker.read)

    def answer_read(self, worker: Worker, read: Read) -> None:
        """Answer a read, or let it wait for the next record."""
        if worker.read is not read or not worker.is_alive:
            return
        if self.port_fails("read-failure") or self.has_expired(worker):
            worker.read = None
            self.step(worker, ReadFailed(Failure()))
            return
        kept = self.retention.kept(worker.shard)
        if kept is not None and kept.has_after(read.after):
            worker.read, worker.iterator_ms = None, self.time_ms
            self.counts["fault evacuated-read"] += 1
            self.step(worker, self.rows.perform(kept.read(read.after, read.limit), self.now))
            return
        log, shard = self.log[worker.shard.shard_id], worker.shard
        horizon = self.trimmed[shard.shard_id]
        first = bisect_right(log, max(read.after, horizon), key=_sequence)
        page = log[first : first + min(read.limit, self.random.choice((1, 10, 1_000)))]
        closed = self.time_ms >= shard.closed_ms and first + len(page) == len(log)
        is_trimmed = read.after < horizon and bisect_right(log, read.after, key=_sequence) < first
        if page or closed or is_trimmed:
            worker.read, worker.iterator_ms = None, self.time_ms
            next_after = page[-1].sequence if page else max(read.after, horizon)
            self.counts["fault trim-overtakes"] += is_trimmed
            self.counts["fault close-in-flight"] += closed and bool(worker.at_sink)
            if page and first and not is_trimmed and self.random.random() < REPEATED_RATE:
                self.counts["fault repeated-records"] += 1
                page = log[max(0, first - 3) : first] + page
            self.step(worker, ReadDone(page, next_after, closed, is_trimmed))

    def has_expired(self, worker: Worker) -> bool:
        """Whether the worker's iterator is too old; it takes another one then."""
        if self.time_ms - worker.iterator_ms <= ITERATOR_MS or self.time_ms >= self.plan.heal_ms:
            return False
        worker.iterator_ms = self.time_ms
        self.counts["fault iterator-expiry"] += 1
        return True

    def port_fails(self, kind: str) -> bool:
        """Draw whether a port fails now."""
        if self.time_ms >= self.plan.heal_ms or self.random.random() >= self.plan.port_failures:
            return False
        self.counts["fault " + kind] += 1
        return True

    # ---- the sink --------------------------------------------------------------------------------------------------

    def answer(self, worker: Worker, invoke: Invoke, *, hangs: bool) -> None:
        """The sink has worked on a batch; whether anybody still listens is another question."""
        if worker.at_sink.pop(invoke.id, None) is None:
            return
        batch = list(invoke.records)
        accepted, outcome = (
            self.sink.killed(batch, self.time_ms) if hangs else self.sink.answer(batch, self.time_ms)
        )
        if invoke.window is not None:
            accepted, outcome = self.function.answer(invoke.window, accepted, outcome, self.time_ms)
        self.observer.answered(worker, invoke, accepted, outcome)
        if not self.dies_at(worker, "InvokeDone"):
            self.step(worker, InvokeDone(invoke.id, outcome))

    # ---- durable state ---------------------------------------------------------------------------------------------

    def park(self, worker: Worker, command: Park) -> None:
        """Park a key, in one moment."""
        if not worker.is_alive:
            return
        if self.port_fails("park-failure"):
            self.step(worker, ParkFailed(command.id, Failure()))
            return
        settling, is_behind = worker.settling, head_key(APP, MAPPING, command.key) in self.rows
        try:
            is_free = self.rows.perform(park(settling.place, settling.fence, command, ""), self.now)
        except errors.LeaseLost:
            self.lose(worker)
            self.step(worker, ParkFailed(command.id, Failure()))
            return
        if is_free:
            self.counts["fault free-meanwhile"] += 1
            self.step(worker, ParkDone(command.id, is_free=True))
            return
        self.counts["fault parked-behind"] += is_behind
        self.observer.parked(worker, command)
        if not self.dies_at(worker, "ParkDone"):
            self.step(worker, ParkDone(command.id))

    def save(self, worker: Worker, command: SaveCheckpoint) -> None:
        """Save a checkpoint and what goes with it, in one moment."""
        if not worker.is_alive:
            return
        if self.port_fails("checkpoint-failure"):
            self.step(worker, CheckpointFailed(Failure()))
            return
        try:
            self.rows.perform(worker.settling.save(command), self.now)
        except errors.LeaseLost:
            self.lose(worker)
            return
        self.counts["fault suspended"] += command.checkpoint.suspended is not None
        self.counts["fault window-lost"] += len(command.windows)
        self.observer.saved(worker, command)
        if not self.dies_at(worker, "CheckpointDone"):
            self.step(worker, CheckpointDone())

    # ---- faults ----------------------------------------------------------------------------------------------------

    def happen(self, fault: Fault) -> None:
        """One fault of the plan."""
        self.counts["fault " + fault.kind] += 1
        alive = [worker for worker in self.workers if worker.is_alive]
        match fault.kind:
            case "outage":
                self.sink.begin_outage(FailureKind.UNAVAILABLE, self.time_ms + fault.length_ms)
            case "throttle":
                self.sink.begin_outage(FailureKind.THROTTLED, self.time_ms + fault.length_ms)
            case "clock-step":
                self.observer.clock_steps(self.now)
                step_ms = self.random.choice((-90_000, -1_000, 1_000, 90_000))
                self.counts["fault clock-forward" if step_ms > 0 else "fault clock-back"] += 1
                self.wall_step_ms += step_ms
            case "trim":
                for shard_id, log in self.log.items():
                    if log:
                        self.trimmed[shard_id] = log[len(log) // 2].sequence
                        self.observer.trimmed(shard_id, self.trimmed[shard_id])
            case "redrive":
                self.begin_redrive(self)
            case kind if alive:
                self.strike(kind, self.random.choice(alive), fault.length_ms)

    def redrive_what_is_left(self) -> None:
        """After the faults, until nothing is parked any more."""
        if not self.is_over:
            heads = {head.key for head in self.rows.heads()}
            if heads:
                self.begin_redrive(self)
            for worker in list(self.workers):
                for key, tail in worker.machine.parked_tails.items():
                    if key not in heads:
                        self.step(worker, Redriven(key, tail))
            self.after(5_000, self.redrive_what_is_left)

    def strike(self, kind: str, worker: Worker, length_ms: int) -> None:
        """A fault of one worker."""
        match kind:
            case "crash":
                worker.dies_at = self.random.choice((*CRASH_POINTS, *RARE_POINTS))
                self.dies_at(worker, "now")
            case "theft":
                self.open(worker.shard)
            case "stop":
                self.step(worker, Stop())
            case "pause":
                self.step(worker, Pause())
                self.after(min(length_ms, 10_000), lambda: self.step(worker, Resume()))

    def crash(self, worker: Worker) -> None:
        """The process dies. What was at the sink may have been accepted, or not."""
        worker.is_alive = False
        for invoke in worker.at_sink.values():
            self.counts["fault in-flight-at-crash"] += 1
            if self.random.random() < 0.5:
                accepted, outcome = self.sink.judge(list(invoke.records), self.time_ms)
                if invoke.window is not None:
                    accepted, outcome = self.function.answer(invoke.window, accepted, outcome, self.time_ms)
                self.observer.answered(worker, invoke, accepted, outcome)
        worker.at_sink.clear()
        self.observer.ended(worker, "crashed")
        self.after(self.random.randrange(1, 2_000), lambda: self.open_once(worker.shard))


def _sequence(record: ChangeRecord) -> int:
    return record.sequence
