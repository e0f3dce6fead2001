"""The parts of a simulated run, as they know each other: the world, its workers, a worker's tenure of a
shard, and the observer that judges.

Theory of operation: every part knows every other, so what one asks of another is said here, once, and no
part imports another.
Rules of this file: shapes only. An observer sees effects (what reached the sink, what became durable),
never the machine's state. Called by simulation*.py and tests/simulation.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.errors import PortError
from tailrace.leases.lease import Lease
from tailrace.mapping.commands import Checkpoint, Command, Completion, Invoke, ParkKey, SaveCheckpoint, Start
from tailrace.mapping.outcomes import Outcome
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Action, RecordBatch, TargetPosition
from tailrace.rows.writes import Check
from tailrace.runtime.delivering import Asked, Delivery, MappingShard
from tailrace.runtime.evacuation import Evacuator
from tailrace.runtime.steps import Peek, Steps
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.streams.shards import Shard
from tailrace.testing.simulation_plan import MappingPlan, ShardPlan, SimulationPlan
from tailrace.testing.simulation_rows import APP, STREAM, SimulatedRows
from tailrace.testing.simulation_sink import SimulatedSink
from tailrace.testing.simulation_windows import WindowFunction
from tailrace.testing.sinks import SimulatedTarget


@dataclass(slots=True, eq=False)
class SimulatedMapping:
    """One mapping of a run, with its handler and the observer that judges it.

    Shape:   `finished` are the shards of which all is settled.
    """

    plan: MappingPlan
    sink: SimulatedSink
    function: WindowFunction
    observer: "RunObserver"
    finished: set[str] = field(default_factory=set)
    target: SimulatedTarget = field(default_factory=SimulatedTarget)
    """What a sink that owns the checkpoint writes to."""

    @property
    def id(self) -> str:
        """How the mapping is called."""
        return self.plan.id

    def place(self, shard: ShardPlan) -> MappingShard:
        """Where its rows in a shard are."""
        return MappingShard(
            APP, self.id, STREAM.table, STREAM.label, shard.shard_id, (shard.first, shard.last)
        )


@dataclass(slots=True, eq=False)
class Tenure:
    """One life of one machine in one worker, for one mapping in one shard.

    Shape:   `reading` is the read that waits for records; `at_sink` the batches whose answer is not heard.
    """

    name: int
    worker: "Process"
    mapped: SimulatedMapping
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
        """What holds as long as no other worker reads its shard."""
        return self.delivery.settling.fence

    def tell(self, completion: Completion) -> None:
        """Give the machine an input that it did not ask for."""
        self.worker.step(self, completion)

    @property
    def is_alive(self) -> bool:
        """Whether its machine can still ask for something."""
        return not self.has_ended and self.worker.is_alive


@dataclass(slots=True, eq=False)
class Act:
    """Steps under way.

    Shape:   `kind` is one of ACTS; `then` is given the result, or the PortError that the steps raised.
    """

    kind: str
    worker: "Process"
    steps: Steps[Any]
    then: Callable[[Any], None]
    tenure: "Tenure | None" = None
    command: Asked | None = None
    call: Any = None
    """A read that waits."""
    now: Callable[[], Now] | None = None
    """A clock of its own."""
    handler: Callable[[RecordBatch], Outcome] | None = None
    """What gets the batches of steps that belong to no machine."""

    def is_left(self) -> bool:
        """Whether no worker is there that would go on with it."""
        is_over = self.tenure is not None and self.command is None and self.tenure.has_ended
        return is_over or not self.worker.is_alive


class RunObserver(Protocol):
    """Judges one mapping of a run. Every method is told what an outsider of the machine could see."""

    def started(self, tenure: Tenure, checkpoint: Checkpoint) -> None:
        """A worker begins with a shard at a checkpoint."""

    def begun(self, tenure: Tenure, invoke: Invoke, now: Now) -> None:
        """A batch reaches the sink."""

    def answered(
        self, tenure: Tenure, invoke: Invoke, accepted: list[ChangeRecord], outcome: Outcome
    ) -> None:
        """The sink answers."""

    def parked(self, tenure: Tenure, park: ParkKey) -> None:
        """The changes of a key are durably parked."""

    def put_back(self, record: ChangeRecord, *, accepted: bool) -> None:
        """The redriver gave a change to the sink."""

    def saving(self, tenure: Tenure, save: SaveCheckpoint, now: Now) -> None:
        """A checkpoint is asked for."""

    def saved(self, tenure: Tenure, save: SaveCheckpoint) -> None:
        """A checkpoint is durable."""

    def moved(self, shard_id: str, before: int, after: int) -> None:
        """The target has a shard through another record than before, with the rows of a commit."""

    def emptied(self) -> None:
        """The target has lost its rows and its positions."""

    def clock_steps(self, now: Now) -> None:
        """The wall clock was set."""

    def trimmed(self, shard_id: str, through: int) -> None:
        """Records up to a number are gone."""

    def evacuated(self, shard_id: str, record: ChangeRecord) -> None:
        """It was saved from the trim."""

    def ended(self, tenure: Tenure, how: str) -> None:
        """A worker has finished with a shard, stopped, crashed, or lost its lease."""

    def over(self, run: "SimulationRun") -> None:
        """Nothing more will happen."""


class Performs(Protocol):
    """Who carries steps out."""

    def begin(self, act: Act) -> None:
        """Carry steps out, in their time."""

    def answer_read(self, act: Act, answer: Any, *, fails: bool = False) -> None:
        """What came of a read that waited."""


class SimulatedStream(Protocol):
    """What was written, and what is gone. Shape: by shard, `log` the records, `trimmed` the last gone."""

    log: dict[str, list[ChangeRecord]]
    trimmed: dict[str, int]

    def known(self, shard: ShardPlan) -> Shard:
        """A shard as a source tells of it."""

    def trim(self, shard_id: str, through: int) -> None:
        """Records up to a number are gone."""

    def look(self, act: Act) -> None:
        """Answer a read, or let it wait for the next record."""

    def peek(self, call: Peek) -> ReadDone | None:
        """What a look beside the machines finds."""


class Saves(Protocol):
    """Who saves from the trim."""

    @property
    def saves(self) -> bool:
        """Whether anything is saved."""

    def evacuator(self) -> Evacuator:
        """What a worker that begins saves with: it knows nothing yet."""

    def look(self, worker: "Process", then: Callable[[PortError | None], None]) -> None:
        """A worker learns what others have saved."""

    def note_saved(self, writes: Sequence[Action]) -> None:
        """Let the observer see what became durable of a save."""


class Redriving(Protocol):
    """The redrives of one worker. Shape: `under_way` are the requests that it carries out."""

    under_way: dict[str, Progress]

    def ask(self, request: RedriveRequest) -> None:
        """A person asks this worker."""


class Process(Protocol):
    """A worker.

    Shape:   `number` it keeps over restarts; `tenures` by mapping and shard, as `finished`; `steals` are
             shards that it takes from their owners.
    """

    number: int
    owner: str
    is_alive: bool
    tenures: dict[tuple[str, str], Tenure]
    finished: set[tuple[str, str]]
    steals: set[str]
    evacuator: Evacuator
    frozen_ms: int
    """Until then it does nothing at all."""

    @property
    def redrives(self) -> Redriving:
        """Requests that this worker carries out."""

    @property
    def is_cut_off(self) -> bool:
        """Whether it cannot reach the state store now."""

    @property
    def can_die_at_a_yield(self) -> bool:
        """Whether it is worth to ask where it stands."""

    def is_doomed(self, kind: str, *, is_new: bool) -> bool:
        """Whether it dies now, at a yield of such an act. `is_new`: new in this run."""

    def doom(self, kind: str, yields: int) -> None:
        """Let it die at that yield of such an act, counted from 0; "": of any."""

    def cut_off(self, until_ms: int) -> None:
        """It cannot reach the state store until then."""

    def crash(self) -> None:
        """The process dies."""

    def stop(self) -> None:
        """Leave in order."""

    def step(self, tenure: Tenure, completion: Completion) -> None:
        """One step of a machine, and everything it asks for."""

    def look_at(self, *shards: ShardPlan) -> None:
        """Begin shards where that is possible."""

    def tenures_of(self, shard_id: str) -> list[Tenure]:
        """Its machines in a shard."""

    def may_save(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """Whether something of a shard may have to be saved."""


class LeaseHolder(Process, Protocol):
    """A worker, as its rounds know it. Shape: `leases` by shard, for all mappings."""

    leases: dict[str, Lease]

    @property
    def is_stopping(self) -> bool:
        """Whether it is to leave."""

    def wait(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do this later, when it lives and does anything then."""

    def lose(self, shard: ShardPlan) -> None:
        """A lease is another's by now."""

    def is_ready(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """Whether a mapping has finished the parents of a shard."""

    def is_beginning(self, shard_id: str) -> bool:
        """Whether it begins with a shard just now."""

    def learn_finished(self, mapped: SimulatedMapping, shard: ShardPlan) -> bool:
        """A mapping is done with a shard. Returns: whether all of them are."""

    def leave_when_drained(self) -> None:
        """Its last word, once nothing is at work any more."""


class SimulationRun(Protocol):
    """A run, as those in it know it.

    Shape:   `counts` how often anything occurred, `passed` commands and completions.
    Units:   milliseconds since its beginning.
    """

    plan: SimulationPlan
    counts: Counter[str]
    passed: Counter[type]
    random: Random
    rows: SimulatedRows
    time_ms: int
    wall_step_ms: int
    steps: int
    are_redrives_asked_for: bool

    @property
    def now(self) -> Now:
        """The run's time, and a wall clock beside it that faults set."""

    @property
    def mappings(self) -> Sequence[SimulatedMapping]:
        """The mappings of the run, one or two."""

    @property
    def workers(self) -> Sequence[Process]:
        """Those that run, and those that have ended."""

    @property
    def performing(self) -> Performs:
        """Who carries steps out."""

    @property
    def source(self) -> SimulatedStream:
        """The stream."""

    @property
    def retention(self) -> Saves:
        """Who saves from the trim."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done."""

    @property
    def new_yields_kill(self) -> bool:
        """Whether a worker may die at a yield that is new in this run."""

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do this later."""

    def mapping(self, mapping_id: str) -> SimulatedMapping:
        """Raises: StopIteration when the plan has none."""

    def dies_at_a_new_yield(self) -> bool:
        """Draw whether a worker dies at a yield that is new in this run."""

    def something_failed(self, mapped: SimulatedMapping) -> None:
        """Something is parked or discarded."""

    def is_raced(self, tenure: Tenure, command: Command | None) -> bool:
        """Draw whether another worker takes the shard while this one writes."""

    def port_fails(self, kind: str) -> bool:
        """Draw whether a port fails now."""

    def latency(self) -> int:
        """How long a port takes."""

    def tenures(self) -> list[Tenure]:
        """Every machine that runs now."""

    def next_name(self) -> int:
        """A name for a tenure."""

    def hire(self, number: int | None = None) -> Process:
        """One more worker."""

    def left(self, worker: Process) -> None:
        """A worker has ended."""

    def note_tenure(self, tenure: Tenure, start: Start) -> None:
        """A worker begins with a shard."""

    def answer(self, tenure: Tenure, invoke: Invoke, *, hangs: bool) -> Outcome:
        """The sink has worked on a batch. Raises: LeaseLost, of a target that owns the checkpoint."""

    def move(self, tenure: Tenure, position: TargetPosition) -> Outcome:
        """The target is to have a position alone. Raises: LeaseLost."""

    def judge(self, tenure: Tenure, invoke: Invoke) -> None:
        """It has worked on a batch of a worker that is no more."""
