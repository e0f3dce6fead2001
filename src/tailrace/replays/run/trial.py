"""A handler on trial: called for every change of a replay, with its effects noted and none of them sent.

Theory of operation: one change after the other, each with notes of its own, so that what it leaves behind is
told by the change that it is for; batches have one change, as any batch may. The handler runs as in a worker
(its sink is the same, over what stands for the world), journals are read in a loop beside it. A failure is
what would become a dead letter; nothing is tried again.
Rules of this file: nothing leaves. Kinds that keep rows of their own are refused, with what is for them.
"""

import asyncio
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, TypeAlias

import orjson
from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.client import AsyncClient, Attached, Client
from tailrace.app.mapping import HandlerMapping, Where, archives_of
from tailrace.app.typed import entity_among
from tailrace.clocks.manual import ManualClock
from tailrace.errors import InternalError, SettingsError
from tailrace.journal.run.past import PastReader
from tailrace.ports import Failed, FailedFrom, Failure, Outcome, RecordBatch, Sink, StateStore
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange, ReplayEnd
from tailrace.replays.core.runs import Reached, ReplayQuestion
from tailrace.replays.run.fixing import begin_chance, fixed
from tailrace.replays.run.noting import OURS, THEIRS, Notes, body_of, key_text, notes_here, noting, trial
from tailrace.replays.run.recording import (
    PastDoor,
    PastTables,
    ReadingLoop,
    TrialSink,
    TrialState,
    TrialWrites,
)
from tailrace.replays.run.source import ReplaySource, SelectedChange, wanted_by
from tailrace.replays.run.stubs import NONE, Stubs
from tailrace.replays.run.walls import walled
from tailrace.runtime.attempting import attempt
from tailrace.runtime.beside import Beside
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import REPLAY_RUN, Effects, Marking
from tailrace.runtime.recursion import ancestor_name
from tailrace.runtime.threads import MOST, Threads
from tailrace.sinks.function import BatchSink, HandlerSink
from tailrace.sinks.lambda_function import InlineRunner, LambdaSink
from tailrace.sinks.streamed import StreamedSink
from tailrace.streams.arns import ACCOUNT

Told: TypeAlias = Callable[[ReplayCounts, int], None]
"""Is told what was done, and of how many changes."""
PAGE: Final = 500
TRIAL: Final = f"{REPLAY_RUN}dry-run"
"""The run that `change.replay_id` says."""
OTHERWISE: Final = {
    "projection": "tailrace projection rebuild builds it again",
    "window": "its windows are rows of its own; raise its version instead",
    "archive": "a journal is what is replayed",
}


class DryRun(Struct, frozen=True):
    """What is replayed on trial.

    Shape:   `opened` opens what reads an archive's journal; `until_us` is the end; `overrides` stand for
             providers; `alone`: the process does nothing else, so that threads of before are on trial, too.
    """

    app: App
    mapping: HandlerMapping
    question: ReplayQuestion
    until_us: int
    opened: Callable[[HandlerMapping], PastReader]
    where: Where | str | None = None
    stubs: Stubs = Stubs()
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] = NONE
    alone: bool = False


def archive_of(app: App, mapping: HandlerMapping) -> HandlerMapping:
    """What keeps the journal that a handler is replayed from. Raises: SettingsError."""
    archived = archives_of(app.mappings).get(mapping.table.name)
    if archived is not None:
        return archived
    raise SettingsError(
        f"table {mapping.table.name!r} has no journal, so nothing of it can be replayed",
        hint=f"app.archive({mapping.table.name}, 'history/') keeps one from now on",
    )


def check_replayed(mapping: HandlerMapping) -> None:
    """Require a kind that can be replayed. Raises: SettingsError."""
    if mapping.kind in OTHERWISE:
        raise SettingsError(
            f"{mapping.id!r} is of the kind {mapping.kind} and is not replayed: {OTHERWISE[mapping.kind]}"
        )
    if mapping.settings.tumbling_window_ms:
        raise SettingsError(f"{mapping.id!r} has a tumbling window, whose state a replay does not have")


def run_dry(
    asked: DryRun,
    emit: Callable[[ReplayedChange], None],
    told: Told | None = None,
) -> ReplayEnd:
    """Replay on trial; waits. `emit` is given the changes for which something was done, in order; `told` how
    far it is, after each change.

    Raises:  SettingsError, NotKnown, Unavailable; what `emit` raises.
    """
    check_replayed(asked.mapping)
    archived = archive_of(asked.app, asked.mapping)
    for table in asked.app.tables.values():
        for entity in table.entities:
            _ = entity.model  # annotations are evaluated before a date is another class
    beside, threads = Beside(OURS), Threads(OURS.removeprefix("tailrace "))
    reading = ReadingLoop(beside.loop(), threads)
    region = asked.app.region
    source = ReplaySource(asked.mapping, asked.opened(archived), asked.question, asked.until_us, region)
    tables = PastTables(asked.app, asked.opened)
    try:
        notes = reading.wait(source.open())
        total = 0 if told is None else reading.wait(source.count())
        with ExitStack() as laid:
            laid.enter_context(asked.stubs.laid())
            laid.enter_context(trial(alone=asked.alone))
            laid.enter_context(fixed())
            laid.enter_context(walled())
            handling = _Handling(asked, source, tables, reading)
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                counts = runner.run(handling.run(emit, lambda done: told and told(done, total)))
        return ReplayEnd(counts, notes)
    finally:
        source.close()
        tables.close()
        threads.shutdown(wait=False)
        beside.end()


