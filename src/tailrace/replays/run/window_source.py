"""The windows of a table's past, read from its journal: each that was over in a time, once, as it was last.

Theory of operation: a window may hold what was written long before it, so the journal is read from its
beginning: first what was there then, by the base or by the old image of an item's first change, then changes
in the order of their times. `PastWindows` closes windows as live delivery does. What cannot be complete is
counted and not given: windows that began before the journal knows the table, and those that lack changes of a
gap. A window is of the time when it was over: its end and `lateness`.
Rules of this file: nothing is written or guessed. One loop uses a source. Called by window_calls.py and
window_live.py.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

import orjson
from msgspec import Struct

from tailrace.app.fence import FENCE
from tailrace.app.mapping import HandlerMapping
from tailrace.app.table import schema_of
from tailrace.app.window import WindowPlan
from tailrace.errors import SettingsError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.moment import spoken
from tailrace.journal.core.past import before
from tailrace.journal.run.folding import (
    all_rows,
    asked_rows,
    count_between_sql,
    first_sql,
    timed_sql,
)
from tailrace.journal.run.past import JournalNow, PastReader
from tailrace.journal.run.reading import change_of
from tailrace.replays.run.source import lacking, record_of, replayed_stream, wanted_by
from tailrace.runtime.threads import in_thread
from tailrace.sinks.calling import failure_of
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import NOTHING
from tailrace.windows.core.past import PastWindow, PastWindows
from tailrace.windows.core.rows import Contribution
from tailrace.windows.run.changes import contribution_of

MS: Final = 1_000
UNKNOWN_US: Final = -MS
"""When what the journal began with was changed: an item of that time has no window."""
NEAR: Final = "so are those of items that are in windows by the times of their changes"


class WindowRange(Struct, frozen=True):
    """Which windows are asked for: those that were over after `since_us` and by `until_us`, with changes of
    before `as_of_us`. Units: microseconds since the epoch.
    """

    since_us: int
    until_us: int
    as_of_us: int

    def has(self, over_ms: int) -> bool:
        """Whether a window that was over then is asked for."""
        return self.since_us < over_ms * MS <= self.until_us


class WindowCounts(Struct):
    """What was read, and what of it is in no window, or was not given."""

    changes: int = 0
    incomplete: int = 0
    unplaced: int = 0
    error: str = ""


class WindowSource:
    """The windows of one handler. Shape: after `windows` has come to its end, `past` is what is left open."""

    def __init__(self, mapping: HandlerMapping, reader: PastReader, region: str) -> None:
        table = mapping.table
        self._reader = reader
        self._schema = schema_of(table)
        self._plan = plan_of(mapping)
        self._journals: list[JournalNow] = []
        self._wanted = wanted_by(mapping, None, replayed_stream(table, region))
        self._begin()

    def _begin(self) -> None:
        self.counts = WindowCounts()
        self.past = PastWindows(self._plan.shape)

    async def open(self) -> None:
        """Ask the journal as it is now. Raises: NotKnown, Unavailable."""
        self._journals = await self._reader.journals()

    def close(self) -> None:
        """Delete what was fetched."""
        self._reader.close()

    async def count(self, asked: WindowRange) -> int:
        """How many changes are read. Raises: Unavailable."""
        total = 0
        for now in self._journals:
            rows = await now.rows()
            ((number,),) = await in_thread(all_rows, rows, count_between_sql(rows, asked.as_of_us))
            total += int(number)
        return total

    @property
    def _first_us(self) -> int | None:
        """From when on the journal knows the table; None: it knows nothing."""
        known = [now.coverage.first_us for now in self._journals]
        return min(filter(None, known), default=None)

    def notes(self, asked: WindowRange) -> tuple[str, ...]:
        """What the journal does not know of the windows that are asked for, as far as they were read."""
        first_us, counts = self._first_us, self.counts
        if first_us is None:
            return ("the journal has no change yet",)
        notes = [f"{before(first_us)}: windows that began earlier are not told"]
        notes *= asked.since_us < first_us
        if all(now.coverage.base_us is None for now in self._journals) and self._plan.at.read is not None:
            notes.append(
                "the journal has no base: items that were not changed since it began are in no window"
            )
        notes += lacking(self._journals, asked.since_us, asked.as_of_us, NEAR)
        if counts.incomplete:
            notes.append(
                f"{counts.incomplete:,} windows are not complete, and not told: they began before the "
                "journal knows the table, or lack changes of a gap"
            )
        if self.past.late:
            notes.append(
                f"{self.past.late:,} changes came after their windows were closed for good, and are in none"
            )
        if counts.unplaced:
            notes.append(f"{counts.unplaced:,} changes have no window, for at= or by= fails: {counts.error}")
        return tuple(notes)

    async def windows(self, asked: WindowRange) -> AsyncGenerator[PastWindow]:
        """The windows that are asked for and closed for good by then, by (end, group, start); from the
        beginning, each time. Raises: Unavailable.

        Guarantee: memory grows with what is open at a time, not with the journal.
        """
        self._begin()
        first_us, delay_ms = self._first_us, self._plan.delay_ms
        if first_us is None:
            return
        past = self.past
        past.pass_to(first_us // MS - delay_ms)
        async for contribution in self._beginning(asked.as_of_us):
            past.apply(contribution)
        past.late = 0  # what was there before is no change
        async for record in self._changes(asked.as_of_us):
            for window in self.chosen(asked, past.pass_to(record.created_ms - delay_ms)):
                yield window
            if (placed := self._placed(record)) is not None:
                past.apply(placed)
        for window in self.chosen(asked, past.pass_to(asked.as_of_us // MS - delay_ms)):
            yield window

    def rest(self, asked: WindowRange) -> Sequence[PastWindow]:
        """After `windows`: those that are over and may still be corrected, as they are at its end."""
        ended_ms = asked.until_us // MS - self._plan.lateness_ms
        return self.chosen(asked, self.past.rest(ended_ms))

    def chosen(self, asked: WindowRange, windows: Sequence[PastWindow]) -> list[PastWindow]:
        """Those of some windows that are asked for and complete."""
        chosen = []
        for window in windows:
            if asked.has(window.end_ms + self._plan.lateness_ms):
                if self._is_complete(window):
                    chosen.append(window)
                else:
                    self.counts.incomplete += 1
        return chosen

    def _is_complete(self, window: PastWindow) -> bool:
        """Whether the journal has everything that may be in it."""
        begin_us, closed_us = window.start_ms * MS, (window.end_ms + self._plan.delay_ms) * MS
        first_us = self._first_us
        lost = (gap for now in self._journals for gap in now.coverage.lost)
        return (
            first_us is not None
            and begin_us >= first_us
            and not any(gap.overlaps(begin_us, closed_us) for gap in lost)
        )

    # ---- changes -------------------------------------------------------------------------------------------

    async def _beginning(self, until_us: int) -> AsyncIterator[Contribution]:
        """What the items that were there when the journal began contribute, where that has a time."""
        rows = await self._journals[0].rows()
        async for key, image in asked_rows(rows, first_sql(rows, until_us)):
            there = JournalChange("", key, NOTHING, UNKNOWN_US, "INSERT", None, image)
            record = record_of(there, self._schema, 0, 0)
            if self._wanted(record):
                contribution = self._placed(record)
                if contribution is not None and contribution.at_ms >= 0:
                    yield contribution

    async def _changes(self, until_us: int) -> AsyncIterator[ChangeRecord]:
        for now in self._journals:
            rows = await now.rows()
            async for row in asked_rows(rows, timed_sql(rows, until_us)):
                self.counts.changes += 1
                record = record_of(change_of(row), self._schema, 0, now.coverage.precision_us)
                if self._wanted(record):
                    yield record

    def _placed(self, record: ChangeRecord) -> Contribution | None:
        """What a change contributes; None: nobody can tell."""
        try:
            with FENCE:
                return contribution_of(self._plan, record)
        except Exception as error:  # whatever the user's code raises is this change's failure
            self.counts.unplaced += 1
            if not self.counts.error:
                key = orjson.dumps(orjson.loads(record.keys)).decode()
                when = spoken(record.created_us) if record.created_us >= 0 else "the beginning"
                self.counts.error = f"{key} of {when}: {failure_of(error).error}"
            return None


def plan_of(mapping: HandlerMapping) -> WindowPlan:
    """The windows of a handler. Raises: SettingsError."""
    if mapping.window is None:
        raise SettingsError(f"{mapping.id!r} has no windows")
    return mapping.window
