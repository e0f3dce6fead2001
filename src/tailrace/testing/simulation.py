"""A simulated world around the delivery runtime: log, sink, durable rows, workers, time. One seed, one run.

What runs is the production code: the machine, and the steps in which a worker takes leases, begins, parks and
saves. Only the ports are simulated. One to eight workers share one state store.
Rules of this file: nothing judges here; a judge is a RunObserver and sees effects only (what reached the
sink, what became durable).
Called by `tailrace.testing.simulate`, tests/simulation and `make simulate`.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Final, get_args

from tailrace.errors import LeaseLost
from tailrace.mapping.commands import Command, Invoke, ParkKey, Redriven, Start
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Outcome
from tailrace.ports import RecordBatch, TargetPosition
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.testing.simulation_drawing import plan
from tailrace.testing.simulation_faults import happen, steal
from tailrace.testing.simulation_performing import Performing
from tailrace.testing.simulation_plan import WALL_MS, MappingPlan, ShardPlan, SimulationPlan
from tailrace.testing.simulation_redrive import ask, begin_redrive, redrive_the_rest
from tailrace.testing.simulation_retention import Retention
from tailrace.testing.simulation_roles import Process, RunObserver, SimulatedMapping, Tenure
from tailrace.testing.simulation_rows import STREAM, SimulatedRows
from tailrace.testing.simulation_sink import Commit, SimulatedSink
from tailrace.testing.simulation_source import SimulatedSource
from tailrace.testing.simulation_windows import WindowFunction
from tailrace.testing.simulation_workers import SimulatedWorker
from tailrace.testing.sinks import TransactionalMemory
from tailrace.views.at_once import at_once

GONE: Final = Failed(whole=Failure(FailureKind.UNAVAILABLE, "the shard is another worker's"))
PATIENCE_MS = 1_200_000
"""How long after the last fault everything must be finished."""
RESTART_MS = 2_000
"""So long at most it takes until a worker that has ended runs again."""
RARE_WRITES = 5
"""So many times likelier than a checkpoint a parking is raced with."""
SLOW = 0.01
ASKS = 0.5
ASKED_MS = 3_000
SLOWEST_MS = 20_000
COMMON = 15
"""So many yields are passed by nearly every run."""


class Run:
    """A plan, the ports that it decides, the workers, and the agenda of what happens when."""

    def __init__(self, made: SimulationPlan, observer_of: Callable[[MappingPlan], RunObserver]) -> None:
        self.plan = made
        self.counts = made.counts
        self.passed: Counter[type] = Counter()
        self.random = Random(made.seed ^ 0x5EED)
        self.rows = SimulatedRows()
        self.mappings = [
            SimulatedMapping(
                mapping_plan,
                SimulatedSink(made, mapping_plan, self.random),
                WindowFunction(made, mapping_plan, self.random),
                observer_of(mapping_plan),
            )
            for mapping_plan in made.mappings
        ]
        self.source = SimulatedSource(self)
        self.performing = Performing(self)
        self.time_ms = 0
        self.wall_step_ms = 0
        self._now = Now(0, 0)
        self.steps = 0
        self.are_redrives_asked_for = False
        self.workers: list[SimulatedWorker] = []
        """Those that run, and those that have ended."""
        self._coming = 0
        self._numbers = self._names = self._serial = 0
        self.retention = Retention(self)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []

    @property
    def now(self) -> Now:
        """The run's time, and a wall clock beside it that faults set."""
        wall_ms = WALL_MS + self.time_ms + self.wall_step_ms
        if self._now.wall_ms != wall_ms or self._now.monotonic_ms != self.time_ms:
            self._now = Now(wall_ms, self.time_ms)
        return self._now

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do this later."""
        self._serial += 1
        heappush(self._agenda, (self.time_ms + delay_ms, self._serial, action))

    def run(self) -> "Run":
        """Play the plan to its end."""
        for shard in self.plan.shards:
            for at_ms, record in shard.writes:
                self.after(at_ms, lambda shard=shard, record=record: self.source.write(shard, record))  # type: ignore[misc]
            self.after(shard.closed_ms, lambda shard=shard: self.source.wake(shard))  # type: ignore[misc]
        for mapped in self.mappings:
            for shard in self.plan.shards if mapped.plan.target_before else ():
                if not shard.parents:
                    self._as_a_target_was_left(mapped, shard)
            for shard in self.plan.shards if self.plan.is_upgraded else ():
                if not shard.parents:
                    self.rows.as_an_older_version_left(mapped.id, shard.shard_id)
            if self.plan.has_earlier_stream:
                self.rows.as_an_earlier_stream_left(mapped.id)
        for fault in self.plan.faults:
            self.after(fault.at_ms, lambda fault=fault: happen(self, fault))  # type: ignore[misc]
        for _ in range(self.plan.workers):
            is_late = self.plan.workers > 1 and self.random.random() < 0.3
            self.counts["fault started-late"] += is_late
            self._restart(self._next_number(), self.random.randrange(1, self.plan.heal_ms) if is_late else 0)
        self.after(self.plan.heal_ms, lambda: begin_redrive(self))
        self.after(self.plan.heal_ms, self.redrive_what_is_left)
        self.retention.begin()
        end_ms = self.plan.heal_ms + PATIENCE_MS
        while self._agenda and self._agenda[0][0] <= end_ms and not self.is_over:
            self.time_ms, _, action = heappop(self._agenda)
            action()
        for kind, times in self.passed.items():
            word = "command" if issubclass(kind, get_args(Command)) else "completion"
            self.counts[f"{word} {kind.__name__}"] += times
        for mapped in self.mappings:
            mapped.observer.over(self)
        return self

    def _as_a_target_was_left(self, mapped: SimulatedMapping, shard: ShardPlan) -> None:
        """By an earlier life of the mapping; a target that knew it by another name has half of the shard."""
        how = mapped.plan.target_before
        self.rows.as_a_target_was_left(mapped.id, shard.shard_id, how)
        if how == "renamed":
            half = [record for _, record in shard.writes[: len(shard.writes) // 2]]
            position = TargetPosition(STREAM.label, shard.shard_id, 1, half[-1].sequence if half else 0)
            mapped.target.positions["before", STREAM.label, shard.shard_id] = position
            mapped.target.arrived += [record.sequence for record in half if mapped.plan.is_wanted(record)]

    def mapping(self, mapping_id: str) -> SimulatedMapping:
        """Raises: StopIteration when the plan has none."""
        return next(mapped for mapped in self.mappings if mapped.id == mapping_id)

    @property
    def is_over(self) -> bool:
        """Every mapping has finished every shard, no worker is at one any more, and nothing is parked."""
        shards = len(self.plan.shards)
        is_read = all(len(mapped.finished) == shards for mapped in self.mappings) and not self.tenures()
        if not is_read or any(worker.redrives.under_way for worker in self.workers if worker.is_alive):
            return False
        return not any(self.rows.heads(mapped.id) for mapped in self.mappings)

    @property
    def new_yields_kill(self) -> bool:
        """Whether a worker may die at a yield that is new in this run."""
        return self.time_ms < self.plan.heal_ms and self.plan.new_yield_crashes > 0

    def dies_at_a_new_yield(self) -> bool:
        """Draw whether a worker dies at a yield that is new in this run: rare ones come late, and die too."""
        rate = self.plan.new_yield_crashes * (2 if len(self.performing.names) > COMMON else 1)
        return self.new_yields_kill and self.random.random() < rate

    def something_failed(self, mapped: SimulatedMapping) -> None:
        """Something is parked or discarded: a person who sees it may ask for a redrive, soon."""
        can_ask = self.time_ms < self.plan.heal_ms and mapped.plan.settings.order != "lane"
        if can_ask and self.random.random() < ASKS:
            self.after(self.random.randrange(ASKED_MS), lambda: ask(self, mapped))

    def is_raced(self, tenure: Tenure, command: Command | None) -> bool:
        """Draw whether another worker takes the shard while this one writes; rare parking more often."""
        is_parking = isinstance(command, ParkKey)
        rate = self.plan.races * (RARE_WRITES if is_parking else 1)
        if self.time_ms >= self.plan.heal_ms or self.random.random() >= rate:
            return False
        self.counts["fault raced-parking" if is_parking else "fault raced"] += 1
        steal(self, tenure)
        return True

    def port_fails(self, kind: str) -> bool:
        """Draw whether a port fails now."""
        if self.time_ms >= self.plan.heal_ms or self.random.random() >= self.plan.port_failures:
            return False
        self.counts["fault " + kind] += 1
        return True

    def latency(self) -> int:
        """How long a port takes."""
        if self.time_ms < self.plan.heal_ms and self.random.random() < SLOW:
            self.counts["fault slow"] += 1
            return self.random.randrange(1, SLOWEST_MS)
        return 1 + int(self.random.random() * self.plan.latency_ms)

    # ---- workers -------------------------------------------------------------------------------------------

    def tenures(self) -> list[Tenure]:
        """Every machine that runs now."""
        return [tenure for worker in self.workers if worker.is_alive for tenure in worker.tenures.values()]

    def working_on(self, mapped: SimulatedMapping, shard: ShardPlan) -> list[Tenure]:
        """Who reads this shard for a mapping."""
        return [tenure for tenure in self.tenures() if tenure.mapped is mapped and tenure.shard is shard]

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def next_name(self) -> int:
        """A name for a tenure."""
        self._names += 1
        return self._names

    def hire(self, number: int | None = None) -> SimulatedWorker:
        """One more worker."""
        worker = SimulatedWorker(self, self._next_number() if number is None else number)
        self.workers = [other for other in self.workers if other.is_alive] + [worker]
        worker.begin()
        self.retention.begin_rounds(worker)
        return worker

    def _restart(self, number: int, delay_ms: int) -> None:
        def start() -> None:
            self._coming -= 1
            self.hire(number)

        self._coming += 1
        self.after(delay_ms, start)

    def left(self, worker: Process) -> None:
        """A worker has ended: it comes back, under its name or another, or not while there are others."""
        others = self._coming + sum(other.is_alive for other in self.workers)
        if others and self.time_ms < self.plan.heal_ms and self.random.random() < 0.3:
            self.counts["fault died-for-good"] += 1
            return
        is_twin = any(other.is_alive and other.number == worker.number for other in self.workers)
        is_new = is_twin or (others > 0 and self.random.random() < 0.5)
        self._restart(self._next_number() if is_new else worker.number, self.random.randrange(1, RESTART_MS))

    def note_tenure(self, tenure: Tenure, start: Start) -> None:
        """A worker begins with a shard."""
        self.counts["fault parked-at-start"] += len(start.parked)
        if (
            tenure.shard.parents
            and len(self.plan.shards) > 2
            and start.checkpoint.watermark < tenure.shard.begins
        ):
            self.counts["fault parked-at-reshard"] += len(start.parked)
        tenure.mapped.observer.started(tenure, start.checkpoint)

    # ---- the sink ------------------------------------------------------------------------------------------

    def answer(self, tenure: Tenure, invoke: Invoke, *, hangs: bool) -> Outcome:
        """The sink has worked on a batch. Raises: LeaseLost, of a target that owns the checkpoint."""
        batch, sink, commit = list(invoke.records), tenure.mapped.sink, self._commit_of(tenure, invoke)
        try:
            accepted, outcome = (sink.killed if hangs else sink.answer)(batch, self.time_ms, commit)
        except LeaseLost:
            self.counts["fault commit-lost"] += 1
            self._answered(tenure, invoke, [], GONE)
            raise
        return self._answered(tenure, invoke, accepted, outcome)

    def judge(self, tenure: Tenure, invoke: Invoke) -> None:
        """It has worked on a batch of a worker that is no more: the answer is not heard."""
        commit = self._commit_of(tenure, invoke)
        with suppress(LeaseLost):
            self._answered(
                tenure, invoke, *tenure.mapped.sink.judge(list(invoke.records), self.time_ms, commit)
            )

    def move(self, tenure: Tenure, position: TargetPosition) -> Outcome:
        """The target is to have a position alone. Raises: LeaseLost."""
        commit = partial(self._commit, tenure.mapped, position)
        return tenure.mapped.sink.judge([], self.time_ms, commit)[1]

    def _commit_of(self, tenure: Tenure, invoke: Invoke) -> Commit | None:
        position = tenure.delivery.settling.position_at(invoke.through)
        return None if position is None else partial(self._commit, tenure.mapped, position)

    def _commit(
        self, mapped: SimulatedMapping, position: TargetPosition, records: list[ChangeRecord]
    ) -> None:
        """One transaction of the target. Raises: LeaseLost."""
        place = (mapped.id, STREAM.label, position.shard_id)
        before = mapped.target.positions.get(place, position)
        batch = RecordBatch(records, mapped.id, STREAM, position.shard_id, position=position)
        at_once(TransactionalMemory(mapped.target).commit(batch, position))
        self.counts["fault commit-repeated"] += bool(records) and position.watermark <= before.watermark
        self.counts["fault position-alone"] += not records
        if position.watermark > before.watermark:
            mapped.observer.moved(position.shard_id, before.watermark, position.watermark)

    def _answered(
        self, tenure: Tenure, invoke: Invoke, accepted: list[ChangeRecord], outcome: Outcome
    ) -> Outcome:
        if invoke.window is not None:
            accepted, outcome = tenure.mapped.function.answer(invoke.window, accepted, outcome, self.time_ms)
        tenure.at_sink.pop(invoke.id, None)
        tenure.mapped.observer.answered(tenure, invoke, accepted, outcome)
        return outcome

    # ---- after the faults ----------------------------------------------------------------------------------

    def redrive_what_is_left(self) -> None:
        """After the faults, until nothing is parked any more."""
        if not self.is_over:
            heads = {(mapped.id, head.key) for mapped in self.mappings for head in self.rows.heads(mapped.id)}
            for mapped in self.mappings:
                if any(mapping_id == mapped.id for mapping_id, _ in heads):
                    redrive_the_rest(self, mapped)
            for tenure in self.tenures():
                for key, tail in tenure.machine.parked_tails.items():
                    if (tenure.mapped.id, key) not in heads:
                        tenure.worker.step(tenure, Redriven(key, tail))
            self.after(5_000, self.redrive_what_is_left)


def simulate(seed: int, observer: RunObserver) -> Run:
    """Run one seed, with one observer for every mapping. The same seed always gives the same run."""
    return Run(plan(seed), lambda _: observer).run()


def counted(run: Run) -> Counter[str]:
    """How often each command, completion, setting and fault occurred."""
    return run.counts
