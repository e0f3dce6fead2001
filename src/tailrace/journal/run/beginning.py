"""The base of a journal: the table as it was when archiving began, so that items which have not changed since
are known.

Theory of operation: the table is read once, page by page, each page with the exact position that it is as of;
its rows become segments of the part `base`, ordered beside the changes by their versions. The note `base-at`
says where the reading stands and is compared and set with each segment: of two workers one goes on, and
whoever comes after a crash continues. The note `base` ends it: it says as of when every item is known. A
table that was made anew meanwhile is another incarnation's, and the reading ends without that note.
Rules of this file: rows have the key, the image and the version of their page; they are in no shard's tree.
Only where pages have exact positions. Called by archiver.py.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.places import BASE, BASE_AT, segment_name
from tailrace.journal.core.records import PART_BASE, SCAN
from tailrace.journal.run.opening import IncarnationJournal
from tailrace.journal.run.reading import JournalBase
from tailrace.manifests.core.manifest import DeltaPart, TableFile, TableManifest
from tailrace.manifests.run.target import NameTaken, outages, with_files
from tailrace.ports import ArchiveStore, Clock
from tailrace.runtime.threads import in_thread
from tailrace.snapshots.core.pages import Piece, ScannedPage
from tailrace.snapshots.run.scanning import TableScan
from tailrace.streams.version import Version
from tailrace.values.wire import dump_item

SHARD: Final = "base"
ROWS: Final = 10_000
"""Of one segment, about."""
MILLISECOND: Final = 1_000


class BaseReading(Struct, frozen=True):
    """Where the reading of a base stands. Shape: `after` is what the next page is asked with, None: the
    beginning. Units: microseconds since the epoch.
    """

    rows: int = 0
    as_of_us: int = 0
    after: Mapping[str, Any] | None = None


class BaseWriter:
    """What writes the base of one table's journals. Shape: `generation` tells the number of the table's
    present stream.
    """

    def __init__(
        self,
        archive: ArchiveStore,
        scan: TableScan,
        table: str,
        generation: Callable[[], Awaitable[int]],
        clock: Clock,
    ) -> None:
        self._archive = archive
        self._scan = scan
        self._table = table
        self._generation = generation
        self._clock = clock

    async def write(self, journal: IncarnationJournal, incarnation: str) -> None:
        """Write what is lacking of a base. Raises: Unavailable, SourceError, StoreError: it goes on from
        there when it is called again.
        """
        manifest = await journal.target.manifest()
        while BASE not in manifest.notes:
            before = manifest.notes.get(BASE_AT)
            so_far = BaseReading() if before is None else msgspec.json.decode(before, type=BaseReading)
            changes: list[JournalChange] = []
            while True:
                if await self._scan.identity(self._table) != incarnation:
                    return
                page = await self._scan.page(self._table, Piece(), so_far.after)
                if page.position is None or await self._scan.identity(self._table) != incarnation:
                    return
                as_of_us = self._clock.now().wall_ms * MILLISECOND
                changes += await self._changes(page, page.position, as_of_us)
                so_far = BaseReading(so_far.rows + len(page.items), as_of_us, page.after)
                if page.after is None or len(changes) >= ROWS:
                    break
            manifest = await self._named(journal, changes, before, so_far)

    async def _changes(self, page: ScannedPage, position: int, as_of_us: int) -> list[JournalChange]:
        version = Version(await self._generation(), position)
        return [
            JournalChange(SHARD, item.key, version, as_of_us, "INSERT", None, dump_item(item.image), SCAN)
            for item in page.items
            if item.image is not None
        ]

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
    return {BASE: msgspec.json.encode(JournalBase(so_far.as_of_us, so_far.rows)).decode()}
