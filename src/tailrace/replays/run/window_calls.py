"""The calls of a handler on trial for the windows of the past, one after the other.

Theory of operation: windows come with their last words by the end of the replay; each is called for once, at
its end: that is the handler's time, and as of when tables are read. Revisions are those of a first word, so
that the same window is the same in every run.
Rules of this file: keys and `where` are refused, for a window is all of its items. Made by trial.py.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import orjson

from tailrace.app.mapping import HandlerMapping, Where
from tailrace.app.table import schema_of
from tailrace.clocks.system import SystemClock
from tailrace.errors import InternalError, SettingsError
from tailrace.ports import StateStore
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange, ReplayedWindow
from tailrace.replays.core.runs import ReplayQuestion
from tailrace.replays.run.calls import TRIAL, DryRun, archive_of, note_failure, pages
from tailrace.replays.run.fixing import begin_chance
from tailrace.replays.run.noting import Notes, body_of, key_text, noting
from tailrace.replays.run.recording import ReadingLoop
from tailrace.replays.run.window_source import WindowRange, WindowSource, plan_of
from tailrace.runtime.dependencies import Dependencies
from tailrace.sinks.windowed import WindowTeller, record_of
from tailrace.streams.arns import ACCOUNT
from tailrace.streams.version import FIRST_GENERATION
from tailrace.windows.core.past import PastWindow
from tailrace.windows.run.contents import EMPTY
from tailrace.windows.run.windowing import Closing

PAGE: Final = 20
"""Windows that are read ahead: each has all of its items."""


def check_windows(
    mapping: HandlerMapping, question: ReplayQuestion | None, where: Where | str | None
) -> None:
    """Require that nothing of windows is left out. Raises: SettingsError."""
    if mapping.window is None:
        return
    if where or (question is not None and (question.keys or question.where)):
        raise SettingsError(
            f"{mapping.id!r} has windows: keys and where choose changes, and a window is all of its items",
            hint="--since and --until choose windows, by when they were over",
        )


class WindowCalls:
    """A handler's calls for windows."""

    def __init__(self, asked: DryRun, reading: ReadingLoop) -> None:
        check_windows(asked.mapping, asked.question, asked.where)
        self.counts = ReplayCounts()
        self._mapping = asked.mapping
        self._plan = plan_of(asked.mapping)
        self._reading = reading
        reader = asked.opened(archive_of(asked.app, asked.mapping))
        self._source = WindowSource(asked.mapping, reader, asked.app.region)
        self._range = WindowRange(asked.question.since_us, asked.until_us, asked.until_us)
        self._teller: WindowTeller | None = None

    async def open(self) -> None:
        """As the protocol says."""
        await self._source.open()

    async def count(self) -> int:
        """As the protocol says."""
        return await self._source.count(self._range)

    def notes(self) -> tuple[str, ...]:
        """As the protocol says."""
        return self._source.notes(self._range)

    def close(self) -> None:
        """As the protocol says."""
        self._source.close()

    def prepare(self, laid: HandlerMapping, state: StateStore, needed: Dependencies) -> None:
        """As the protocol says."""
        self._teller = WindowTeller(laid, self._plan, laid.target, needed, ACCOUNT, SystemClock())

    async def made(self, told: Callable[[ReplayCounts], Any]) -> AsyncIterator[ReplayedChange]:
        """As the protocol says."""
        async for page in pages(self._reading, self._source.windows(self._range), PAGE):
            async for replayed in self._told(page, told):
                yield replayed
        async for replayed in self._told(self._source.rest(self._range), told):
            yield replayed

    async def _told(
        self, windows: Sequence[PastWindow], told: Callable[[ReplayCounts], Any]
    ) -> AsyncIterator[ReplayedChange]:
        self.counts.changes = self._source.counts.changes
        for window in windows:
            yield await self._one(window)
            told(self.counts)

    async def _one(self, window: PastWindow) -> ReplayedChange:
        if self._teller is None:
            raise InternalError("nothing was prepared to be called")
        closing = Closing(
            window.group, window.span, window.members, 1, EMPTY, FIRST_GENERATION, replay_id=TRIAL
        )
        record = record_of(self._mapping.id, closing)
        notes = Notes("", record)
        place = self.counts.called
        self.counts.called += 1
        with noting(notes):
            begin_chance(notes)
            result = await self._teller.tell(closing)
            if notes.outage is not None:
                raise notes.outage
            if result.failure is not None:
                note_failure(notes, result.failure)
        return ReplayedChange(
            place, record.version.text, key_text(orjson.loads(record.keys)), "WINDOW", record.created_us,
            tuple(notes.effects), notes.unknown, self._shown(window),
        )  # fmt: skip

    def _shown(self, window: PastWindow) -> ReplayedWindow:
        names = schema_of(self._plan.table).key_names
        items = tuple(
            key_text({name: image[name] for name in names})
            for image in (member.image or {} for member in window.members)
        )
        key = body_of(self._plan.by.value_of(window.group))
        return ReplayedWindow(key, window.group, window.start_ms, window.end_ms, items)
