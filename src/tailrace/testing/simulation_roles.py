"""Who takes part in a simulated run beside the world itself: workers, and whoever judges.

Rules of this file: shapes only. An observer sees effects (what reached the sink, what became durable), never the machine's state.
Called by simulation.py and tests/simulation.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tailrace.leases import lease as leases
from tailrace.mapping.commands import Checkpoint, Invoke, Park, Read, SaveCheckpoint
from tailrace.mapping.outcomes import Outcome
from tailrace.mapping.shard import ShardMachine
from tailrace.runtime.settle import Settling
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.testing.simulation_plan import ShardPlan

if TYPE_CHECKING:
    from tailrace.testing.simulation import Run


class Observer(Protocol):
    """Who judges a run. Every method is told what anybody outside the machine could have seen."""

    def started(self, worker: "Worker", checkpoint: Checkpoint) -> None:
        """A worker begins at a checkpoint."""

    def begun(self, worker: "Worker", invoke: Invoke, now: Now) -> None:
        """A batch reaches the sink."""

    def answered(
        self, worker: "Worker", invoke: Invoke, accepted: list[ChangeRecord], outcome: Outcome
    ) -> None:
        """The sink answers."""

    def parked(self, worker: "Worker", park: Park) -> None:
        """The changes of a key are durably parked."""

    def put_back(self, record: ChangeRecord, *, accepted: bool) -> None:
        """The redriver gave a change to the sink."""

    def saving(self, worker: "Worker", save: SaveCheckpoint, now: Now) -> None:
        """A checkpoint is asked for."""

    def saved(self, worker: "Worker", save: SaveCheckpoint) -> None:
        """A checkpoint is durable."""

    def clock_steps(self, now: Now) -> None:
        """The wall clock was set."""

    def trimmed(self, shard_id: str, through: int) -> None:
        """Records up to a number are gone."""

    def evacuated(self, shard_id: str, records: list[ChangeRecord]) -> None:
        """These were saved from the trim."""

    def ended(self, worker: "Worker", how: str) -> None:
        """A worker has stopped, crashed or lost its lease."""

    def over(self, run: "Run") -> None:
        """Nothing more will happen."""


@dataclass(slots=True, eq=False)
class Worker:
    """One life of one machine: from taking the lease to its end."""

    name: int
    shard: ShardPlan
    lease: leases.Lease
    machine: ShardMachine
    settling: Settling
    is_alive: bool = True
    read: Read | None = None
    wake_ms: int = -1
    iterator_ms: int = 0
    dies_at: str = ""
    """Where a fault lets it die; "": nowhere."""
    at_sink: dict[int, Invoke] = field(default_factory=dict)
