"""Redrives in a simulated world: a person asks, and every worker that reads the mapping carries it out, with
the production steps (deadletters/run/putting_back.py).

Rules of this file: it decides nothing about changes. What the person does is drawn here; between two yields
a worker meets the same faults as everywhere.
"""

from functools import partial
from typing import Final

from tailrace.deadletters.core.entry import DeadLetter, deadletter_key
from tailrace.deadletters.core.redrive import Choice
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.deadletters.run.putting_back import Holding, PuttingBack, keep
from tailrace.errors import PortError
from tailrace.leases.lineage import readers
from tailrace.mapping.commands import Completion, Redriven, Released
from tailrace.ports import Failed, Failure, FailureKind, Outcome, RecordBatch, Written
from tailrace.rows.kinds import REDRIVE
from tailrace.rows.writes import Write
from tailrace.streams.record import ChangeRecord
from tailrace.testing.simulation_roles import Act, Process, SimulatedMapping, SimulationRun, Tenure
from tailrace.testing.simulation_rows import APP, STREAM

PAGE: Final = 3
"""So many rows a worker reads at once here: a hundred would be all that there are."""
SLOW, FEW = "5/m", 25
"""So slow that claims must be renewed: asked for only where few changes let it end within the run."""
LATE, LATE_MS = 0.4, 4_000
"""So often a machine hears late that a key is free: the word waits in its queue."""
MOST_ASKED: Final = 2
"""So many requests wait at most; then no more are made."""


class SimulatedRedrives:
    """The redrives of one worker.

    Shape:   `under_way` are the requests that it carries out; `held` the keys that it keeps from each
             mapping.
    """

    def __init__(self, run: SimulationRun, worker: Process) -> None:
        self._run = run
        self._worker = worker
        self._steps = PuttingBack(APP, self, PAGE)
        self.under_way: dict[str, Progress] = {}
        self._kept_at: dict[bytes, list[Tenure]] = {}
        self.held: dict[str, set[bytes]] = {mapped.id: set() for mapped in run.mappings}

    def ask(self, request: RedriveRequest) -> None:
        """A person asks this worker: a row first.

        From now on it is under way here, as for `Redriver`: a look at the row does not begin it again.
        """
        run = self._run
        self.under_way[request.id] = Progress()
        run.performing.begin(
            Act("redrive", self._worker, self._steps.note(request), partial(self._noted, request))
        )

    def _noted(self, request: RedriveRequest, answer: PortError | None) -> None:
        if answer is None:
            self._carry_out(request)
        else:
            del self.under_way[request.id]

    def go_on(self) -> None:
        """Carry out what was asked of whichever worker, as at every look."""
        if self._run.are_redrives_asked_for:
            self._run.performing.begin(Act("redrive", self._worker, self._steps.pending(), self._go_on))

    def _go_on(self, pending: list[RedriveRequest] | PortError) -> None:
        for request in pending if isinstance(pending, list) else ():
            if request.id not in self.under_way and self._worker.is_alive:
                self._carry_out(request)

    def _carry_out(self, request: RedriveRequest) -> None:
        run, progress = self._run, Progress()
        others = (
            worker.redrives.under_way
            for worker in run.workers
            if worker.is_alive and worker is not self._worker
        )
        run.counts["fault redrive-rival"] += any(request.id in under_way for under_way in others)
        self.under_way[request.id] = progress
        mapped = run.mapping(request.handler)
        run.performing.begin(
            Act(
                "redrive",
                self._worker,
                self._steps.carry_out(request, progress),
                partial(self._ended, request, progress),
                handler=partial(self._handle, mapped),
            )
        )

    def _ended(self, request: RedriveRequest, progress: Progress, _: PortError | None) -> None:
        counts = self._run.counts
        counts["fault redrive-overtaken"] += progress.overtaken
        counts["fault redrive-busy"] += progress.busy
        counts["fault redrive-stopped"] += bool(progress.stopped)
        self.under_way.pop(request.id, None)

    def _handle(self, mapped: SimulatedMapping, batch: RecordBatch) -> Outcome:
        """What the handler says to a change that is put back."""
        (record,) = batch.records
        run = self._run
        if mapped.plan.settings.order == "shard" and not self._has(record):
            # It parks nothing, so the new owner of the shard waits for no claim: what comes of it is not
            # promised (decision 41), and not played.
            return Failed(whole=Failure(FailureKind.RECORD, "its shard is another worker's"))
        run.counts["fault redrive-letter"] += deadletter_key(APP, mapped.id, record.version) in run.rows
        accepted, outcome = mapped.sink.judge([record], run.time_ms)
        mapped.target.arrived += [accepted_record.sequence for accepted_record in accepted]
        run.counts["fault redrive-refused"] += outcome != Written()
        mapped.observer.put_back(record, accepted=outcome == Written() and bool(accepted))
        return outcome

    def _has(self, record: ChangeRecord) -> bool:
        """Whether the machines that an item is kept from have their shards, as the rows say it."""
        return all(
            not tenure.has_ended and self._run.rows[tenure.lease.key]["epoch"] == tenure.lease.epoch
            for tenure in self._kept_at.get(record.key, ())
        )

    # ---- the machines that run here, as the steps need them ------------------------------------------------

    @property
    def owner(self) -> str:
        """How the worker is called."""
        return self._worker.owner

    def code_version(self, mapping_id: str) -> str:
        """The handler never changes here."""
        del mapping_id
        return ""

    def hold(self, mapping_id: str, letter: DeadLetter) -> Holding | None:
        """Keep a letter's item from its handler."""
        places, tenures = self._places(mapping_id, letter), self._worker.tenures
        holding = None
        if tenures.keys() >= places:
            holding = keep(letter.record.key, [tenures[place] for place in sorted(places)])
        if holding is not None:
            self.held[mapping_id].add(letter.record.key)
            self._kept_at[letter.record.key] = [tenures[place] for place in places]
        return holding

    def reads(self, mapping_id: str, letter: DeadLetter) -> bool:
        """Whether every shard that may hold later changes of a letter's item is read here."""
        return self._worker.tenures.keys() >= self._places(mapping_id, letter)

    def _places(self, mapping_id: str, letter: DeadLetter) -> set[tuple[str, str]]:
        listed = [self._run.source.known(shard) for shard in self._run.plan.shards]
        finished = {(STREAM.label, shard) for mapped, shard in self._worker.finished if mapped == mapping_id}
        there = readers([listed], finished, letter.shard_id, letter.record.partition)
        return {(mapping_id, shard_id) for _, shard_id in there}

    def tell(self, mapping_id: str, word: Completion) -> None:
        """Tell every machine of a mapping in this worker."""
        run, worker = self._run, self._worker
        if isinstance(word, Redriven):
            elsewhere = [tenure for tenure in run.tenures() if tenure.worker is not worker]
            run.counts["fault redriven"] += 1
            run.counts["fault redriven-elsewhere"] += any(
                tenure.mapped.id == mapping_id and word.key in tenure.machine.parked_tails
                for tenure in elsewhere
            )
        is_late = isinstance(word, Redriven) and run.random.random() < LATE
        run.counts["fault redriven-late"] += is_late
        for tenure in list(worker.tenures.values()):
            if tenure.mapped.id == mapping_id and is_late:
                run.after(run.random.randrange(LATE_MS), partial(tenure.tell, word))
            elif tenure.mapped.id == mapping_id:
                tenure.tell(word)
        if isinstance(word, Released):
            self.held[mapping_id].discard(word.key)


