"""Exports of DynamoDB as a snapshot reads them: a chain of them, page by page, each row with its time.

Theory of operation: a row of the full export is as of the moment just before its export time, for what was
written at that time is told by what follows; a row of an incremental export is as of its last write. So
whatever is read twice, or by two workers at once, the newest stays. Entering a file costs reading it from its
beginning, so the reading that gave a page is kept for the next one; a page that was asked for twice opens it
anew.
Rules of this file: it never sleeps and never tries again; what a place has no more is Unavailable, for the
snapshot stands where it is until it is back. Implements snapshots/run/exporting.py over exports/. Made by
`compose_parts`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tailrace.app.table import Table, schema_of
from tailrace.errors import Refused, SettingsError, Unavailable
from tailrace.exports.core.chain import ExportChain, chain_up_to, full_command
from tailrace.exports.core.exported import ExportedItem, ExportPage, ExportPosition, located
from tailrace.exports.core.manifest import ExportSummary
from tailrace.exports.run.files import ExportFiles
from tailrace.exports.run.listing import ListedExport, OpenedExport, chosen_export, list_exports, open_export
from tailrace.exports.run.reading import PAGE, ExportReader
from tailrace.snapshots.core.pages import ScannedItem, ScannedPage
from tailrace.snapshots.run.exporting import ChosenExports, WantedExports
from tailrace.tables.schema import TableSchema
from tailrace.values.canonical import size_bytes

MOST_OPEN: Final = 4
"""Readings that are kept for the next page: of as many mappings at once."""


class ExportScan:
    """An `ExportedTables`. Shape: `tables` are those that may be asked for; `files_at` opens a place. Units:
    page_items, the most items of a page.
    """

    def __init__(
        self, tables: Iterable[Table], files_at: Callable[[str], ExportFiles], *, page_items: int = PAGE
    ) -> None:
        self._schemas = {table.name: schema_of(table) for table in tables}
        self._files_at = files_at
        self._page_items = page_items
        self._open: dict[tuple[str, str, ExportPosition], tuple[OpenedExport, AsyncIterator[ExportPage]]] = {}

    async def choose(self, choice: WantedExports) -> ChosenExports:
        """A chain that reaches as far as is needed. Raises: Refused, Unavailable."""
        try:
            listed = await list_exports(self._files_at(choice.place))
        except SettingsError as error:
            raise Refused(str(error.args[0]), hint=error.hint) from error
        chain = _chain(listed, choice)
        return ChosenExports(
            tuple(export.export_id for export in chain.exports),
            chain.end_us,
            sum(export.item_count for export in chain.exports),
            sum(export.billed_bytes for export in chain.exports),
        )

    async def files(self, place: str, exports: Sequence[str]) -> tuple[int, int]:
        """How many data files these exports have, and how many bytes lie there. Raises: Refused for one that
        is not there, Unavailable.
        """
        files = self._files_at(place)
        listed = await list_exports(files)
        opened = [await open_export(files, chosen_export(listed, one, place)) for one in exports]
        return sum(len(one.files) for one in opened), sum(one.total_bytes for one in opened)

    async def page(
        self, table: str, place: str, exports: Sequence[str], after: Mapping[str, Any] | None
    ) -> ScannedPage:
        """The next items of these exports. Raises: Refused, Unavailable."""
        export_id, position = exports[0], ExportPosition()
        if after is not None:
            export_id = after["export"]
            position = ExportPosition(after["number"], after["items"], after["name"])
        kept = (place, export_id, position)
        if kept in self._open:
            opened, pages = self._open.pop(kept)
        else:
            opened, pages = await self._reading(*kept)
        summary = opened.summary
        assert summary is not None
        page = await anext(pages, None)
        is_last = page is None or page.position.number == len(opened.files)
        items = () if page is None else page.items
        scanned = [_scanned(self._schemas[table], summary, item) for item in items]
        if page is not None and not is_last:
            self._keep((place, export_id, page.position), (opened, pages))
            return ScannedPage(scanned, None, _after(export_id, page.position))
        following = exports[exports.index(export_id) + 1 :]
        return ScannedPage(scanned, None, _after(following[0], ExportPosition()) if following else None)

    async def _reading(
        self, place: str, export_id: str, position: ExportPosition
    ) -> tuple[OpenedExport, AsyncIterator[ExportPage]]:
        """An export, read on from a position. Raises: Refused, Unavailable."""
        try:
            files = self._files_at(place)
            listed = chosen_export(await list_exports(files), export_id, place)
        except SettingsError as error:
            raise Unavailable(f"{error.args[0]}", hint=error.hint) from error
        opened = await open_export(files, listed)
        return opened, ExportReader(files, opened, page_items=self._page_items).pages(position)

    def _keep(
        self,
        place: tuple[str, str, ExportPosition],
        reading: tuple[OpenedExport, AsyncIterator[ExportPage]],
    ) -> None:
        self._open[place] = reading
        while len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]


def _chain(listed: Sequence[ListedExport], choice: WantedExports) -> ExportChain:
    """Raises: Refused for what does not tell the table far enough."""
    if not listed:
        raise Refused(f"{choice.place} has no export", hint=f"tailrace export ls {choice.place}")
    readable = [one.summary for one in listed if one.summary is not None and one.problem is None]
    name = choice.table.rpartition(":table/")[2]  # one of another account or region is called by its ARN
    of_table = [one for one in readable if one.table == name]
    if readable and not of_table:
        raise Refused(
            f"{choice.place} has no export of table {name}: there are those of "
            f"{', '.join(sorted({one.table for one in readable}))}",
            hint=full_command(None),
        )
    try:
        return chain_up_to(_of_one_full(of_table, choice), choice.needed_us, table_id=choice.table_id or None)
    except Refused as error:
        problem = next((one.problem for one in listed if one.problem is not None), None)
        if problem is None:
            raise
        # What cannot be read may be the link that is missing: its own words say what to do.
        raise Refused(f"{error.args[0]}; and {problem.args[0]}", hint=problem.hint or error.hint) from error


def _of_one_full(exports: Sequence[ExportSummary], choice: WantedExports) -> Sequence[ExportSummary]:
    """The exports without other full ones than the one that is meant. Raises: Refused when there is none."""
    if not choice.export_id:
        return exports
    meant = [one for one in exports if one.export_id == choice.export_id]
    if not meant or not meant[0].is_full:
        kind = "an incremental one" if meant else "not there"
        fulls = ", ".join(one.export_id for one in exports if one.is_full) or "none"
        raise Refused(
            f"export {choice.export_id} is {kind}: --export names the full export to begin with; there are "
            f"{fulls}",
            hint=f"tailrace export ls {choice.place}",
        )
    return [one for one in exports if not one.is_full or one is meant[0]]


def _scanned(schema: TableSchema, summary: ExportSummary, exported: ExportedItem) -> ScannedItem:
    target = located(schema, exported)
    return ScannedItem(
        target.key_bytes,
        target.partition,
        target.keys,
        exported.new,
        0 if exported.new is None else size_bytes(exported.new),
        summary.to_us - 1 if exported.written_us is None else exported.written_us,
        replaces=not summary.is_full,
    )


def _after(export_id: str, position: ExportPosition) -> dict[str, Any]:
    return {"export": export_id, "number": position.number, "items": position.items, "name": position.name}
