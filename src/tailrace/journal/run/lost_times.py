"""What a journal has lost, in time: the named gaps of shards, and the times between two streams.

Theory of operation: a gap is numbers. It lies between the last change before it of its shard and the first
one after it; where nothing is before it, it goes back to what is known first, and where nothing is behind it,
it has no end yet. Of the time in which a table had no stream nobody has anything.
Stands alone because what is lost is asked once for each question, before anything of it is judged.
Rules of this file: reads, and writes nothing. Called by past.py.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.moment import spoken
from tailrace.journal.core.past import Coverage, LostTime
from tailrace.journal.core.records import PART_CHANGES
from tailrace.journal.run.folding import Rows, all_rows, around_sql, last_sql
from tailrace.journal.run.reading import JournalGap, JournalView
from tailrace.runtime.threads import in_thread
from tailrace.streams.dates import micros_of


class ReadJournal(Protocol):
    """A journal as it is at a moment, as past.py has it."""

    @property
    def view(self) -> JournalView:
        """What the archive has."""

    @property
    def coverage(self) -> Coverage:
        """Which part of the past it knows, before what is lost."""

    @property
    def live(self) -> Sequence[JournalChange]:
        """What the stream alone has."""

    @property
    def missed(self) -> Sequence[JournalGap]:
        """What the stream has no more, and the archive has not."""

    @property
    def labels(self) -> frozenset[str]:
        """The streams of both."""

    def rows(self) -> Awaitable[Rows]:
        """All of it, for DuckDB."""


async def lost_times(now: ReadJournal) -> tuple[LostTime, ...]:
    """All of it, the earliest first. Raises: Unavailable."""
    lost = [*await _lost_ranges(now), *await _lost_streams(now)]
    return tuple(sorted(lost, key=lambda gap: gap.since_us))


async def _lost_ranges(now: ReadJournal) -> list[LostTime]:
    """The named gaps of shards, in time."""
    lost = []
    for gap in (*now.view.gaps, *now.missed):
        rows = await now.rows()
        sql = around_sql(rows, gap.shard, gap.first, gap.last)
        ((since_us, until_us),) = await in_thread(all_rows, rows, sql)
        since_us = now.coverage.first_us if since_us is None else since_us
        end = "now" if until_us is None else spoken(until_us)
        words = (
            f"changes {gap.first} to {gap.last} of shard {gap.shard} are in no journal: what changed between "
            f"{spoken(since_us)} and {end} is not known"
        )
        lost.append(LostTime(gap.shard, since_us, until_us, words))
    return lost


async def _lost_streams(now: ReadJournal) -> list[LostTime]:
    """The times between two streams of one table, while it had none: from the last change before a stream
    began, as well as times are known, to its beginning, which its label is.
    """
    lost = []
    for label in sorted(now.labels)[1:]:
        until_us = micros_of(f"{label}Z")
        since_us = await _last_by(now, until_us - max(now.coverage.precision_us, 1))
        words = (
            f"the table had another stream before {spoken(until_us)}, and what changed since "
            f"{spoken(since_us)} is not known: nothing is recorded while a stream is off"
        )
        lost.append(LostTime("", since_us, until_us, words))
    return lost


async def _last_by(now: ReadJournal, at_us: int) -> int:
    """When the last change by a moment was. The manifest says it, but of segments that go on behind it."""
    times = [now.coverage.first_us, *(one.created_us for one in now.live if one.created_us <= at_us)]
    for file in now.view.manifest.of_part(PART_CHANGES):
        if file.from_us <= at_us < file.until_us:
            rows = await now.rows()
            ((last_us,),) = await in_thread(all_rows, rows, last_sql(rows, at_us))
            return int(last_us)
        if file.until_us <= at_us:
            times.append(file.until_us)
    return max(times)
