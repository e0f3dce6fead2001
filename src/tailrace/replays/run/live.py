"""A handler again over changes of a journal, for real: with a run of its own, which goes on where it was.

Theory of operation: changes come by version, one batch after the other, so those of an item stay in order.
What the handler does is marked under the run, beside the marks of the live traffic and of other runs; after
each batch a row says how far it is. A killed run goes on behind the last batch that was saved, and what was
recorded on `change.transaction` for the one after it is not applied again. A change that fails is tried as
often as the handler's retries say, an outage without end; then the run stops before it: nothing is skipped.
Rules of this file: it writes its own row and what the handler's sink writes. Decision 80.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NoReturn

import orjson
from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.mapping import HandlerMapping, Where
from tailrace.errors import ReplayStopped, SettingsError, StateConflict
from tailrace.journal.run.past import PastReader
from tailrace.mapping.retry import GiveUp, after_failure
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.ports import (
    Clock,
    Failed,
    FailedFrom,
    Failure,
    FailureKind,
    Outcome,
    RecordBatch,
    Sink,
    StateStore,
)
from tailrace.replays.core.effects import ReplayCounts
from tailrace.replays.core.report import ReplayReport
from tailrace.replays.core.runs import (
    Reached,
    ReplayQuestion,
    ReplayRun,
    begun,
    finished,
    new_run,
    read_run,
    saved,
    taken_up,
    unfinished,
)
from tailrace.replays.run.source import ReplaySource, SelectedChange, Wanted, wanted_by
from tailrace.rows.kinds import REPLAY
from tailrace.rows.writes import Write
from tailrace.runtime.attempting import TimedSink, attempt
from tailrace.runtime.effects import REPLAY_RUN
from tailrace.runtime.threads import MOST, Threads
from tailrace.streams.record import ChangeRecord
from tailrace.windows.run.retelling import Retelling

SECOND: Final = 1_000
RETRIES: Final = 5
"""Of a handler that is to be retried without end: somebody waits for a replay."""


class LiveGround(Struct, frozen=True):
    """Where a live replay runs.

    Shape:   `state` keeps its row; `sink_of` makes a handler's sink for a run; `opened` reads an archive's
             journal; `new_name` gives a name that nothing has had; `retelling` tells windows of a handler
             again, from what its archive keeps.
    """

    app: str
    region: str
    state: StateStore
    clock: Clock
    sink_of: Callable[[HandlerMapping, str], Sink]
    opened: Callable[[HandlerMapping], PastReader]
    new_name: Callable[[], str]
    retelling: Callable[[HandlerMapping, HandlerMapping], Retelling | None] = lambda mapping, archived: None


class LiveQuestion(Struct, frozen=True):
    """What is replayed, and how.

    Shape:   `question` may be None with `resume`, the id of a run; `anew` forgets an unfinished run of it.
    Units:   `rate` changes a second at most, None: as fast as the handler is.
    """

    mapping: HandlerMapping
    archived: HandlerMapping
    question: ReplayQuestion | None
    where: Where | str | None = None
    rate: float | None = None
    resume: str | None = None
    anew: bool = False


Told = Callable[[ReplayRun], None]


async def run_live(
    ground: LiveGround, asked: LiveQuestion, told: Callable[[ReplayRun, Sequence[str]], Told]
) -> ReplayReport:
    """Begin or resume a run, and go to its end. Shape: `told` is given the run and what the journal does not
    know when it begins, and gives what is told of each step.

    Raises:  ReplayStopped; SettingsError, NotKnown, Unavailable, StoreError.
    """
    run, is_new = await chosen_run(ground, asked)
    source = ReplaySource(
        asked.mapping, ground.opened(asked.archived), run.asked, run.until_us, ground.region
    )
    threads = Threads(f"replay of {asked.mapping.id}", MOST)
    sink = TimedSink(ground.sink_of(asked.mapping, run.id), ground.clock, threads=threads)
    try:
        notes = await source.open()
        if is_new:
            run = replace(run, total=await source.count())
            write = begun(ground.app, run)
        else:
            run, write = taken_up(ground.app, run)
        await save_run(ground, run, write)
        wanted = wanted_by(asked.mapping, asked.where or run.where or None, source.stream)
        live = _LiveRun(ground, asked, source, sink, wanted)
        run = await live.go(run, told(run, notes))
        await save_run(ground, run, finished(ground.app, run))
        return ReplayReport(run.id, ReplayCounts(run.done, run.called), notes)
    finally:
        await sink.end()
        source.close()


async def chosen_run(ground: LiveGround, asked: LiveQuestion) -> tuple[ReplayRun, bool]:
    """The run that goes on, or a new one. Raises: SettingsError."""
    rows = await ground.state.query(REPLAY.prefix(ground.app, asked.mapping.id))
    runs = [read_run(row.fields) for row in rows]
    if asked.resume is not None:
        for run in runs:
            if run.id == asked.resume:
                return run, False
        ids = ", ".join(run.id for run in runs) or "none"
        raise SettingsError(f"there is no unfinished replay {asked.resume!r} of {asked.mapping.id}: {ids}")
    question = asked.question
    if question is None:
        raise SettingsError("since: a replay begins at a time, or goes on with resume=")
    if (run_of_it := unfinished(runs, question)) is not None:
        if not asked.anew:
            return run_of_it, False
        await save_run(ground, run_of_it, finished(ground.app, run_of_it))
    now_ms = ground.clock.now().wall_ms
    until_us = (now_ms + 1) * 1_000 if question.until_us is None else question.until_us
    return new_run(f"{REPLAY_RUN}{ground.new_name()}", question, until_us, 0, now_ms), True


async def save_run(ground: LiveGround, run: ReplayRun, write: Write) -> None:
    """Write a run's row. Raises: ReplayStopped where another process has taken it up; StoreError."""
    try:
        await ground.state.transact([write])
    except StateConflict as error:
        raise ReplayStopped(
            f"replay {run.id} of {run.handler} was taken up by another process", hint="let one of them go on"
        ) from error


