"""A handler on trial: called for every change of a replay, with its effects noted and none of them sent.

Theory of operation: one change, or window, after the other, each with notes of its own, so that what it
leaves behind is told by what it is for. The handler runs as in a worker (its sink is the same, over what
stands for the world), journals are read in a loop beside it. A failure is what would become a dead letter;
nothing is tried again.
Rules of this file: nothing leaves. What is called is change_calls.py's and window_calls.py's.
"""

import asyncio
from collections import ChainMap
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TypeAlias

from tailrace.app.client import AsyncClient, Attached, Client
from tailrace.app.typed import entity_among
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange, ReplayEnd
from tailrace.replays.run.calls import DryRun, TrialCalls, archive_of, check_replayed
from tailrace.replays.run.change_calls import ChangeCalls
from tailrace.replays.run.fixing import fixed
from tailrace.replays.run.noting import OURS, THEIRS, notes_here, trial
from tailrace.replays.run.recording import (
    PastDoor,
    PastTables,
    ReadingLoop,
    TrialSink,
    TrialState,
    TrialWrites,
)
from tailrace.replays.run.walls import walled
from tailrace.replays.run.window_calls import WindowCalls
from tailrace.runtime.beside import Beside
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.threads import MOST, Threads

Told: TypeAlias = Callable[[ReplayCounts, int], None]
"""Is told what was done, and of how many changes."""


def run_dry(
    asked: DryRun,
    emit: Callable[[ReplayedChange], None],
    told: Told | None = None,
) -> ReplayEnd:
    """Replay on trial; waits. `emit` is given the changes for which something was done, in order, or all
    windows; `told` how far it is.

    Raises:  SettingsError, NotKnown, Unavailable; what `emit` raises.
    """
    check_replayed(asked.mapping)
    archive_of(asked.app, asked.mapping)
    for table in asked.app.tables.values():
        for entity in table.entities:
            _ = entity.model  # annotations are evaluated before a date is another class
    beside, threads = Beside(OURS), Threads(OURS.removeprefix("tailrace "))
    reading = ReadingLoop(beside.loop(), threads)
    calls = _calls_of(asked, reading)
    tables = PastTables(asked.app, asked.opened)
    try:
        reading.wait(calls.open())
        total = 0 if told is None else reading.wait(calls.count())
        with ExitStack() as laid:
            laid.enter_context(asked.stubs.laid())
            laid.enter_context(trial(alone=asked.alone))
            laid.enter_context(fixed())
            laid.enter_context(walled())
            handling = _Handling(asked, tables, reading, calls)
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                counts = runner.run(handling.run(emit, lambda done: told and told(done, total)))
        return ReplayEnd(counts, calls.notes())
    finally:
        calls.close()
        tables.close()
        threads.shutdown(wait=False)
        beside.end()


def _calls_of(asked: DryRun, reading: ReadingLoop) -> TrialCalls:
    return ChangeCalls(asked, reading) if asked.mapping.window is None else WindowCalls(asked, reading)


class _Handling:
    """The handler's side of a trial."""

    def __init__(self, asked: DryRun, tables: PastTables, reading: ReadingLoop, calls: TrialCalls) -> None:
        self._asked = asked
        self._calls = calls
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

    async def run(
        self, emit: Callable[[ReplayedChange], None], told: Callable[[ReplayCounts], Any]
    ) -> ReplayCounts:
        """Everything that the handler is called for."""
        mapping, calls = self._asked.mapping, self._calls
        output = None if mapping.sink is None else TrialSink(type(mapping.sink).__name__)
        calls.prepare(replace(mapping, sink=output), self._state, self._needed)
        threads = Threads(f"{THEIRS.removeprefix('tailrace ')} {mapping.id}", MOST)
        before = self._asked.app.bind_door(Attached(lambda: self._door, _now_ms, _new_name))
        try:
            with threads.used():
                async for replayed in calls.made(told):
                    calls.counts.effects += len(replayed.effects)
                    calls.counts.unknown += bool(replayed.unknown)
                    if replayed.effects or replayed.unknown or replayed.window is not None:
                        emit(replayed)
        finally:
            self._asked.app.bind_door(before)
            threads.shutdown(wait=False)
        return calls.counts


def _now_ms() -> int:
    """The time of the change, for what is appended to aggregates."""
    notes = notes_here()
    return 0 if notes is None else notes.now_us // 1_000


def _new_name() -> str:
    notes = notes_here()
    return "" if notes is None else notes.chance.take(16).hex()