def begin_redrive(run: SimulationRun) -> None:
    """A person asks for a redrive of each mapping, while all goes on: of a worker, or else in the rows."""
    for mapped in run.mappings:
        if mapped.plan.settings.order != "lane":
            ask(run, mapped)


def redrive_the_rest(run: SimulationRun, mapped: SimulatedMapping) -> None:
    """A person asks for everything that is left of a mapping, unless a request is under way."""
    is_at_work = any(worker.redrives.under_way for worker in run.workers if worker.is_alive)
    if not is_at_work and next(run.rows.starting_with(REDRIVE.prefix(APP)), None) is None:
        _note(run, RedriveRequest(_name(run), mapped.id))


def ask(run: SimulationRun, mapped: SimulatedMapping) -> None:
    """A person asks for a redrive of a mapping: of all of it, or of what is chosen; at once, or at a rate."""
    if len(list(run.rows.starting_with(REDRIVE.prefix(APP)))) >= MOST_ASKED:
        return
    chosen, rate = Choice(), None
    if run.random.random() < 0.5:
        chosen = run.random.choice(
            (
                Choice(error="refused"),
                Choice(key=str(run.random.randrange(3))),
                Choice(until_ms=run.now.wall_ms - 1_000),
            )
        )
    if run.time_ms < run.plan.heal_ms:
        changes = sum(len(shard.writes) for shard in run.plan.shards)
        rate = run.random.choice((None, None, "10/s", SLOW if changes <= FEW else None))
        run.counts["fault redrive-slow"] += rate == SLOW
    _note(run, RedriveRequest(_name(run), mapped.id, chosen, rate))


def _name(run: SimulationRun) -> str:
    return f"redrive-{run.next_name()}"


def _note(run: SimulationRun, request: RedriveRequest) -> None:
    run.are_redrives_asked_for = True
    alive = [worker for worker in run.workers if worker.is_alive]
    if alive:
        run.random.choice(alive).redrives.ask(request)
    else:
        run.rows.transact([Write(REDRIVE.key(APP, request.id), request.fields())])