async def stand_still(ground: LiveGround, run: ReplayRun, words: str) -> NoReturn:
    """Save how far a run is that cannot go on, and say before what. Raises: ReplayStopped, StoreError."""
    run = replace(run, stopped=words)
    await save_run(ground, run, saved(ground.app, run))
    raise ReplayStopped(
        f"replay {run.id} of {run.handler} stands still before {words}; nothing is skipped",
        hint=f"mend it, then: tailrace replay {run.handler} --effects live --resume {run.id}",
    )


class Tries:
    """The attempts at one thing, as the handler's retries say; they have an end. Shape: so many `attempts`
    have failed.
    """

    def __init__(self, clock: Clock, mapping: HandlerMapping) -> None:
        self._clock = clock
        self._settings: MappingSettings = mapping.settings
        if self._settings.maximum_retry_attempts == INFINITE:
            self._settings = replace(self._settings, maximum_retry_attempts=RETRIES)
        self.begin()

    def begin(self) -> None:
        """At another thing."""
        self.attempts = self._outages = 0

    async def may_follow(self, failure: Failure) -> bool:
        """Count an attempt that failed, and wait as long as the next one has to. Returns: whether there is
        one.
        """
        self.attempts += 1
        self._outages += 1
        decision = after_failure(
            self._settings, failure, size=1, attempts=self.attempts, outages=self._outages
        )
        if isinstance(decision, GiveUp):
            return False
        self.attempts -= not getattr(decision, "counts", True)
        now_ms = self._clock.now().monotonic_ms
        await self._clock.sleep_until(now_ms + getattr(decision, "delay_ms", 0))
        return True


class ReplayPace:
    """At most so many a second. Shape: `rate` None: as fast as the handler is."""

    def __init__(self, clock: Clock, rate: float | None) -> None:
        self._clock = clock
        self._rate = rate
        self._due_ms = float(clock.now().monotonic_ms)

    def batch(self, most: int) -> int:
        """How many may be handed out before it is waited."""
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    async def keep(self, count: int) -> None:
        """Wait as long as so many take."""
        if self._rate is None:
            return
        self._due_ms = max(self._due_ms, self._clock.now().monotonic_ms - SECOND)
        self._due_ms += count * SECOND / self._rate
        await self._clock.sleep_until(int(self._due_ms))


