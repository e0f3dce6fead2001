"""The base of a journal: the table as it was when archiving began, so that items which have not changed since
are known.

Theory of operation: the table is read once, page by page; its rows become segments of the part `base`,
ordered beside the changes by their versions. Where a page tells the exact position that it is as of, that is
the version of its rows. Elsewhere (AWS, exports) it is (0, microseconds when they were read), before
every change, and a row counts only where all changes of its item came later (core/past.py). The note
`base-at` says where the reading stands and is compared and set with each segment: of two workers one goes on,
and whoever comes after a crash continues. The note `base` ends it: it says as of when every item is known. A
table that was made anew meanwhile is another incarnation's, and the reading ends without that note.
Rules of this file: rows have the key, the image and their version; they are in no shard's tree. Called by
archiver.py, and with the pages of exports by exported_base.py.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import Refused
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.places import BASE, BASE_AT, segment_name
from tailrace.journal.core.records import PART_BASE, SCAN
from tailrace.journal.run.opening import IncarnationJournal
from tailrace.journal.run.reading import JournalBase
from tailrace.manifests.core.manifest import DeltaPart, TableFile, TableManifest
from tailrace.manifests.run.target import NameTaken, outages, with_files
from tailrace.ports import ArchiveStore, Clock
from tailrace.runtime.threads import in_thread
from tailrace.snapshots.core.pages import Piece, ScannedItem
from tailrace.snapshots.run.scanning import ReadBudget, TableScan
from tailrace.streams.version import Version
from tailrace.values.wire import dump_item

SHARD: Final = "base"
ROWS: Final = 10_000
"""Of one segment, about."""
MILLISECOND: Final = 1_000


class BaseReading(Struct, frozen=True):
    """Where the reading of a base stands. Shape: `after` is what the next page is asked with, None: the
    beginning; `is_exact` and `source` as of JournalBase. Units: microseconds since the epoch.
    """

    rows: int = 0
    as_of_us: int = 0
    after: Mapping[str, Any] | None = None
    is_exact: bool = True
    source: str = ""


class BasePage(Struct, frozen=True):
    """Some of a table. Shape: `after` is what the next page is asked with, and may be kept as JSON; None at
    the end. `is_exact`: the rows have exact versions. Units: microseconds since the epoch.
    """

    rows: Sequence[JournalChange]
    as_of_us: int
    after: Mapping[str, Any] | None
    is_exact: bool = True


class BasePages(Protocol):
    """Where the rows of a base come from."""

    @property
    def source(self) -> str:
        """The place of the exports that are read; "" is the table itself."""

    async def page(self, incarnation: str, after: Mapping[str, Any] | None) -> BasePage | None:
        """The next ones; None: the table is another one by now. Raises: SourceError, StoreError, Unavailable,
        Refused.
        """


class ScannedPages:
    """A table as it is read now. Shape: `generation` tells the number of the table's present stream.
    Units: read_units a second that it may use at most; None: as the table gives them.
    """

    source = ""

    def __init__(
        self,
        scan: TableScan,
        table: str,
        generation: Callable[[], Awaitable[int]],
        clock: Clock,
        read_units: float | None = None,
    ) -> None:
        self._scan = scan
        self._table = table
        self._generation = generation
        self._clock = clock
        self._budget = ReadBudget(clock, read_units)

    async def page(self, incarnation: str, after: Mapping[str, Any] | None) -> BasePage | None:
        """The next rows. Raises: SourceError, StoreError."""
        await self._budget.wait()
        if await self._scan.identity(self._table) != incarnation:
            return None
        page = await self._scan.page(self._table, Piece(), after)
        self._budget.use(page.read_units)
        as_of_us = self._clock.now().wall_ms * MILLISECOND
        if await self._scan.identity(self._table) != incarnation:
            return None
        version = Version(0, as_of_us)
        if page.position is not None:
            version = Version(await self._generation(), page.position)
        rows = [base_row(item, version, as_of_us) for item in page.items if item.image is not None]
        return BasePage(rows, as_of_us, page.after, page.position is not None)


def base_row(item: ScannedItem, version: Version, as_of_us: int) -> JournalChange:
    """What a base has of an item; one that is gone by an incremental export has no image."""
    image = None if item.image is None else dump_item(item.image)
    return JournalChange(
        SHARD, item.key, version, as_of_us, "INSERT" if image is not None else "REMOVE", None, image, SCAN
    )


class BaseWriter:
    """What writes the base of one table's journals."""

    def __init__(self, archive: ArchiveStore, pages: BasePages) -> None:
        self._archive = archive
        self._pages = pages

    async def write(self, journal: IncarnationJournal, incarnation: str) -> JournalBase | None:
        """Write what is lacking of a base. Returns: what there is then; None: the table is another one by
        now. Raises: Unavailable, SourceError, StoreError, Refused: it goes on from there when it is called
        again.
        """
        manifest = await journal.target.manifest()
        while BASE not in manifest.notes:
            before = manifest.notes.get(BASE_AT)
            so_far = BaseReading() if before is None else msgspec.json.decode(before, type=BaseReading)
            if before is not None and so_far.source != self._pages.source:
                raise Refused(
                    f"a base of {journal.folder} is being read from {so_far.source or 'the table'} already",
                    hint="let that end, or begin in another place",
                )
            changes: list[JournalChange] = []
            while True:
                page = await self._pages.page(incarnation, so_far.after)
                if page is None:
                    return None
                changes += page.rows
                so_far = BaseReading(
                    so_far.rows + len(page.rows),
                    max(so_far.as_of_us, page.as_of_us),
                    page.after,
                    so_far.is_exact and page.is_exact,
                    self._pages.source,
                )
                if page.after is None or len(changes) >= ROWS:
                    break
            manifest = await self._named(journal, changes, before, so_far)
        return msgspec.json.decode(manifest.notes[BASE], type=JournalBase)

    async def _named(
        self,
        journal: IncarnationJournal,
        changes: Sequence[JournalChange],
        before: str | None,
        so_far: BaseReading,
    ) -> TableManifest:
        """Write a segment and name it, if the reading still stands where it began. Returns: the manifest."""
        salt = 0
        while True:
            number = (journal.target.latest or await journal.target.manifest()).number
            files = [await self._put(journal, changes, salt)] if changes else []

            def plan(manifest: TableManifest) -> DeltaPart | None:
                if BASE in manifest.notes or manifest.notes.get(BASE_AT) != before:
                    return None  # another worker has gone on
                part = with_files(DeltaPart(), files, number, manifest)  # noqa: B023
                return replace(part, notes=_notes(so_far))

            try:
                return await journal.target.commit_plan(plan)
            except NameTaken:
                salt += 1

    async def _put(
        self, journal: IncarnationJournal, changes: Sequence[JournalChange], salt: int
    ) -> TableFile:
        from tailrace.journal.run.segments import segment_of_changes

        encoded = await in_thread(segment_of_changes, changes, MILLISECOND)
        positions = [change.version.sequence for change in changes]
        name = segment_name(journal.folder, SHARD, min(positions), max(positions), encoded.data, salt)
        with outages():
            await self._archive.put_if_absent(name, encoded.data)
        return encoded.file(name, PART_BASE)


def _notes(so_far: BaseReading) -> dict[str, str]:
    if so_far.after is not None:
        return {BASE_AT: msgspec.json.encode(so_far).decode()}
    base = JournalBase(so_far.as_of_us, so_far.rows, so_far.is_exact, so_far.source)
    return {BASE: msgspec.json.encode(base).decode()}
