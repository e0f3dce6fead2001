"""The rounds of a worker in a simulated world: its heartbeat, whom it takes to live, which leases are to be
its own, and which it hands over.

Theory of operation: what is decided is leases/fleet.py's, what is asked and written are the steps of
runtime/fleet.py, as in worker/leasing.py; a round that is under way is one act, which may fail, take long,
and be the last.
Rules of this file: no decision about who lives or has what. Called by simulation_workers.py.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from tailrace.errors import NameInUse, PortError, StateConflict
from tailrace.leases.checkpoint import read_checkpoint
from tailrace.leases.fleet import Fleet
from tailrace.leases.lease import LEASE_DURATION_MS, Lease, Owner, lease_key
from tailrace.leases.member import Heartbeat, Identity
from tailrace.mapping.commands import Stop
from tailrace.rows.writes import StateRow
from tailrace.runtime.fleet import beat, give_lease_back, look, may_take, say_finished, write_each
from tailrace.runtime.steps import Get, Steps
from tailrace.streams.moment import Now
from tailrace.testing.simulation_plan import ShardPlan
from tailrace.testing.simulation_roles import Act, LeaseHolder, SimulatedMapping, SimulationRun
from tailrace.testing.simulation_rows import APP, STREAM

RENEWAL_MS: Final = LEASE_DURATION_MS // 3
HAND_OVERS: Final = 2


class SimulatedRounds:
    """The rounds of one worker. Shape: `leaving` are the shards that it drains for others; `is_blind`: it has
    not looked since its heartbeat began, or had failed.
    """

    def __init__(self, run: SimulationRun, worker: LeaseHolder) -> None:
        self._run = run
        self._worker = worker
        self.fleet = Fleet(Owner(worker.owner))
        self._heart = Heartbeat(APP, Identity(worker.owner), counter=run.now.wall_ms)
        self.is_blind = True
        self.blindings = 0
        """How often its heartbeat has failed."""
        self.leaving: set[str] = set()
        self._unsaid: set[tuple[str, str]] = set()
        self._writing = 0
        self._has_left = False
        self.handed: dict[str, int] = {}
        """When it began to hand each lease over, the last time."""
        self._recovered_ms = self._asked_ms = self._asking_ms = 0

    def key(self, shard: ShardPlan) -> str:
        """The key of a shard's lease."""
        return lease_key(APP, STREAM.label, shard.shard_id)

    # ---- what is to be its own -----------------------------------------------------------------------------

    def offer(self) -> None:
        """All shards that any mapping may begin, or has not finished, as this worker knows it."""
        run, worker = self._run, self._worker
        offered = [
            self.key(shard)
            for shard in run.plan.shards
            if any(
                (mapped.id, shard.shard_id) not in worker.finished and worker.is_ready(mapped, shard)
                for mapped in run.mappings
            )
        ]
        beside = run.plan.beside.get(worker.number, 0)
        self.fleet.offer(offered + [lease_key(APP, "beside", f"shard-{number}") for number in range(beside)])
        self._heart.say(self.fleet.view)

    def wants(self, shard: ShardPlan) -> bool:
        """Whether a shard is to be read here now."""
        if shard.shard_id in self._worker.leases:
            return shard.shard_id not in self.leaving
        if self.is_blind:
            return False
        key = self.key(shard)
        is_mine = self.fleet.wants(key) and not self.fleet.is_elsewhere(key)
        return is_mine or shard.shard_id in self._worker.steals

    def may_take(self, shard: ShardPlan, row: Mapping[str, Any]) -> Steps[bool]:
        """Whether its lease may be taken whose row says this."""
        return (yield from may_take(APP, self.fleet, self.key(shard), row))

    def holds(self, shard: ShardPlan, epoch: int) -> bool:
        """Whether a lease of this epoch is held, and not drained."""
        lease = self._worker.leases.get(shard.shard_id)
        return lease is not None and lease.epoch == epoch and shard.shard_id not in self.leaving

    # ---- rounds --------------------------------------------------------------------------------------------

    def begin(self, then: Callable[[], None]) -> None:
        """Join the others; `then` the worker may look for shards."""
        self._perform(self._look(), partial(self._joined, then))

    def _joined(self, then: Callable[[], None], looked: "bool | NameInUse | PortError") -> None:
        if isinstance(looked, PortError):
            self._worker.wait(RENEWAL_MS, lambda: self.begin(then))
            return
        if self._may_go_on(looked):
            self.offer()
            self._note_look()
            self._worker.wait(RENEWAL_MS, self._round)
            then()

    def _look(self) -> Steps[bool | NameInUse]:
        try:
            yield from beat(self._heart)
        except NameInUse as error:
            return error
        self._asking_ms = self._run.time_ms
        return (yield from look(APP, self.fleet, self._keys()))

    def _keys(self) -> set[str]:
        return {lease.key for lease in self._worker.leases.values()}

    def _may_go_on(self, looked: bool | NameInUse) -> bool:
        """Another worker of its name: this one ends."""
        if isinstance(looked, NameInUse):
            self._run.counts["fault name-in-use"] += 1
            self._worker.crash()
        return self._worker.is_alive

    def _note_look(self) -> None:
        was_blind, self.is_blind = self.is_blind, False
        self._asked_ms = self._asking_ms
        if was_blind:
            self._recovered_ms = self._run.time_ms
            self._watch()

    def _watch(self) -> None:
        if self._see_to_the_heart():
            due_ms = self._heart.fails_ms - self._run.time_ms
            self._worker.wait(due_ms if due_ms > 0 else RENEWAL_MS, self._watch)

    def is_seen_alive(self, other: "SimulatedRounds", since_ms: int | None = None) -> bool:
        """Whether another worker was among the others and its heartbeat has not failed since then, or since
        this one last asked, for judges.
        """
        is_alive = other.silence_ms(self._run.now) < LEASE_DURATION_MS and not other.is_blind
        asked_ms = self._asked_ms if since_ms is None else since_ms
        return is_alive and other._asked_ms > 0 and other._recovered_ms < asked_ms

    def silence_ms(self, now: Now) -> int:
        """How long ago its last heartbeat was begun that was surely written."""
        return now.monotonic_ms - self._heart.beat_ms

    def _see_to_the_heart(self) -> bool:
        if not self._heart.has_failed(self._run.time_ms):
            return True
        self._run.counts["fault heart-failed"] += not self.is_blind
        self.blindings += not self.is_blind
        self.is_blind = True
        for shard in self._run.plan.shards:
            if shard.shard_id in self._worker.leases:
                self._worker.lose(shard)
        return False

    def _round(self) -> None:
        self._see_to_the_heart()
        self.offer()
        self._perform(self._look(), self._looked)

    def _looked(self, looked: bool | NameInUse | PortError) -> None:
        if not isinstance(looked, PortError) and self._may_go_on(looked):
            self._note_look()
            if self._see_to_the_heart():
                if looked:
                    self._compare()
                self._say()
                spare = self.fleet.spare_members(APP, self._run.time_ms)
                self._perform(write_each(spare), lambda _: None)
                self._hand_over()
                self._worker.look_at(*self._run.plan.shards)
        self._worker.wait(RENEWAL_MS, self._round)

    def _compare(self) -> None:
        run, worker = self._run, self._worker
        lost = {lease.key for lease in self.fleet.lost(worker.leases.values())}
        for shard in run.plan.shards:
            if self.key(shard) in lost:
                run.counts["fault lease-not-ours"] += 1
                worker.lose(shard)
        taking = {self.key(shard) for shard in run.plan.shards if worker.is_beginning(shard.shard_id)}
        strays = self.fleet.strays(self._keys() | taking)
        run.counts["fault stray-released"] += len(strays)
        if strays:
            self._perform(write_each(strays), self._wrote)
        for shard in run.plan.shards:
            lease = self.fleet.leases.get(self.key(shard))
            for mapped in run.mappings if lease is not None else ():
                is_news = (mapped.id, shard.shard_id) not in worker.finished
                if lease is not None and is_news and mapped.id in lease.finished:
                    self._learn(mapped, shard)

    def _wrote(self, made: int | PortError) -> None:
        self._heart.changes += 0 if isinstance(made, PortError) else made

    def _learn(self, mapped: SimulatedMapping, shard: ShardPlan) -> None:
        """See in its checkpoint whether a mapping has finished a shard elsewhere."""
        there = (mapped.id, shard.shard_id)

        def ask() -> Steps[bool]:
            row: StateRow | None = yield Get(mapped.place(shard).checkpoint_key)
            return row is not None and read_checkpoint(row.fields)[2]

        def learned(is_finished: bool | PortError) -> None:
            if is_finished is True and there not in self._worker.tenures | dict.fromkeys(
                self._worker.finished
            ):
                self._run.counts["fault finished-elsewhere"] += 1
                if self._worker.learn_finished(mapped, shard):
                    self.fleet.note_finished(self.key(shard), [other.id for other in self._run.mappings])

        self._perform(ask(), learned)

    def _perform(self, steps: Steps[Any], then: Callable[[Any], None], kind: str = "round") -> None:
        self._run.performing.begin(Act(kind, self._worker, steps, then))

    # ---- giving back ---------------------------------------------------------------------------------------

    def finished(self, shard: ShardPlan, mapping_id: str) -> None:
        """A mapping has finished a shard in which another goes on."""
        if shard.shard_id in self._worker.leases:
            self._unsaid.add((shard.shard_id, mapping_id))
            self._say()

    def _say(self) -> None:
        leases = self._worker.leases
        for shard_id in sorted({shard_id for shard_id, _ in self._unsaid}):
            unsaid = {(there, name) for there, name in self._unsaid if there == shard_id}
            lease = leases.get(shard_id)
            if lease is None:
                self._unsaid -= unsaid
                continue

            def said(
                answer: Lease | PortError,
                shard_id: str = shard_id,
                lease: Lease = lease,
                unsaid: set[tuple[str, str]] = unsaid,
            ) -> None:
                if isinstance(answer, Lease):
                    self._heart.changes += 1
                    if leases.get(shard_id) == lease:
                        leases[shard_id] = answer
                if isinstance(answer, Lease | StateConflict):
                    self._unsaid -= unsaid

            self._perform(say_finished(lease, {name for _, name in unsaid}), said)

    def give_back(self, shard: ShardPlan) -> None:
        """Every mapping has finished a shard."""
        ids = [mapped.id for mapped in self._run.mappings]
        lease = self._worker.leases.pop(shard.shard_id, None)
        self.leaving.discard(shard.shard_id)
        self.fleet.note_finished(self.key(shard), ids)
        if lease is not None:
            self._give(give_lease_back(lease, mapping_ids=ids))

    def _give(self, steps: Steps[Any]) -> None:
        self._writing += 1

        def gave(answer: Any) -> None:
            self._writing -= 1
            self._heart.changes += not isinstance(answer, PortError)
            self._worker.leave_when_drained()

        self._perform(steps, gave, "release")

    def _hand_over(self) -> None:
        worker = self._worker
        for shard in self._run.plan.shards:
            lease = worker.leases.get(shard.shard_id)
            if lease is None or len(self.leaving) >= HAND_OVERS or worker.is_stopping:
                continue
            if shard.shard_id not in self.leaving and self.fleet.successor(lease.key):
                self._run.counts["fault handed-over"] += 1
                self.leaving.add(shard.shard_id)
                for tenure in worker.tenures_of(shard.shard_id):
                    worker.step(tenure, Stop())
                self.drained(shard)

    def drained(self, shard: ShardPlan, *, is_left: bool = False) -> None:
        """Something has ended in a shard; when nothing is at work there any more, another may have it.
        `is_left`: also when this worker was not to leave it.
        """
        worker = self._worker
        is_at_work = worker.tenures_of(shard.shard_id) or worker.is_beginning(shard.shard_id)
        if is_at_work or not (is_left or shard.shard_id in self.leaving):
            return
        lease = worker.leases.pop(shard.shard_id, None)
        self.leaving.discard(shard.shard_id)
        if lease is not None and worker.is_alive:
            self.handed[lease.key] = self._run.time_ms
            self._give(give_lease_back(lease, self.fleet.successor(lease.key)))
            self._hand_over()

    def leave(self) -> bool:
        """Give everything back and leave the others. Returns: whether that is over."""
        worker = self._worker
        held, leases = list[Lease](worker.leases.values()), worker.leases
        leases.clear()
        for lease in held:
            self._give(give_lease_back(lease))
        if self._writing:
            return False
        if not self._has_left:
            self._has_left = True
            self._give(write_each(self._heart.leave()))
        return not self._writing
