"""The journal of a table as builds are filled from it: its changes by key, and what it does not know.

Theory of operation: each look is one manifest, and its segments are read by DuckDB in the order of keys.
Segments that were read whole are left out by their names; what a merged one has twice the reader ignores.
Rules of this file: nothing is written; one incarnation of the table, the newest. Called by
projections/run/from_journal.py, over its protocols.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from msgspec import Struct

from tailrace.journal.core.places import JournaledTable
from tailrace.journal.run.folding import all_rows, asked_rows, count_sql, keyed_sql, newest_sql
from tailrace.journal.run.opening import check_installed
from tailrace.journal.run.past import JournalNow, PastReader
from tailrace.ports import ArchiveStore, Clock
from tailrace.projections.core.journaled import HistoryChange
from tailrace.projections.run.following import FollowingMarks
from tailrace.runtime.threads import in_thread
from tailrace.streams.version import Version

NO_BASE = (
    "items that were never changed are not known, because the journal has no base: it begins with its "
    "first change"
)


class JournalFeed(Struct, frozen=True):
    """The journal of one table. Shape: `marks` say how far its archive is."""

    archive: ArchiveStore
    table: JournaledTable
    clock: Clock
    marks: FollowingMarks

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["OpenedFeed"]:
        """Open it; what was fetched is deleted at the end. Raises: Unavailable without the extra."""
        check_installed()
        reader = PastReader(self.archive, self.table, self.clock)
        try:
            yield OpenedFeed(reader.newest, self.clock)
        finally:
            reader.close()


class OpenedFeed(Struct, frozen=True):
    """The same, opened. Shape: `newest` looks at it."""

    newest: Callable[[], Awaitable[JournalNow | None]]
    clock: Clock

    async def view(self) -> "FeedView | None":
        """As it is now; None: there is none, or its base is so new that changes of before it may be still to
        come. Raises: Unavailable.
        """
        now = await self.newest()
        base = None if now is None else now.view.base
        untold_us = None if base is None else base.inexact_us
        if now is None or (untold_us is not None and self.clock.now().wall_ms * 1_000 < untold_us):
            return None
        return FeedView(now)


class FeedView(Struct, frozen=True):
    """A journal as of one manifest."""

    now: JournalNow

    @property
    def files(self) -> frozenset[str]:
        """The names of its segments."""
        return frozenset(self.now.view.manifest.files)

    @property
    def size(self) -> int:
        """Of all segments. Units: bytes."""
        return sum(file.size for file in self.now.view.manifest.files.values())

    @property
    def incarnation(self) -> str:
        """Which table it is of."""
        return self.now.view.folder

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is not known of the table since it began, in words."""
        coverage = self.now.coverage
        base = () if coverage.base_us is not None else (NO_BASE,)
        return (*base, *(gap.words for gap in coverage.lost))

    async def total(self, *, is_newest: bool) -> int:
        """How many changes, or items, it has. Raises: Unavailable."""
        rows = await self.now.rows()
        ((count,),) = await in_thread(all_rows, rows, count_sql(rows, is_of_keys=is_newest))
        return int(count)

    async def changes(
        self, *, is_newest: bool, first: bytes, end: bytes | None, without: frozenset[str]
    ) -> AsyncGenerator[HistoryChange]:
        """Changes by key and version, or the newest of each key. Raises: Unavailable."""
        if self.files <= without:
            return
        rows = await self.now.rows(without=without)
        sql = (newest_sql if is_newest else keyed_sql)(rows, first, end)
        async with aclosing(asked_rows(rows, sql)) as asked:
            async for key, generation, sequence, old, new, is_state in asked:
                version = Version(generation, int.from_bytes(sequence, "big"))
                yield HistoryChange(key, version, old, new, is_state)
