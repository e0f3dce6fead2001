"""A worker of a simulated world: leases of shards on a shared state store, and a machine under each.

Theory of operation. What it does is the runtime's: taking, renewing and giving back a lease, beginning, and
everything that a machine asks for are its steps, performed by simulation_performing.py. Here is only which
shard it looks at next: those whose leases are to be its own, as leases/fleet.py says; a fault lets it steal.
Its rounds are simulation_rounds.py's. A loser may come back.
Rules of this file: nothing is known of a shard but what rows say, and what this worker has finished itself.
Called by simulation.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from tailrace.errors import LeaseHeld, PortError
from tailrace.errors import LeaseLost as LeaseIsLost
from tailrace.leases.checkpoint import CheckpointRow, read_checkpoint
from tailrace.leases.lease import LEASE_DURATION_MS, Lease
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import (
    Command,
    Completion,
    Invoke,
    LeaseTaken,
    ParkDone,
    ParkKey,
    Read,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.shard import ShardMachine
from tailrace.rows.writes import StateRow
from tailrace.runtime.delivering import Asked, Delivery, Settling
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.starting import enter, load_start, take_lease
from tailrace.runtime.steps import Get, Steps
from tailrace.runtime.target_positions import begin
from tailrace.testing.simulation_plan import ShardPlan
from tailrace.testing.simulation_redrive import SimulatedRedrives
from tailrace.testing.simulation_roles import Act, SimulatedMapping, SimulationRun, Tenure
from tailrace.testing.simulation_rounds import SimulatedRounds
from tailrace.testing.simulation_rows import STREAM

LOOK_MS: Final = 500, 10_000
"""It looks again after so long at least, and at most, unless a quarter of the faulty time is less."""
ACT_OF: Final = {Read: "read", Invoke: "invoke", ParkKey: "park", SaveCheckpoint: "save"}


@dataclass(frozen=True, slots=True)
class Begun:
    """What a machine begins with, under a lease."""

    lease: Lease
    settling: Settling
    start: Start


@dataclass(frozen=True, slots=True)
class Finished:
    """There is nothing to take: all of the shard is settled."""


There: TypeAlias = tuple[str, str]
"""A mapping's id, and a shard's."""


class SimulatedWorker:
    """One process.

    Shape:   `number` is its owner's name on leases, also after a restart; `leases` by shard, for all
             mappings.
    """

    def __init__(self, run: SimulationRun, number: int) -> None:
        self._run = run
        self.number = number
        self.owner = f"worker-{number}"
        self.is_alive = True
        self.tenures: dict[There, Tenure] = {}
        self.rounds = SimulatedRounds(run, self)
        self.leases: dict[str, Lease] = {}
        self.finished: set[There] = set()
        self.steals: set[str] = set()
        self.evacuator = run.retention.evacuator()
        """What it saves from the trim, and knows to be saved."""
        self.redrives = SimulatedRedrives(run, self)
        self._beginning: set[str] = set()
        self._stamped: dict[str, CheckpointRow] = {}
        """What was stamped when a lease was taken, by the keys of checkpoints."""
        self._lost: set[str] = set()
        self._doom: tuple[str, int] | None = None
        self._is_stopping = False
        self._cut_off_ms = 0
        self.frozen_ms = 0
        """Until then it does nothing at all, and does not know it."""

    # ---- what befalls it -----------------------------------------------------------------------------------

    @property
    def is_cut_off(self) -> bool:
        """Whether it cannot reach the state store now."""
        return self._run.time_ms < self._cut_off_ms

    def cut_off(self, until_ms: int) -> None:
        """It cannot reach the state store until then."""
        self._cut_off_ms = until_ms

    def doom(self, kind: str, yields: int) -> None:
        """Let it die at that yield of such an act, counted from 0; "": of any."""
        self._doom = (kind, yields)

    def survive(self) -> None:
        """No crash waits for it any more."""
        self._doom = None

    @property
    def can_die_at_a_yield(self) -> bool:
        """Whether it is worth to ask where it stands."""
        return self._doom is not None or self._run.new_yields_kill

    def is_doomed(self, kind: str, *, is_new: bool) -> bool:
        """Whether it dies now, at a yield of such an act. `is_new`: new in this run."""
        if is_new and self._run.dies_at_a_new_yield():
            return True
        if self._doom is None or self._doom[0] not in ("", kind):
            return False
        wanted, left = self._doom
        self._doom = (wanted, left - 1) if left else None
        return not left

    def crash(self) -> None:
        """The process dies. What was at the sink may have been accepted, or not."""
        run = self._run
        self.is_alive = False
        for tenure in self.tenures.values():
            for invoke in list(tenure.at_sink.values()):
                run.counts["fault in-flight-at-crash"] += 1
                if run.random.random() < 0.5:
                    run.judge(tenure, invoke)
            tenure.at_sink.clear()
            tenure.mapped.observer.ended(tenure, "crashed")
        run.left(self)

    def stop(self) -> None:
        """Leave in order: drain, save, give the leases back."""
        self._is_stopping = True
        for tenure in list(self.tenures.values()):
            self.step(tenure, Stop())
        self.leave_when_drained()

    def leave_when_drained(self) -> None:
        """Its last word, once nothing is at work any more."""
        if self._is_drained and self.rounds.leave():
            self.is_alive = False
            self._run.left(self)

    def wait(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do this later, when it lives and does anything then."""

        def act() -> None:
            if self.is_alive and self._run.time_ms < self.frozen_ms:
                self.wait(self.frozen_ms - self._run.time_ms, action)
            elif self.is_alive:
                action()

        self._run.after(delay_ms, act)

    @property
    def is_stopping(self) -> bool:
        """Whether it is to leave."""
        return self._is_stopping

    @property
    def _is_drained(self) -> bool:
        """Whether it is to leave, and has nothing at work."""
        return self._is_stopping and self.is_alive and not self.tenures and not self._beginning

    # ---- taking shards -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Join the others, then look now, and then again and again."""
        self.rounds.begin(self._look)

    def _look(self) -> None:
        if not self._is_stopping:
            self.look_at(*self._run.plan.shards)
            if not self._has_twin:
                self.redrives.go_on()
            least, most = LOOK_MS
            longest = min(most, least + self._run.plan.heal_ms // 4)
            self.wait(self._run.random.randrange(least, longest), self._look)

    @property
    def _has_twin(self) -> bool:
        """Whether another runs under its name: claims of both could not be told apart (decision 50)."""
        return any(
            other.is_alive and other is not self and other.owner == self.owner for other in self._run.workers
        )

    def look_at(self, *shards: ShardPlan) -> None:
        """Begin shards where that is possible, after learning what others saved: nothing begins behind it."""
        if not self._run.retention.saves:
            self._looked(shards, None)
        elif any(self._may_begin(mapped, shard) for shard in shards for mapped in self._run.mappings):
            self._run.retention.look(self, partial(self._looked, shards))

    def _looked(self, shards: Sequence[ShardPlan], error: PortError | None) -> None:
        for shard in shards if error is None else ():
            self._take_up(shard, self._run.mappings)

    def tenures_of(self, shard_id: str) -> list[Tenure]:
        """Its machines in a shard."""
        there = [self.tenures.get((mapped.id, shard_id)) for mapped in self._run.mappings]
        return [tenure for tenure in there if tenure is not None]

    def _may_begin(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """Whether a mapping has finished the parents, and is not at the shard here already."""
        there = (mapped.id, shard.shard_id)
        is_busy = there in self.tenures or shard.shard_id in self._beginning or there in self.finished
        if is_busy or self._is_stopping or not self.is_alive or self.redrives.held[mapped.id]:
            return False
        return self.is_ready(mapped, shard) and self.rounds.wants(shard)

    def is_ready(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """Whether a mapping has finished the parents of a shard, as far as this worker knows."""
        return all((mapped.id, parent) in self.finished for parent in shard.parents)

    def is_beginning(self, shard_id: str) -> bool:
        """Whether it begins with a shard just now."""
        return shard_id in self._beginning

    def may_save(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """Whether something of a shard may have to be saved, as worker/worker.py says it."""
        there = (mapped.id, shard.shard_id)
        is_finished = there in self.finished and there not in self.tenures
        return not is_finished or self._kept(mapped, shard).evacuation is not None

    def _kept(self, mapped: SimulatedMapping, shard: ShardPlan) -> SavedChanges:
        return self.evacuator.of(mapped.id, STREAM.label, shard.shard_id)

    def _take_up(self, shard: ShardPlan, left: Sequence[SimulatedMapping]) -> None:
        """Begin a shard for these mappings, one after the other: the first one takes the lease."""
        for number, mapped in enumerate(left, 1):
            if self._may_begin(mapped, shard):
                self._beginning.add(shard.shard_id)
                then = partial(self._begun, mapped, shard, left[number:])
                self._run.performing.begin(Act("start", self, self._begin(mapped, shard), then))
                return

    def _begin(self, mapped: SimulatedMapping, shard: ShardPlan) -> Steps[Begun | Finished]:
        """As worker/worker.py begins a shard for a mapping, but for whose leases it takes."""
        run, known, place = self._run, self._run.source.known(shard), mapped.place(shard)
        saved: StateRow | None = yield Get(place.checkpoint_key)
        if saved is not None and read_checkpoint(saved.fields)[2]:
            return Finished()
        lease = self.leases.get(shard.shard_id)
        if lease is None:
            if self.rounds.is_blind:
                raise LeaseHeld("the heartbeat failed before it was taken")
            key = self.rounds.key(shard)
            waiting = [other for other in run.mappings if (other.id, shard.shard_id) not in self.finished]
            places = [other.place(shard) for other in waiting]
            blindings = self.rounds.blindings
            lease, stamped = yield from take_lease(key, self.owner, places, partial(self._may_take, shard))
            if self.rounds.blindings != blindings:
                raise LeaseHeld("the heartbeat failed while it was taken")
            self.leases[shard.shard_id] = lease
            self._stamped.update(stamped)
        listed = KnownShards.of([run.source.known(listed_shard) for listed_shard in run.plan.shards])
        row = self._stamped.pop(place.checkpoint_key, None)
        stamped_now = row if row is not None and row.epoch == lease.epoch else None
        begun = yield from enter(place, known, listed, lease.epoch, run.plan.retention_ms, stamped_now)
        place = replace(place, run=f"{known.digest}-{lease.epoch:x}-{run.time_ms:x}")
        settling = Settling(place, begun, is_transactional=mapped.plan.settings.is_transactional)
        loading = load_start(place, known, begun, has_chains=mapped.plan.settings.is_disordered)
        return Begun(lease, settling, (yield from loading))

    def _may_take(self, shard: ShardPlan, row: Mapping[str, Any]) -> Steps[bool]:
        """Whether a lease is free, its own from before, expired, or to be stolen."""
        counts, is_owned, asked_ms = self._run.counts, row["owner"] not in ("", self.owner), self._run.time_ms
        if (yield from self.rounds.may_take(shard, row)):
            counts["fault expired"] += is_owned
            if self._run.rows.get(self.rounds.key(shard)) == row:  # else the take fails
                counts["robbed"] += is_owned and self._sees(row["owner"], asked_ms)
                counts["overtaken"] += not is_owned and self._is_awaited(shard, row.get("successor", ""))
            return True
        if shard.shard_id in self.steals:
            self.steals.discard(shard.shard_id)
            counts["fault stolen"] += 1
            return True
        return False

    def _sees(self, name: str, since_ms: int | None = None) -> bool:
        """Whether a worker of that name is seen alive, for judges."""
        return any(
            other.owner == name and other.is_alive and self.rounds.is_seen_alive(other.rounds, since_ms)
            for other in self._run.workers
            if isinstance(other, SimulatedWorker)
        )

    def _is_awaited(self, shard: ShardPlan, successor: str) -> bool:
        """Whether a lease was handed to another worker, seen alive, within one lease time, for judges."""
        since_ms = self._run.time_ms - LEASE_DURATION_MS
        was_handed = any(
            other.rounds.handed.get(self.rounds.key(shard), since_ms) > since_ms
            for other in self._run.workers
            if isinstance(other, SimulatedWorker)
        )
        return was_handed and successor not in ("", self.owner) and self._sees(successor)

    def _begun(
        self,
        mapped: SimulatedMapping,
        shard: ShardPlan,
        left: Sequence[SimulatedMapping],
        begun: Begun | Finished | PortError,
    ) -> None:
        self._beginning.discard(shard.shard_id)
        match begun:
            case Finished():
                self._finish(mapped, shard)
            case Begun():
                self._occupy(mapped, shard, begun)
            case LeaseIsLost():
                self.lose(shard)
            case _:
                pass
        self._take_up(shard, left)
        self.rounds.drained(shard)
        self.leave_when_drained()

    def _finish(self, mapped: SimulatedMapping, shard: ShardPlan) -> None:
        if self.learn_finished(mapped, shard):
            self.rounds.give_back(shard)
        else:
            self.rounds.finished(shard, mapped.id)

    def learn_finished(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """A mapping is done with a shard, here or elsewhere. Returns: whether all of them are."""
        self.finished.add((mapped.id, shard.shard_id))
        mapped.finished.add(shard.shard_id)
        self.rounds.offer()
        self.look_at(*(child for child in self._run.plan.shards if shard.shard_id in child.parents))
        return all((other.id, shard.shard_id) in self.finished for other in self._run.mappings)

    def _occupy(self, mapped: SimulatedMapping, shard: ShardPlan, begun: Begun) -> None:
        run = self._run
        if self._is_stopping or not self.rounds.holds(shard, begun.lease.epoch):
            return
        run.counts["fault came-back"] += shard.shard_id in self._lost
        run.counts["fault beside-another"] += bool(self.tenures_of(shard.shard_id))
        delivery = Delivery(run.source.known(shard), STREAM, self._kept(mapped, shard), begun.settling)
        tenure = Tenure(
            run.next_name(),
            self,
            mapped,
            shard,
            begun.lease,
            ShardMachine(mapped.plan.settings),
            delivery,
            iterator_ms=run.time_ms,
        )
        self.tenures[mapped.id, shard.shard_id] = tenure
        if delivery.settling.is_transactional:
            known = KnownShards.of([run.source.known(listed) for listed in run.plan.shards])
            beginning = begin(delivery, begun.start, known)
            run.performing.begin(Act("start", self, beginning, partial(self._told_by_target, tenure), tenure))
        else:
            run.note_tenure(tenure, begun.start)
            self.step(tenure, begun.start)

    def _told_by_target(self, tenure: Tenure, completions: Sequence[Completion] | PortError) -> None:
        """The target has said where a machine begins, or that another worker has the shard."""
        for completion in () if isinstance(completions, PortError) else completions:
            if isinstance(completion, Start):
                self._run.note_tenure(tenure, completion)
            else:
                self._run.counts["fault stamp-lost"] += 1
            self.step(tenure, completion)

    def lose(self, shard: ShardPlan) -> None:
        """A lease is another's by now: every machine of the shard is told."""
        self.leases.pop(shard.shard_id, None)
        self.rounds.leaving.discard(shard.shard_id)
        for tenure in self.tenures_of(shard.shard_id):
            self.step(tenure, LeaseTaken())

    # ---- machines ------------------------------------------------------------------------------------------

    def step(self, tenure: Tenure, completion: Completion) -> None:
        """One step of a machine, and everything it asks for."""
        if not tenure.is_alive:
            return
        run = self._run
        run.steps += 1
        run.passed[type(completion)] += 1
        if isinstance(completion, LeaseTaken):
            tenure.is_lost = True
            run.counts["fault lease-lost"] += 1
        if isinstance(completion, Stop | LeaseTaken):
            self._cancel_read(tenure)
        for command in tenure.machine.step(completion, run.now):
            run.passed[type(command)] += 1
            if self.is_alive:  # it may die at any command
                self._carry_out(tenure, command)

    def _cancel_read(self, tenure: Tenure) -> None:
        reading, tenure.reading = tenure.reading, None
        if reading is not None:
            reading.steps.close()

    def _carry_out(self, tenure: Tenure, command: Command) -> None:
        run = self._run
        match command:
            case Wake(at_ms):
                tenure.wake_ms = at_ms
                self.wait(at_ms - run.time_ms, lambda: self._wake(tenure, at_ms))
            case Stopped(finished):
                self._stopped(tenure, finished=finished)
            case _:
                if isinstance(command, SaveCheckpoint):
                    tenure.mapped.observer.saving(tenure, command, run.now)
                run.performing.begin(
                    Act(
                        ACT_OF[type(command)],
                        self,
                        tenure.delivery.steps(command),
                        partial(self._heard, tenure, command),
                        tenure,
                        command,
                    )
                )

    def _heard(self, tenure: Tenure, command: Asked, completions: Sequence[Completion] | Any) -> None:
        """What came of a command goes into the machine, when it still runs."""
        if isinstance(command, Invoke):
            tenure.at_sink.pop(command.id, None)
        for completion in completions:
            self._run.counts["fault free-meanwhile"] += (
                isinstance(completion, ParkDone) and completion.is_free
            )
            self.step(tenure, completion)

    def _wake(self, tenure: Tenure, at_ms: int) -> None:
        if tenure.wake_ms == at_ms:  # or a newer Wake replaced this one
            tenure.wake_ms = -1
            self.step(tenure, Woken())

    def _stopped(self, tenure: Tenure, *, finished: bool) -> None:
        """As worker/worker.py: a lease is lost for every mapping, and given back when none needs it."""
        shard = tenure.shard
        tenure.has_ended = True
        del self.tenures[tenure.mapped.id, shard.shard_id]
        self._cancel_read(tenure)
        tenure.mapped.observer.ended(tenure, "finished" if finished else "stopped")
        if finished:
            self._finish(tenure.mapped, shard)
        elif tenure.is_lost:
            self._lost.add(shard.shard_id)
            held = self.leases.get(shard.shard_id)
            if held is not None and held.epoch == tenure.lease.epoch:
                self.lose(shard)
        elif not self.tenures_of(shard.shard_id) and shard.shard_id not in self._beginning:
            self.rounds.drained(shard, is_left=True)
        self.rounds.drained(shard)
        self.leave_when_drained()