class _Handling:
    """The handler's side of a trial."""

    def __init__(self, asked: DryRun, source: ReplaySource, tables: PastTables, reading: ReadingLoop) -> None:
        self._asked = asked
        self._source = source
        self._reading = reading
        self._wanted = wanted_by(asked.mapping, asked.where, source.stream)
        writes = TrialWrites(tables)
        self._state = TrialState(writes, reading)
        self._door = door = PastDoor(tables, writes, reading)
        entity_of = entity_among(asked.app.tables)

        async def client() -> Client:
            return Client(door, entity_of)

        async def async_client() -> AsyncClient:
            return AsyncClient(door, entity_of)

        clients = {asked.app.client: client, asked.app.async_client: async_client}
        self._needed = Dependencies(ChainMap({**asked.stubs.providers}, {**asked.overrides}, clients))
        self.counts = ReplayCounts()

    async def run(
        self, emit: Callable[[ReplayedChange], None], told: Callable[[ReplayCounts], Any]
    ) -> ReplayCounts:
        """Every change."""
        sink, threads = (
            self._sink(),
            Threads(f"{THEIRS.removeprefix('tailrace ')} {self._asked.mapping.id}", MOST),
        )
        before = self._asked.app.bind_door(Attached(lambda: self._door, _now_ms, _new_name))
        try:
            with threads.used():
                async for page in self._pages():
                    for selected in page:
                        replayed = await self._one(sink, selected)
                        if replayed.effects or replayed.unknown:
                            emit(replayed)
                        told(self.counts)
        finally:
            self._asked.app.bind_door(before)
            threads.shutdown(wait=False)
        return self.counts

    async def _pages(self) -> AsyncIterator[Sequence[SelectedChange]]:
        changes = self._source.changes(Reached())

        async def page() -> list[SelectedChange]:
            some: list[SelectedChange] = []
            async for change in changes:
                some.append(change)
                if len(some) >= PAGE:
                    break
            return some

        while some := await self._reading.begin(page()):
            yield some

    async def _one(self, sink: Sink, selected: SelectedChange) -> ReplayedChange:
        mapping, record = self._asked.mapping, selected.record
        notes = Notes(mapping.table.name, record)
        self.counts.changes += 1
        with noting(notes):
            begin_chance(notes)
            if self._wanted(record):
                self.counts.called += 1
                kept = mapping.settings.keyed([record]) if _by_partition(mapping) else [record]
                batch = RecordBatch(
                    kept, mapping.id, self._source.stream, selected.shard, request=f"{selected.place}"
                )
                outcome = await attempt(sink, batch)
                if notes.outage is not None:
                    raise notes.outage
                if (failure := _failure(outcome)) is not None:
                    note_failure(notes, failure)
        self.counts.effects += len(notes.effects)
        self.counts.unknown += bool(notes.unknown)
        key = key_text(orjson.loads(record.keys))
        return ReplayedChange(
            selected.place, record.version.text, key, record.event_name, record.created_us,
            tuple(notes.effects), notes.unknown,
        )  # fmt: skip

    def _sink(self) -> Sink:
        mapping = self._asked.mapping
        output = None if mapping.sink is None else TrialSink(type(mapping.sink).__name__)
        laid = replace(mapping, sink=output)
        app = self._asked.app
        state: StateStore = self._state
        effects = Effects(
            state,
            Marking(f"{app.name}.{mapping.id}", TRIAL, mapping.once, _by_partition(mapping)),
            cause=ancestor_name(app.name, mapping.id),
            tables=app.tables,
        )
        match mapping.kind:
            case "on":
                return HandlerSink(laid, effects, needed=self._needed)
            case "batch":
                return BatchSink(laid, effects, needed=self._needed)
            case "function":
                runner = InlineRunner(mapping.target, mapping.function_name, mapping.function, ManualClock())
                return LambdaSink(laid, runner, ACCOUNT, causes=effects.causes)
            case "sink":
                return StreamedSink(laid, causes=effects.causes)
        raise InternalError(f"a {mapping.kind} is not replayed")


def _now_ms() -> int:
    """The time of the change, for what is appended to aggregates."""
    notes = notes_here()
    return 0 if notes is None else notes.now_us // 1_000


def _new_name() -> str:
    notes = notes_here()
    return "" if notes is None else notes.chance.take(16).hex()


def note_failure(notes: Notes, failure: Failure) -> None:
    """What a handler that failed would leave."""
    name = failure.error.partition(":")[0]
    notes.note("deadletter", name, "", body_of({"error": failure.error}))


def _by_partition(mapping: HandlerMapping) -> bool:
    return mapping.settings.ordered_by == "partition"


def _failure(outcome: Outcome) -> Failure | None:
    match outcome:
        case Failed(failures, whole):
            return whole or next(iter(failures.values()), None)
        case FailedFrom(_, failure):
            return failure
    return None
