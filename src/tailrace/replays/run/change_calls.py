"""The calls of a handler on trial for changes, one after the other.

Rules of this file: the handler runs as in a worker, over what stands for the world; batches have one change,
as any batch may. Stands alone because windows are called otherwise. Made by trial.py.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from tailrace.app.mapping import HandlerMapping
from tailrace.clocks.manual import ManualClock
from tailrace.errors import InternalError
from tailrace.ports import Failed, FailedFrom, Failure, Outcome, RecordBatch, Sink, StateStore
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange
from tailrace.replays.core.runs import Reached
from tailrace.replays.run.calls import TRIAL, DryRun, archive_of, note_failure, pages
from tailrace.replays.run.fixing import begin_chance
from tailrace.replays.run.noting import Notes, key_text, noting
from tailrace.replays.run.recording import ReadingLoop
from tailrace.replays.run.source import ReplaySource, SelectedChange, wanted_by
from tailrace.runtime.attempting import attempt
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import Effects, Marking
from tailrace.runtime.recursion import ancestor_name
from tailrace.sinks.function import BatchSink, HandlerSink
from tailrace.sinks.lambda_function import InlineRunner, LambdaSink
from tailrace.sinks.streamed import StreamedSink
from tailrace.streams.arns import ACCOUNT


class ChangeCalls:
    """A handler's calls for changes."""

    def __init__(self, asked: DryRun, reading: ReadingLoop) -> None:
        archived = archive_of(asked.app, asked.mapping)
        self.counts = ReplayCounts()
        self._asked = asked
        self._reading = reading
        self._source = ReplaySource(
            asked.mapping, asked.opened(archived), asked.question, asked.until_us, asked.app.region
        )
        self._wanted = wanted_by(asked.mapping, asked.where, self._source.stream)
        self._notes: tuple[str, ...] = ()
        self._sink: Sink | None = None

    async def open(self) -> None:
        """As the protocol says."""
        self._notes = await self._source.open()

    async def count(self) -> int:
        """As the protocol says."""
        return await self._source.count()

    def notes(self) -> tuple[str, ...]:
        """As the protocol says."""
        return self._notes

    def close(self) -> None:
        """As the protocol says."""
        self._source.close()

    async def made(self, told: Callable[[ReplayCounts], Any]) -> AsyncIterator[ReplayedChange]:
        """As the protocol says."""
        async for page in pages(self._reading, self._source.changes(Reached())):
            for selected in page:
                yield await self._one(selected)
                told(self.counts)

    async def _one(self, selected: SelectedChange) -> ReplayedChange:
        mapping, record = self._asked.mapping, selected.record
        notes = Notes(mapping.table.name, record)
        self.counts.changes += 1
        if self._sink is None:
            raise InternalError("nothing was prepared to be called")
        with noting(notes):
            begin_chance(notes)
            if self._wanted(record):
                self.counts.called += 1
                kept = mapping.settings.keyed([record]) if _by_partition(mapping) else [record]
                batch = RecordBatch(
                    kept, mapping.id, self._source.stream, selected.shard, request=f"{selected.place}"
                )
                outcome = await attempt(self._sink, batch)
                if notes.outage is not None:
                    raise notes.outage
                if (failure := _failure(outcome)) is not None:
                    note_failure(notes, failure)
        key = key_text(orjson.loads(record.keys))
        return ReplayedChange(
            selected.place, record.version.text, key, record.event_name, record.created_us,
            tuple(notes.effects), notes.unknown,
        )  # fmt: skip

    def prepare(self, laid: HandlerMapping, state: StateStore, needed: Dependencies) -> None:
        """As the protocol says."""
        app = self._asked.app
        effects = Effects(
            state,
            Marking(f"{app.name}.{laid.id}", TRIAL, laid.once, _by_partition(laid)),
            cause=ancestor_name(app.name, laid.id),
            tables=app.tables,
        )
        match laid.kind:
            case "on":
                self._sink = HandlerSink(laid, effects, needed=needed)
            case "batch":
                self._sink = BatchSink(laid, effects, needed=needed)
            case "function":
                runner = InlineRunner(laid.target, laid.function_name, laid.function, ManualClock())
                self._sink = LambdaSink(laid, runner, ACCOUNT, causes=effects.causes)
            case "sink":
                self._sink = StreamedSink(laid, causes=effects.causes)
            case _:
                raise InternalError(f"a {laid.kind} is not replayed by its changes")


def _by_partition(mapping: HandlerMapping) -> bool:
    return mapping.settings.ordered_by == "partition"


def _failure(outcome: Outcome) -> Failure | None:
    match outcome:
        case Failed(failures, whole):
            return whole or next(iter(failures.values()), None)
        case FailedFrom(_, failure):
            return failure
    return None
