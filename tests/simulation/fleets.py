"""Simulated fleets: many shards, of which some split, and workers that come, go, stand still and lose their
answers; then quiet, and what must hold of leases by then.

Theory of operation: a plan of its own, with few records and no trouble at the sink, is played by the same run
as everywhere, and judged by the same checkers. Now and then an operator asks for leases to be handed over. At
moments of quiet a judge asks the rows of leases; then one more worker begins, and at last one leaves.
Rules of this file: judged are rows and what the sink accepted; what a worker believes is asked only for
whether its name is in use twice. Called by test_fleets.py.
"""

from collections import Counter
from collections.abc import Collection
from random import Random

from tailrace.leases.balance import FleetMember, assign
from tailrace.leases.hand_over import hand_over, read_hand_over
from tailrace.leases.lease import Lease, lease_key, read_lease
from tailrace.mapping.commands import Invoke
from tailrace.mapping.outcomes import FailureKind, Outcome
from tailrace.mapping.settings import MappingSettings
from tailrace.rows.kinds import HAND_OVER, LEASE, words_of
from tailrace.rows.writes import StateRow
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.testing.simulation import Run
from tailrace.testing.simulation_plan import (
    MAPPING,
    WALL_MS,
    Fault,
    MappingPlan,
    ShardPlan,
    SimulationPlan,
)
from tailrace.testing.simulation_roles import Tenure
from tailrace.testing.simulation_rows import APP, STREAM
from tests.simulation.checkers import Checkers
from tests.simulation.lease_rows import NO_LEASE_GOES_BACK, LeaseRows

HEAL_MS = 100_000
STRANDED_MS = 60_000
"""So long after the last fault every lease has its owner, and the load is spread: a heartbeat must stand
still, a newcomer be believed in, and every worker come to its round.
"""
QUIET_MS = HEAL_MS + STRANDED_MS
JOINED_MS = QUIET_MS + STRANDED_MS
LEFT_MS = JOINED_MS + STRANDED_MS
END_MS = LEFT_MS + 10_000
FAULTS = (
    "freeze",
    "freeze",
    "crash",
    "crash",
    "cut-off",
    "cut-off",
    "worker-stop",
    "join",
    "twin",
    "clock-step",
)
HAPPENED = tuple(
    f"fault {name}"
    for name in (
        *dict.fromkeys(FAULTS), "handed-over", "expired", "finished-elsewhere", "heart-failed",
        "stray-released", "name-in-use", "lease-not-ours", "state-answer-lost", "state-write-late",
    )
)  # fmt: skip
"""What must have happened in a campaign, or it has judged nothing."""
HANDED_OVER_MS, BUSY = (8_000, 30_000), 20
"""When the one that begins last is given its share there are changes of every shard in flight."""
VERSIONS = (), (), (), (0,), (1, 2), range(1, 99)
"""The numbers of the workers that have the app's next version; in half of the fleets there is one alone."""
LONG_MS = 5_000, 35_000
"""Shorter than a lease, and longer."""


def fleet_plan(seed: int) -> SimulationPlan:
    """The plan of a fleet: the same for ever."""
    random = Random(seed)
    shards: list[ShardPlan] = []
    sequence = 0
    for number in range(random.randrange(4, 20)):
        is_split = random.random() < 0.4
        closed_ms = random.randrange(10_000, HEAL_MS) if is_split else END_MS
        shard, sequence = _shard(random, f"root-{number}", number, 0, closed_ms, (), sequence)
        shards.append(shard)
        for child in range(random.choice((1, 2, 2)) if is_split else 0):
            name, parents = f"{shard.shard_id}-{child}", (shard.shard_id,)
            key = 100 * (child + 1) + number
            made, sequence = _shard(random, name, key, closed_ms, END_MS, parents, sequence)
            shards.append(made)
    settings = MappingSettings(MAPPING, order="key", concurrency=4, batch_size=5, checkpoint_interval_ms=500)
    settings = settings.reading("arn:simulated", "NEW_AND_OLD_IMAGES", "us-east-1")
    faults = [
        Fault(random.randrange(HEAL_MS - LONG_MS[0]), random.choice(FAULTS), random.randrange(*LONG_MS))
        for _ in range(random.choice((1, 3, 6, 12)))
    ]
    return SimulationPlan(
        seed,
        [MappingPlan(settings, "whole", {}, FailureKind.RECORD)],
        shards,
        sorted(faults, key=lambda fault: fault.at_ms),
        heal_ms=HEAL_MS,
        latency_ms=random.choice((1, 20, 200)),
        port_failures=random.choice((0.0, 0.05, 0.2)),
        workers=random.randrange(2, 9),
        beside={number: random.randrange(1, 6) for number in random.choice(VERSIONS)},
    )


