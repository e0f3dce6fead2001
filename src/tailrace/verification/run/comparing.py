"""Compares a mirror with its table while both change, and mends what differs.

Theory of operation: (1) one scan of the table fills the working set: for each item the digest of the row that
the mapping would write. (2) The mirror's rows are laid beside it in the order of keys, and what differs is
suspect. Both sides have moved meanwhile, so a suspect proves nothing. (3) Suspects are looked at again
(looking_again.py), and only a difference that stands still is told or mended. A sample has the same (3), of
items in random segments of a scan and of rows behind random places.
Rules of this file: a page is in memory at once. Called by the verbs of server/sinks.py and by `testing`.
Source: growth §4, ADR 72.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from tailrace.ports import Failure
from tailrace.tables.schema import HASH_BYTES
from tailrace.values.types import Item
from tailrace.verification.core.judging import suspects
from tailrace.verification.core.sampling import SampleSize, drawn_places, drawn_segments, segments_of
from tailrace.verification.run.expecting import Expecting
from tailrace.verification.run.looking_again import LookingAgain
from tailrace.verification.run.pacing import Pacing
from tailrace.verification.run.reading import Compared, TablePage
from tailrace.verification.run.report import Mending, VerificationReport
from tailrace.verification.run.working_set import WorkingSet

PAGE: Final = 1_000
LOOKED: Final = 100
"""Suspects that are looked at together."""
AT_ONCE: Final = 4
"""Segments of a scan that are read side by side."""
SEGMENT_BYTES: Final = 1_000_000_000
RUN: Final = 20
"""Rows that are drawn behind one random place."""

Segment = tuple[int, int] | None


class How(Struct, frozen=True):
    """How a comparison is made.

    Shape:   `sample` None: everything; `segments` of the scan of everything; `seed` draws a sample. Units:
             read units a second, 0: no bound.
    """

    sample: SampleSize | None = None
    mending: Mending = "no"
    segments: int = 1
    read_units_per_s: float = 0.0
    seed: int = 0


def segments_for(size_bytes: int, *, is_charged: bool) -> int:
    """Into how many segments a scan of everything is divided: where each page is a journey, so that none is
    large.

    >>> segments_for(10**12, is_charged=False), segments_for(10**6, is_charged=True)
    (1, 4)
    """
    return max(AT_ONCE, size_bytes // SEGMENT_BYTES) if is_charged else 1


class Verification:
    """One comparison. Its `report` may be read while it runs."""

    def __init__(self, compared: Compared, how: How = How()) -> None:  # noqa: B008 -- it is frozen
        self.report = VerificationReport(compared.name.handler, compared.name.table)
        self._compared = compared
        self._how = how
        self._pacing = Pacing(compared.clock, how.read_units_per_s)
        self._expecting = Expecting(compared)
        self._again = LookingAgain(compared, self._expecting, self._pacing, self.report)

    async def run(self) -> VerificationReport:
        """Compare, and mend. Raises: SourceError, SinkError, StoreError (for a full temporary disk, too)."""
        report, working = self.report, WorkingSet()
        try:
            async with self._compared.opened():
                report.estimate = (await self._pacing.patiently(self._compared.reader.size)).items
                sample = self._how.sample
                if sample is None or sample.of(report.estimate) >= report.estimate:
                    await self._read_table(working)
                    await self._lay_rows_beside(working)
                else:
                    await self._draw(working, sample.of(report.estimate))
                await self._look_again(working)
        finally:
            working.close()
        report.phase = "done"
        return report

    async def _read_table(self, working: WorkingSet) -> None:
        total = self._how.segments
        segments: list[Segment] = [(number, total) for number in range(total)] if total > 1 else [None]

        async def read() -> None:
            while segments:
                await self._read_segment(segments.pop(0), working)

        readers = [asyncio.ensure_future(read()) for _ in range(min(AT_ONCE, total))]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read_segment(self, segment: Segment, working: WorkingSet) -> None:
        page: TablePage | None = None
        while page is None or page.after is not None:
            page = await self._page(segment, page)
            await working.keep(await self._digests(page.images))
            await self._pacing.spend(page.read_units)
            await asyncio.sleep(0)

    async def _page(self, segment: Segment, before: TablePage | None) -> TablePage:
        after = None if before is None else before.after
        page = await self._pacing.patiently(lambda: self._compared.reader.page(after, PAGE, segment))
        self.report.items += len(page.images)
        self.report.read_units += page.read_units
        return page

    async def _digests(self, images: Sequence[Item]) -> list[tuple[bytes, bytes | None]]:
        """What these items are to show, without those that are to show nothing; None: it is not known."""
        records = [self._expecting.of_image(image) for image in images]
        shown = [
            (record.key, None if isinstance(digest, Failure) else digest)
            for record, digest in zip(records, await self._expecting.digests(records), strict=True)
            if digest
        ]
        self.report.wanted += len(shown)
        return shown

    async def _lay_rows_beside(self, working: WorkingSet) -> None:
        self.report.phase = "reading the rows"
        after: bytes | None = b""
        while after is not None:
            items = await working.items(after, PAGE)
            rows = await self._compared.mirror.rows(after, PAGE)
            ends = [items[-1][0]] if len(items) == PAGE else []
            ends += [rows[-1].key] if len(rows) == PAGE else []
            after = min(ends, default=None)  # what is behind it of the longer page comes again
            wanted = {key: digest for key, digest in items if after is None or key <= after}
            shown = {row.key: row.digest for row in rows if after is None or row.key <= after}
            self.report.rows += len(shown)
            await working.suspect(suspects(wanted, shown))

    async def _draw(self, working: WorkingSet, size: int) -> None:
        """Items of random segments, and rows behind random places."""
        report, drawn = self.report, set[bytes]()
        report.phase = "drawing a sample"
        total = segments_of(report.estimate)
        for number in drawn_segments(self._how.seed, total):
            page: TablePage | None = None
            while page is None or page.after is not None:
                page = await self._page((number, total) if total > 1 else None, page)
                for key, digest in await self._digests(page.images):
                    drawn.add(key[:HASH_BYTES])
                    if (await self._again.row(key)).digest != digest:
                        await working.suspect([key])
                await self._pacing.spend(page.read_units)
            if report.items >= size:
                break
        for place in islice(drawn_places(self._how.seed + 1), -(-size // RUN)):
            some = await self._compared.mirror.rows(place, RUN)
            report.rows += len(some)
            drawn.update(row.key[:HASH_BYTES] for row in some)
            await working.suspect(row.key for row in some)
        report.drawn = len(drawn)

    async def _look_again(self, working: WorkingSet) -> None:
        self.report.phase, self.report.suspects = "looking again", await working.suspect_count()
        after = b""
        while keys := await working.suspects(after, LOOKED):
            await self._again.look(keys, self._how.mending)
            after = keys[-1]