class _LiveRun:
    """One run in one process."""

    def __init__(
        self, ground: LiveGround, asked: LiveQuestion, source: ReplaySource, sink: Sink, wanted: Wanted
    ) -> None:
        self._ground = ground
        self._mapping = asked.mapping
        self._pace = ReplayPace(ground.clock, asked.rate)
        self._source = source
        self._sink = sink
        self._wanted = wanted

    async def go(self, run: ReplayRun, told: Told) -> ReplayRun:
        """To the end. Raises: ReplayStopped."""
        clock = self._ground.clock
        async for batch in self._batches(run.reached):
            records = [change.record for change in batch if self._wanted(change.record)]
            refused = await self._deliver(run, records, batch[-1].shard)
            if refused is not None:
                await self._stop(run, batch, *refused)
            last = batch[-1]
            reached = Reached(last.record.version, last.shard)
            run = run.moved(reached, len(batch), len(records), clock.now().wall_ms)
            await save_run(self._ground, run, saved(self._ground.app, run))
            told(run)
            await self._pace.keep(len(records))
        return run

    async def _batches(self, after: Reached) -> AsyncIterator[list[SelectedChange]]:
        most = self._pace.batch(self._mapping.settings.batch_size)
        batch: list[SelectedChange] = []
        async for change in self._source.changes(after):
            if len(batch) >= most:
                yield batch
                batch = []
            batch.append(change)
        if batch:
            yield batch

    # ---- delivery ------------------------------------------------------------------------------------------

    async def _deliver(
        self, run: ReplayRun, records: Sequence[ChangeRecord], shard: str
    ) -> tuple[ChangeRecord, Failure] | None:
        """Hand some changes to the handler until they are done. Returns: the first that is given up, why."""
        waiting, tries = [*records], Tries(self._ground.clock, self._mapping)
        if self._mapping.settings.ordered_by == "partition":
            waiting = [*self._mapping.settings.keyed(waiting)]
        while waiting:
            request = f"{run.id}-{waiting[0].sequence}"
            outcome = await attempt(
                self._sink,
                RecordBatch(
                    waiting, self._mapping.id, self._source.stream, shard, tries.attempts + 1, request
                ),
            )
            left, failure = unsettled(outcome, waiting)
            if failure is None:
                return None
            if (
                failure.kind is FailureKind.RECORD
                and len(left) > 1
                and isinstance(outcome, Failed)
                and outcome.whole
            ):
                return await self._one_by_one(run, left, shard)
            if left[0] is not waiting[0]:
                tries.begin()
            if not await tries.may_follow(failure):
                return left[0], failure
            waiting = left
        return None

    async def _one_by_one(
        self, run: ReplayRun, records: Sequence[ChangeRecord], shard: str
    ) -> tuple[ChangeRecord, Failure] | None:
        """A batch that failed as a whole does not say which change is at fault."""
        for record in records:
            if (refused := await self._deliver(run, [record], shard)) is not None:
                return refused
        return None

    async def _stop(
        self, run: ReplayRun, batch: Sequence[SelectedChange], record: ChangeRecord, failure: Failure
    ) -> NoReturn:
        """Save what came before the change that is given up, and say so. Raises: ReplayStopped."""
        before: list[SelectedChange] = []
        for change in batch:
            if change.record.version == record.version and change.record.keys == record.keys:
                break
            before.append(change)
        if before:
            reached = Reached(before[-1].record.version, before[-1].shard)
            called = sum(1 for change in before if self._wanted(change.record))
            run = run.moved(reached, len(before), called, self._ground.clock.now().wall_ms)
        key = orjson.dumps(orjson.loads(record.keys)).decode()
        version = record.version.text.lstrip("0")
        words = f"{self._mapping.table.name} {key}, version {version}: {failure.error}"
        await stand_still(self._ground, run, words)


def unsettled(outcome: Outcome, records: Sequence[ChangeRecord]) -> tuple[list[ChangeRecord], Failure | None]:
    """What is to be handed out again, in order, and the failure of the first of it: what failed, and what
    follows it of the same items.
    """
    match outcome:
        case FailedFrom(index, failure):
            return [*records[index:]], failure
        case Failed(_, whole) if whole is not None:
            return [*records], whole
        case Failed(failures) if failures:
            first = min(failures)
            held: set[bytes] = set()
            left = []
            for place, record in enumerate(records):
                if place in failures or record.key in held:
                    held.add(record.key)
                    left.append(record)
            return left, failures[first]
    return [], None
