"""A stream that forgets, in a simulated run: what is older than its retention is trimmed, and what is not handled is saved before.

Rules of this file: the saving is the production code's (runtime/evacuation.py) over the run's rows; only the reading of a page is played. It works as long
as some worker lives and its store does not fail, as in production. Called by simulation.py.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from tailrace.deadletters.evacuated import Evacuation
from tailrace.ports import ReadDone, StateStore
from tailrace.rows.writes import StateRow
from tailrace.runtime.delivering import Place
from tailrace.runtime.evacuation import PAGE, Evacuator, Unfinished
from tailrace.runtime.kept import Kept
from tailrace.runtime.steps import Call, Get, Query, Steps
from tailrace.streams.moment import Now
from tailrace.testing.simulation_plan import WALL_MS, ShardPlan
from tailrace.testing.simulation_rows import APP, MAPPING, STREAM

if TYPE_CHECKING:
    from tailrace.testing.simulation import Run

LEAD: Final = 6
"""The saving begins this part of the retention before the trim; production has two hours of twenty-four."""
ROUNDS: Final = 4
"""So often it looks in that time."""
Result = TypeVar("Result")


class KeptInRows(Kept):
    """What is saved of a shard, as the rows say at this moment: whatever worker has saved it."""

    def __init__(self, retention: "Retention", shard: ShardPlan) -> None:
        self._retention = retention
        self._shard = shard

    @property
    def evacuation(self) -> Evacuation | None:  # type: ignore[override]
        """None while nothing is saved."""
        return self._retention.saved_of(self._shard)


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
        """All or nothing. Raises: StateConflict."""
        self._run.rows.transact(writes)


def _one(call: Call) -> Steps[Any]:
    return (yield call)


class Retention:
    """The horizon of one run. Shape: `looked` are the times of the rounds in which a shard could be saved."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._retention_ms = run.plan.retention_ms
        self._lead_ms = self._retention_ms // LEAD
        self._store = cast(StateStore, RowsStore(run))
        self.looked: dict[str, list[int]] = {shard.shard_id: [] for shard in run.plan.shards}

    def begin(self) -> None:
        """Forget and save for as long as the run lasts, when its plan has a retention."""
        if self._retention_ms:
            self._run.counts["fault retention"] += 1
            self._round()

    def now(self) -> Now:
        """The clock of the saving; what steps is the machines' wall clock."""
        return Now(WALL_MS + self._run.time_ms, self._run.time_ms)

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Never called: a round is an event of the run."""

    def kept(self, shard: ShardPlan) -> Kept:
        """What is saved of a shard."""
        if not self._retention_ms or self._run.plan.settings.order == "lane":
            return Kept()
        return KeptInRows(self, shard)

    def kept_of(self, shard_id: str) -> Kept:
        """The same by the shard's id."""
        return self.kept(next(each for each in self._run.plan.shards if each.shard_id == shard_id))

    def saved_of(self, shard: ShardPlan) -> Evacuation | None:
        """What the rows say is saved of a shard."""
        return self._evacuator().of(MAPPING, STREAM.label, shard.shard_id).evacuation

    def _evacuator(self) -> Evacuator:
        """One that has just started: what it knows is what the rows say."""
        evacuator = Evacuator(APP, self._store, self, self._retention_ms, self._lead_ms)
        at_once(evacuator.load())
        return evacuator

    def _round(self) -> None:
        run = self._run
        if run.is_over:
            return
        if run.plan.settings.order != "lane":
            for shard in run.plan.shards:
                is_able = any(worker.is_alive for worker in run.workers) and not run.port_fails(
                    "evacuation-failure"
                )
                if is_able:
                    self._save(shard)
                    self.looked[shard.shard_id].append(run.time_ms)
        self._trim()
        run.after(max(self._lead_ms // ROUNDS, 1), self._round)

    def _save(self, shard: ShardPlan) -> None:
        run, evacuator = self._run, self._evacuator()
        place = Place(APP, MAPPING, STREAM.table, STREAM.label, shard.shard_id, (shard.first, shard.last))
        known = run.source.known(shard)
        unfinished = Unfinished(place, STREAM, known, cast(Any, None))
        at_once(evacuator.forget(unfinished))
        while True:
            after = at_once(evacuator.position(unfinished))
            copies = (
                [] if after is None else at_once(evacuator.copy(unfinished, after, self._page(shard, after)))
            )
            if not copies:
                return
            run.counts["fault evacuated"] += len(copies)
            run.observer.evacuated(shard.shard_id, copies)

    def _page(self, shard: ShardPlan, after: int) -> ReadDone:
        log, horizon = self._run.source.log[shard.shard_id], self._run.source.trimmed[shard.shard_id]
        first = bisect_right(log, max(after, horizon), key=lambda record: record.sequence)
        page = log[first : first + PAGE]
        is_trimmed = after < horizon and bisect_right(log, after, key=lambda record: record.sequence) < first
        closed = self._run.source.is_closed(shard) and first + len(page) == len(log)
        return ReadDone(page, page[-1].sequence if page else max(after, horizon), closed, is_trimmed)

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