def _shard(
    random: Random, name: str, key: int, from_ms: int, closed_ms: int, parents: tuple[str, ...], sequence: int
) -> tuple[ShardPlan, int]:
    """A shard with changes of one key, and the last number that they have."""
    begins, writes = sequence + 1, []
    times = [random.randrange(from_ms, closed_ms) for _ in range(random.randrange(2, 12))]
    if closed_ms == END_MS:
        times += [QUIET_MS + random.randrange(*HANDED_OVER_MS) for _ in range(BUSY)]
    for at_ms in sorted(times):
        sequence += 1
        record = ChangeRecord(
            sequence=sequence,
            shard=key,
            event_name="MODIFY",
            created_us=(WALL_MS + at_ms) * MILLISECOND,
            partition=key,
            size_bytes=100,
            key=b"%d" % key,
            keys=b'{"id":{"N":"%d"}}' % key,
            new=b"x",
        )
        writes.append((at_ms, record))
    return ShardPlan(name, writes, closed_ms, parents, begins=begins), sequence


class FleetJudge(Checkers):
    """The checkers of every run, and those of leases."""

    def __init__(self, made: SimulationPlan) -> None:
        super().__init__(made, made.mappings[0])
        self._accepted: Counter[int] = Counter()
        self._epochs: dict[str, int] = {}
        self._before: dict[str, str] = {}
        self.requests = 0
        """Made by an operator since the last look."""

    def answered(
        self, tenure: Tenure, invoke: Invoke, accepted: list[ChangeRecord], outcome: Outcome
    ) -> None:
        super().answered(tenure, invoke, accepted, outcome)
        assert self.run is not None
        if self.run.time_ms > QUIET_MS:
            for record in accepted:
                self._accepted[record.sequence] += 1
                if self._accepted[record.sequence] > 1:
                    self.wrong("a hand-over repeats nothing that was handled", f"record {record.sequence}")

    def leases(self, run: Run) -> dict[str, Lease]:
        """Those of shards that can be read and are not finished."""
        (mapped,) = run.mappings
        return {
            key: read_lease(key, run.rows[key]) if key in run.rows else Lease(key, "", 0, 0)
            for shard in run.plan.shards
            if shard.shard_id not in mapped.finished and mapped.finished.issuperset(shard.parents)
            for key in [lease_key(APP, STREAM.label, shard.shard_id)]
        }

    def asked(self, run: Run, names: Collection[str]) -> dict[str, str]:
        """What was asked to go to workers that live, by the keys of leases."""
        prefix = HAND_OVER.prefix(APP)
        rows = [StateRow(key, fields) for key, fields in run.rows.items() if key.startswith(prefix)]
        requests = map(read_hand_over, rows)
        return {request.lease: request.to for request in requests if request.to in names}

    def look(self, run: Run) -> None:
        """It has been quiet for a while: every lease is where it is to be, and came there at once."""
        names = [worker.owner for worker in run.workers if worker.is_alive]
        if len(set(names)) < len(names):
            self.wrong("no name is used twice for long", f"{sorted(names)}")
        leases = self.leases(run)
        for key, lease in leases.items():
            if lease.owner not in names:
                self.wrong("nothing is stranded for long", f"{key} of {lease.owner!r}, while {names} live")
        rows = run.rows.starting_with(LEASE.prefix(APP))
        for key in [key for key in rows if key not in leases and run.rows[key]["owner"]]:
            self.wrong(
                "nothing is stranded for long", f"{key} is finished, and of {run.rows[key]['owner']!r}"
            )
        asked = self.asked(run, names)
        expected = {
            **assign(leases, map(FleetMember, names)),
            **{key: asked[key] for key in asked if key in leases},
        }
        owners = {key: lease.owner for key, lease in leases.items()}
        if any(owners[key] != name for key, name in asked.items() if key in owners):
            self.wrong(
                "what is to be handed over has its new owner", f"{owners}, while {asked} are asked for"
            )
        if run.plan.beside:
            return  # each version computes another spread
        if owners != expected:
            self.wrong("the load is spread as everyone computes it", f"{owners}, not {expected}")
        if run.time_ms == JOINED_MS and self._before.keys() == owners.keys():
            moves = sum(lease.epoch - self._epochs[key] for key, lease in leases.items())
            least = sum(self._before[key] != name for key, name in owners.items())
            least += 2 * self.requests  # what had just gone to the newcomer may be asked back
            if moves > least:
                self.wrong("a lease moves once when the members change", f"{moves} moves, {least} needed")
        self.requests = 0
        self._before, self._epochs = owners, {key: lease.epoch for key, lease in leases.items()}

    def over(self, run: Run) -> None:
        super().over(run)
        if run.counts["robbed"] and not run.counts["fault twin"]:
            self.wrong("no worker is robbed that lives", f"{run.counts['robbed']} times")
        if run.counts["overtaken"] and not run.counts["fault twin"]:
            self.wrong("what is handed over waits for its successor", f"{run.counts['overtaken']} times")


