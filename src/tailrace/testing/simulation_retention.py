"""A stream that forgets, in a simulated run: what is older than its retention is trimmed, and what is not handled is saved before.

Rules of this file: the saving is the production code's (runtime/evacuation.py), one in each worker, over the rows that all of them share; only the reading of a
page is played. It works as long as some worker lives and reaches its store. Called by simulation.py and simulation_workers.py.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from tailrace.deadletters.evacuated import read_evacuated
from tailrace.errors import PortError, StoreError
from tailrace.ports import Clock, ReadDone, StateStore
from tailrace.rows.kinds import EVACUATED, words_of
from tailrace.rows.writes import StateRow
from tailrace.runtime.delivering import Place
from tailrace.runtime.evacuation import PAGE, Evacuator, Unfinished
from tailrace.runtime.steps import Call, Get, Query, Steps
from tailrace.streams.moment import Now
from tailrace.testing.simulation_plan import WALL_MS, ShardPlan
from tailrace.testing.simulation_rows import APP, MAPPING, STREAM

if TYPE_CHECKING:
    from tailrace.testing.simulation import Run
    from tailrace.testing.simulation_workers import Worker

LEAD: Final = 6
"""The saving begins this part of the retention before the trim; production has two hours of twenty-four."""
ROUNDS: Final = 4
"""So often it looks in that time."""
Result = TypeVar("Result")


class RowsStore:
    """A run's rows as a state store that answers at once."""

    def __init__(self, run: "Run") -> None:
        self._run = run

    async def get(self, key: str) -> StateRow | None:
        """One row."""
        row: StateRow | None = self._run.rows.perform(_one(Get(key)), self._run.now)
        return row

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Rows in key order."""
        rows: list[StateRow] = self._run.rows.perform(_one(Query(prefix, after, limit)), self._run.now)
        return rows

    async def count(self, prefix: str) -> int:
        """How many rows there are."""
        return len(await self.query(prefix))

    async def transact(self, writes: Sequence[Any]) -> None:
        """All or nothing; now and then it is not heard that it was written. Raises: StateConflict, StoreError."""
        run, prefix = self._run, EVACUATED.prefix(APP, MAPPING)
        run.rows.transact(writes)
        copies = [each for each in writes if each.fields is not None and each.key.startswith(prefix)]
        if copies:
            run.counts["fault evacuated"] += len(copies)
            shard_id = words_of(copies[0].key)[4]
            run.observer.evacuated(shard_id, [read_evacuated(each.fields) for each in copies])
            if run.port_fails("evacuation-answer-lost"):
                raise StoreError("no answer came")


class Saving(Evacuator):
    """What a worker saves. It reads what the log has now."""

    def __init__(self, run: "Run", clock: Clock, retention_ms: int, lead_ms: int) -> None:
        super().__init__(APP, cast(StateStore, RowsStore(run)), clock, retention_ms, lead_ms)
        self._run = run

    async def page(self, unfinished: Unfinished, after: int) -> ReadDone:
        """The next changes after a position."""
        source, shard_id = self._run.source, unfinished.shard.shard_id
        log, horizon = source.log[shard_id], source.trimmed[shard_id]
        first = bisect_right(log, max(after, horizon), key=lambda record: record.sequence)
        page = log[first : first + PAGE]
        is_trimmed = after < horizon and bisect_right(log, after, key=lambda record: record.sequence) < first
        (shard,) = (each for each in self._run.plan.shards if each.shard_id == shard_id)
        closed = source.is_closed(shard) and first + len(page) == len(log)
        return ReadDone(page, page[-1].sequence if page else max(after, horizon), closed, is_trimmed)


def _one(call: Call) -> Steps[Any]:
    return (yield call)


class Retention:
    """The horizon of one run. Shape: `looked` are the times of the rounds in which a shard could be saved."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._retention_ms = run.plan.retention_ms
        self._lead_ms = self._retention_ms // LEAD
        self._round_ms = max(self._lead_ms // ROUNDS, 1)
        self.looked: dict[str, list[int]] = {shard.shard_id: [] for shard in run.plan.shards}

    def begin(self) -> None:
        """Forget for as long as the run lasts, when its plan has a retention."""
        if self._retention_ms:
            self._run.counts["fault retention"] += 1
            self._forget()

    def _forget(self) -> None:
        if not self._run.is_over:
            self._trim()
            self._run.after(self._round_ms, self._forget)

    def now(self) -> Now:
        """The clock of the saving; what steps is the machines' wall clock."""
        return Now(WALL_MS + self._run.time_ms, self._run.time_ms)

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Never called: a round is an event of the run."""

    @property
    def _saves(self) -> bool:
        """Whether anything is saved: lanes expire, as Lambda has it."""
        return bool(self._retention_ms) and self._run.plan.settings.order != "lane"

    def saving(self) -> Saving:
        """What a worker that begins saves with: it knows nothing yet."""
        return Saving(self._run, self, self._retention_ms, self._lead_ms)

    def look(self, worker: "Worker") -> None:
        """A worker learns what others have saved, when it reaches the store."""
        if self._saves and not worker.is_cut_off and not self._run.port_fails("evacuation-look-failure"):
            at_once(worker.saving.load())

    def begin_rounds(self, worker: "Worker") -> None:
        """A worker saves now and then, for as long as it lives."""
        if self._saves:
            self._run.after(self._run.random.randrange(self._round_ms), lambda: self._round(worker))

    def _round(self, worker: "Worker") -> None:
        run = self._run
        if not worker.is_alive:
            return
        self.look(worker)
        for shard in run.plan.shards if not worker.is_cut_off else ():
            if not run.port_fails("evacuation-failure"):
                self._save(worker, shard)
        run.after(self._round_ms, lambda: self._round(worker))

    def _save(self, worker: "Worker", shard: ShardPlan) -> None:
        place = Place(APP, MAPPING, STREAM.table, STREAM.label, shard.shard_id, (shard.first, shard.last))
        unfinished = Unfinished(place, STREAM, self._run.source.known(shard), cast(Any, None))
        with suppress(PortError):
            at_once(worker.saving.save(unfinished))
            self.looked[shard.shard_id].append(self._run.time_ms)

    def _trim(self) -> None:
        run, oldest_ms = self._run, self.now().wall_ms - self._retention_ms
        for shard_id, log in run.source.log.items():
            gone = bisect_left(log, oldest_ms, key=lambda record: record.created_ms)
            if gone:
                run.source.trim(shard_id, log[gone - 1].sequence)

    def could_save(self, shard_id: str, created_ms: int) -> bool:
        """Whether a round came between the moment at which a record was due and its trim."""
        due_ms = created_ms - WALL_MS + self._retention_ms - self._lead_ms
        return any(due_ms < at_ms <= self._run.time_ms for at_ms in self.looked[shard_id])


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast(Result, end.value)
    raise AssertionError("it waits for something")
