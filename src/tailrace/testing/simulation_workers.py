"""A worker of a simulated world: leases of shards on a state store that others share, and a machine under each.

Theory of operation. What it does is the runtime's: taking, renewing and giving back a lease, beginning, and everything that a machine asks for are its steps,
performed by simulation_performing.py. Here is only which shard it looks at next. It takes what is free or expired, judged by its own clock; a fault lets it steal.
A loser may come back.
Rules of this file: nothing is known of a shard but what rows say, and what this worker has finished itself. Called by simulation.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tailrace.errors import PortError
from tailrace.leases.checkpoint import read_checkpoint
from tailrace.leases.lease import Lease, Sighting, is_free, lease_key, sight
from tailrace.leases.lineage import Known
from tailrace.mapping.commands import (
    Command,
    Completion,
    Invoke,
    LeaseLost,
    Park,
    ParkDone,
    Read,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)  # fmt: skip
from tailrace.mapping.shard import ShardMachine
from tailrace.rows.writes import StateRow
from tailrace.runtime.delivering import Asked, Delivery, Place, Settling
from tailrace.runtime.kept import Kept
from tailrace.runtime.leasing import give_lease_back, renew_lease
from tailrace.runtime.starting import enter, load_start, take_lease
from tailrace.runtime.steps import Get, Steps
from tailrace.streams.moment import Now
from tailrace.testing.simulation_performing import Act
from tailrace.testing.simulation_plan import ShardPlan
from tailrace.testing.simulation_roles import Tenure
from tailrace.testing.simulation_rows import APP, MAPPING, STREAM

if TYPE_CHECKING:
    from tailrace.testing.simulation import Run

RENEWAL_MS: Final = 3_000
LOOK_MS: Final = 500, 10_000
"""It looks again after so long at least, and at most after a quarter of the time that there are faults, or so long."""
ACT_OF: Final = {Read: "read", Invoke: "invoke", Park: "park", SaveCheckpoint: "save"}


@dataclass(frozen=True, slots=True)
class Begun:
    """A shard whose lease was taken."""

    lease: Lease
    settling: Settling
    start: Start


@dataclass(frozen=True, slots=True)
class Finished:
    """There is nothing to take: all of the shard is settled."""


class Worker:
    """One process. Shape: `number` is its owner's name on leases, which it has again after a restart; `tenures` by shard."""

    def __init__(self, run: "Run", number: int) -> None:
        self._run = run
        self.number = number
        self.owner = f"worker-{number}"
        self.is_alive = True
        self.tenures: dict[str, Tenure] = {}
        self.finished: set[str] = set()
        self.steals: set[str] = set()
        self.evacuator = run.retention.evacuator()
        """What it saves from the trim, and knows to be saved."""
        self._beginning: set[str] = set()
        self._lost: set[str] = set()
        self._seen: dict[str, Sighting] = {}
        self._doom: tuple[str, int] | None = None
        self._is_stopping = False
        self._cut_off_ms = 0

    # ---- what befalls it -------------------------------------------------------------------------------------------

    @property
    def is_cut_off(self) -> bool:
        """Whether it cannot reach the state store now."""
        return self._run.time_ms < self._cut_off_ms

    def cut_off(self, until_ms: int) -> None:
        """It cannot reach the state store until then."""
        self._cut_off_ms = until_ms

    def doom(self, what: str, yields: int) -> None:
        """Let it die at that yield of such an act, counted from 0; "": of any."""
        self._doom = (what, yields)

    @property
    def can_die_at_a_yield(self) -> bool:
        """Whether it is worth to ask where it stands."""
        return self._doom is not None or self._run.new_yields_kill

    def is_doomed(self, what: str, *, is_new: bool) -> bool:
        """Whether it dies now, at a yield of such an act. `is_new`: nobody was there before in this run."""
        if is_new and self._run.dies_at_a_new_yield():
            return True
        if self._doom is None or self._doom[0] not in ("", what):
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
            run.observer.ended(tenure, "crashed")
        run.left(self)

    def stop(self) -> None:
        """Leave in order: drain, save, give the leases back."""
        self._is_stopping = True
        for tenure in list(self.tenures.values()):
            self.step(tenure, Stop())
        self._leave_when_drained()

    def _leave_when_drained(self) -> None:
        if self._is_stopping and self.is_alive and not self.tenures and not self._beginning:
            self.is_alive = False
            self._run.left(self)

    # ---- taking shards ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Look now, and then again and again."""
        if self.is_alive and not self._is_stopping:
            self.look_at(*self._run.plan.shards)
            least, most = LOOK_MS
            longest = min(most, least + self._run.plan.heal_ms // 4)
            self._run.after(self._run.random.randrange(least, longest), self.begin)

    def look_at(self, *shards: ShardPlan) -> None:
        """Begin shards where that is possible. What others have saved of them is learnt first: nothing begins behind it."""
        if not self._run.retention.saves:
            self._looked(shards, None)
        elif any(self._may_begin(shard) for shard in shards):
            self._run.retention.look(self, partial(self._looked, shards))

    def _looked(self, shards: Sequence[ShardPlan], error: PortError | None) -> None:
        for shard in shards if error is None else ():
            if self._may_begin(shard):
                self._take_up(shard)

    def _may_begin(self, shard: ShardPlan) -> bool:
        """Whether its parents are finished, and this worker is not at it already."""
        shard_id = shard.shard_id
        is_busy = shard_id in self.tenures or shard_id in self._beginning or shard_id in self.finished
        return not (is_busy or self._is_stopping or not self.is_alive) and self.finished.issuperset(
            shard.parents
        )

    def may_save(self, shard: ShardPlan) -> bool:
        """Whether something of a shard may have to be saved: as runtime/worker.py, not when it is finished and nothing is kept."""
        shard_id = shard.shard_id
        is_finished = shard_id in self.finished and shard_id not in self.tenures
        return not is_finished or self._kept(shard).evacuation is not None

    def _kept(self, shard: ShardPlan) -> Kept:
        return self.evacuator.of(MAPPING, STREAM.label, shard.shard_id)

    def _take_up(self, shard: ShardPlan) -> None:
        shard_id = shard.shard_id
        self._beginning.add(shard_id)
        self._run.performing.begin(Act("start", self, self._begin(shard), partial(self._begun, shard)))

    def _begin(self, shard: ShardPlan) -> Steps[Begun | Finished | None]:
        """As runtime/worker.py begins a shard, but for whose leases it takes."""
        known = self._run.source.known(shard)
        place = Place(APP, MAPPING, STREAM.table, STREAM.label, shard.shard_id, (shard.first, shard.last))
        saved: StateRow | None = yield Get(place.checkpoint_key)
        if saved is not None and read_checkpoint(saved.fields)[2]:
            return Finished()
        key = lease_key(APP, STREAM.label, shard.shard_id)
        row: StateRow | None = yield Get(key)
        if row is not None and not self._may_take(shard, row, self._run.now):
            return None
        lease, stamped = yield from take_lease(key, self.owner, [place])
        listed = Known.of([self._run.source.known(each) for each in self._run.plan.shards])
        begun = yield from enter(
            place, known, listed, lease.epoch, self._run.plan.retention_ms, stamped.get(place.checkpoint_key)
        )
        place = replace(place, run=f"{known.digest}-{lease.epoch:x}")
        return Begun(lease, Settling(place, begun), (yield from load_start(place, known, begun)))

    def _may_take(self, shard: ShardPlan, row: StateRow, now: Now) -> bool:
        """Whether a lease is free, its own from before, expired, or to be stolen."""
        if is_free(row.fields) or row.fields["owner"] == self.owner:
            return True
        self._seen[shard.shard_id] = seen = sight(
            self._seen.get(shard.shard_id), row.fields, now.monotonic_ms
        )
        counts = self._run.counts
        if seen.has_expired(now.monotonic_ms):
            counts["fault expired"] += 1
            return True
        if shard.shard_id in self.steals:
            self.steals.discard(shard.shard_id)
            counts["fault stolen"] += 1
            return True
        return False

    def _begun(self, shard: ShardPlan, begun: Begun | Finished | PortError | None) -> None:
        self._beginning.discard(shard.shard_id)
        if isinstance(begun, Finished):
            self._finish(shard)
        elif isinstance(begun, Begun):
            self._occupy(shard, begun)
        self._leave_when_drained()

    def _finish(self, shard: ShardPlan) -> None:
        self.finished.add(shard.shard_id)
        self._run.finished.add(shard.shard_id)
        self.look_at(*(child for child in self._run.plan.shards if shard.shard_id in child.parents))

    def _occupy(self, shard: ShardPlan, begun: Begun) -> None:
        run = self._run
        if self._is_stopping:
            self._give_back(begun.lease)
            return
        run.counts["fault came-back"] += shard.shard_id in self._lost
        delivery = Delivery(
            run.source.known(shard),
            STREAM,
            self._kept(shard),
            begun.settling,
        )
        tenure = Tenure(
            run.next_name(), self, shard, begun.lease, ShardMachine(run.plan.settings), delivery,
            iterator_ms=run.time_ms,
        )  # fmt: skip
        self.tenures[shard.shard_id] = tenure
        run.note_tenure(tenure, begun.start)
        run.after(RENEWAL_MS, lambda: self._renew(tenure))
        self.step(tenure, begun.start)

    def _renew(self, tenure: Tenure) -> None:
        if tenure.is_alive:
            self._run.performing.begin(
                Act("renew", self, renew_lease(tenure.lease), partial(self._renewed, tenure))
            )

    def _renewed(self, tenure: Tenure, lease: Lease | PortError | None) -> None:
        if lease is None:
            self.step(tenure, LeaseLost())
            return
        if isinstance(lease, Lease):
            tenure.lease = lease
        self._run.after(RENEWAL_MS, lambda: self._renew(tenure))

    def _give_back(self, lease: Lease) -> None:
        """As much as is possible: who has it by now, or whose store fails, has nothing to give."""
        self._run.performing.begin(Act("release", self, give_lease_back(lease), lambda _: None))

    # ---- machines ----------------------------------------------------------------------------------------------------

    def step(self, tenure: Tenure, completion: Completion) -> None:
        """One step of a machine, and everything it asks for."""
        if not tenure.is_alive:
            return
        run = self._run
        run.steps += 1
        run.passed[type(completion)] += 1
        if isinstance(completion, LeaseLost):
            tenure.is_lost = True
            run.counts["fault lease-lost"] += 1
        if isinstance(completion, Stop | LeaseLost):
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
                run.after(at_ms - run.time_ms, lambda: self._wake(tenure, at_ms))
            case Stopped(finished):
                self._stopped(tenure, finished=finished)
            case _:
                if isinstance(command, SaveCheckpoint):
                    run.observer.saving(tenure, command, run.now)
                run.performing.begin(
                    Act(
                        ACT_OF[type(command)], self, tenure.delivery.steps(command), partial(self._heard, tenure, command),
                        tenure, command,
                    )
                )  # fmt: skip

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
        tenure.has_ended = True
        del self.tenures[tenure.shard.shard_id]
        self._cancel_read(tenure)
        self._run.observer.ended(tenure, "finished" if finished else "stopped")
        if tenure.is_lost:
            self._lost.add(tenure.shard.shard_id)
        else:
            self._give_back(tenure.lease)
        if finished:
            self._finish(tenure.shard)
        self._leave_when_drained()