FLEET_CHECKERS = (
    NO_LEASE_GOES_BACK,
    "a hand-over repeats nothing that was handled",
    "what is to be handed over has its new owner",
    "no name is used twice for long",
    "nothing is stranded for long",
    "the load is spread as everyone computes it",
    "a lease moves once when the members change",
    "no worker is robbed that lives",
    "what is handed over waits for its successor",
)


def run_fleet(seed: int) -> tuple[Run, list[tuple[str, str]]]:
    """One seed, and what was wrong with it."""
    made = fleet_plan(seed)
    judge = FleetJudge(made)
    run = judge.run = Run(made, lambda _: judge)
    run.rows = LeaseRows(run.rows, judge.wrong)

    def leave() -> None:
        next(worker for worker in run.workers if worker.is_alive).stop()

    def ask() -> None:
        """An operator wants a lease to be another worker's, each at most once where moves are counted."""
        names = [worker.owner for worker in run.workers if worker.is_alive]
        there = [
            words_of(key)[1:]
            for key in sorted(judge.leases(run))
            if run.time_ms < QUIET_MS or HAND_OVER.key(*words_of(key)[1:]) not in run.rows
        ]
        if names and there:
            judge.requests += 1
            run.rows.transact([hand_over(*random.choice(there), random.choice(names)).write()])

    def survive() -> None:
        for worker in run.workers:
            worker.survive()

    random = Random(-1 - seed)
    for first_ms, last_ms in ((0, HEAL_MS), (QUIET_MS + 1, QUIET_MS + 30_000)):
        for _ in range(random.choice((0, 1, 4))):
            run.after(random.randrange(first_ms, last_ms), ask)
    run.after(HEAL_MS, survive)
    for at_ms in (QUIET_MS, JOINED_MS, LEFT_MS):
        run.after(at_ms, lambda: judge.look(run))
    run.after(QUIET_MS + 1, run.hire)
    run.after(JOINED_MS + 1, leave)
    run.run()
    return run, judge.violations
