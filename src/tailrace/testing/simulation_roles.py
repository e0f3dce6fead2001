"""Who takes part in a simulated run beside the world itself: a worker's tenure of a shard, and whoever judges.

Rules of this file: shapes only. An observer sees effects (what reached the sink, what became durable), never the machine's state.
Called by simulation*.py and tests/simulation.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tailrace.leases.lease import Lease
from tailrace.mapping.commands import Checkpoint, Completion, Invoke, Park, SaveCheckpoint
from tailrace.mapping.outcomes import Outcome
from tailrace.mapping.shard import ShardMachine
from tailrace.rows.writes import Check
from tailrace.runtime.delivering import Delivery, Place
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.testing.simulation_plan import MappingPlan, ShardPlan
from tailrace.testing.simulation_rows import APP, STREAM
from tailrace.testing.simulation_sink import SimulatedSink
from tailrace.testing.simulation_windows import WindowFunction

if TYPE_CHECKING:
    from tailrace.testing.simulation import Run
    from tailrace.testing.simulation_performing import Act
    from tailrace.testing.simulation_workers import Worker


@dataclass(slots=True, eq=False)
class Mapped:
    """One mapping of a run, with its handler and whoever judges it. Shape: `finished` are the shards that all of is settled of."""

    plan: MappingPlan
    sink: SimulatedSink
    function: WindowFunction
    observer: "Observer"
    finished: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """How the mapping is called."""
        return self.plan.id

    def place(self, shard: ShardPlan) -> Place:
        """Where its rows in a shard are."""
        return Place(APP, self.id, STREAM.table, STREAM.label, shard.shard_id, (shard.first, shard.last))


@dataclass(slots=True, eq=False)
class Tenure:
    """One life of one machine in one worker, for one mapping in one shard.

    Shape:   `reading` is the read that waits for records; `at_sink` the batches whose answer is not heard.
    """

    name: int
    worker: "Worker"
    mapped: Mapped
    shard: ShardPlan
    lease: Lease
    machine: ShardMachine
    delivery: Delivery
    has_ended: bool = False
    is_lost: bool = False
    reading: "Act | None" = None
    wake_ms: int = -1
    iterator_ms: int = 0
    at_sink: dict[int, Invoke] = field(default_factory=dict)

    @property
    def fence(self) -> Check:
        """What holds as long as nobody else reads its shard."""
        return self.delivery.settling.fence

    def tell(self, completion: Completion) -> None:
        """Give the machine an input that nobody asked for."""
        self.worker.step(self, completion)

    @property
    def is_alive(self) -> bool:
        """Whether its machine can still ask for something."""
        return not self.has_ended and self.worker.is_alive


class Observer(Protocol):
    """Who judges one mapping of a run. Every method is told what anybody outside the machine could have seen."""

    def started(self, tenure: Tenure, checkpoint: Checkpoint) -> None:
        """A worker begins with a shard at a checkpoint."""

    def begun(self, tenure: Tenure, invoke: Invoke, now: Now) -> None:
        """A batch reaches the sink."""

    def answered(
        self, tenure: Tenure, invoke: Invoke, accepted: list[ChangeRecord], outcome: Outcome
    ) -> None:
        """The sink answers."""

    def parked(self, tenure: Tenure, park: Park) -> None:
        """The changes of a key are durably parked."""

    def put_back(self, record: ChangeRecord, *, accepted: bool) -> None:
        """The redriver gave a change to the sink."""

    def saving(self, tenure: Tenure, save: SaveCheckpoint, now: Now) -> None:
        """A checkpoint is asked for."""

    def saved(self, tenure: Tenure, save: SaveCheckpoint) -> None:
        """A checkpoint is durable."""

    def clock_steps(self, now: Now) -> None:
        """The wall clock was set."""

    def trimmed(self, shard_id: str, through: int) -> None:
        """Records up to a number are gone."""

    def evacuated(self, shard_id: str, record: ChangeRecord) -> None:
        """It was saved from the trim."""

    def ended(self, tenure: Tenure, how: str) -> None:
        """A worker has finished with a shard, stopped, crashed, or lost its lease."""

    def over(self, run: "Run") -> None:
        """Nothing more will happen."""
