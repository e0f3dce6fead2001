"""A base out of exports of DynamoDB: what a table was before its journal, and costs no reading of it.

Theory of operation: a full export and the incremental ones that follow it tell the table as of one moment.
They have to reach as far as the journal begins, with the margin by which clocks differ, else nobody would
know what came between: that is refused with the export that is missing. An incremental export tells what
became of an item in its window and not each change, so all of them together are one base, as of the end of
the last; before that nothing is known that the journal does not tell. Exports that are read as of another
moment by somebody who goes on are the same ones: which they are stands in the note.
Rules of this file: it reads exports through the port of snapshots, and writes through beginning.py. Called by
`tailrace journal base`. Decision 85.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tailrace.errors import NotKnown, Refused
from tailrace.journal.core.places import JournaledTable, unknown_incarnation
from tailrace.journal.core.records import PART_CHANGES
from tailrace.journal.run.beginning import BasePage, BaseWriter, base_row
from tailrace.journal.run.opening import opened_journal
from tailrace.journal.run.reading import JournalBase, JournalReader, JournalView
from tailrace.ports import ArchiveStore, Clock
from tailrace.snapshots.core.horizon import MARGIN_MS
from tailrace.snapshots.run.exporting import ChosenExports, ExportedTables, WantedExports
from tailrace.streams.version import Version


class ExportedPages:
    """`BasePages` out of exports. Shape: `chosen` is read from the beginning, unless a reading of others goes
    on.
    """

    def __init__(self, exported: ExportedTables, table: str, place: str, chosen: ChosenExports) -> None:
        self.source = place
        self._exported = exported
        self._table = table
        self._chosen = chosen

    async def page(self, incarnation: str, after: Mapping[str, Any] | None) -> BasePage | None:
        """The next rows. Raises: Refused, Unavailable."""
        exports, told_us, within = self._chosen.exports, self._chosen.told_us, None
        if after is not None:
            exports, told_us, within = tuple(after["exports"]), after["told_us"], after["within"]
        page = await self._exported.page(self._table, self.source, exports, within)
        rows = [base_row(item, Version(0, item.written_us), item.written_us) for item in page.items]
        following = None
        if page.after is not None:
            following = {"exports": exports, "told_us": told_us, "within": page.after}
        return BasePage(rows, told_us, following, is_exact=False)


class ExportedBase(Struct, frozen=True):
    """A base that can be written. Shape: `view` is the journal that it is for."""

    view: JournalView
    table: JournaledTable
    chosen: ChosenExports
    pages: ExportedPages

    async def write(self, archive: ArchiveStore, clock: Clock) -> JournalBase | None:
        """Write it, or go on. Returns: what there is then. Raises: Refused, Unavailable."""
        journal = opened_journal(archive, self.view.folder, clock)
        return await BaseWriter(archive, self.pages).write(journal, "")


async def exported_base(
    reader: JournalReader, exported: ExportedTables, table: str, place: str, export_id: str = ""
) -> ExportedBase:
    """What exports in a place would be the base of a table's newest journal. Shape: `table` as the app names
    it; `export_id` is the full export to begin with, "" for any.

    Raises:  NotKnown while the journal has no change, Refused where there is a base, or where exports do not
             reach as far as the journal; Unavailable.
    """
    view = await reader.view()
    if view.base is not None:
        raise Refused(
            f"{view.folder} has a base already, of {view.base.rows:,} rows",
            hint="a journal begins once: another one begins in another place",
        )
    begun_us = min((file.from_us for file in view.manifest.of_part(PART_CHANGES)), default=None)
    if begun_us is None:
        raise NotKnown(
            f"the journal of {reader.table.name} has no change yet: how far exports must reach is not known",
            hint="the same command again, when something has changed",
        )
    stream = (await reader.known_streams())[-1]
    table_id = "" if stream.incarnation == unknown_incarnation(stream.label) else stream.incarnation
    wanted = WantedExports(place, export_id, table, table_id, begun_us + MARGIN_MS * 1_000)
    chosen = await exported.choose(wanted)
    return ExportedBase(view, reader.table, chosen, ExportedPages(exported, table, place, chosen))
