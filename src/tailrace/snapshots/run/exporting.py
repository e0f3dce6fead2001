"""A snapshot out of exports: whether they may be one, and which are read.

Theory of operation: rows of exports are older than every change, so they complete what changes alone have
made of a mirror, and correct nothing. That is right where the mirror has nothing from elsewhere, and where
the exports tell the table up to the moment from which on the stream tells everything (core/horizon.py). All
else is refused before the first row is written. Rows of a journal have the versions of their changes, so they
correct whatever is there.
Rules of this file: the port, and what is asked before; pages are written by run/snapshotter.py. The adapter
is sources/export_scan.py. Source: ADR 65.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from tailrace.deadletters.core.gap import read_gap
from tailrace.errors import Refused, SourceError
from tailrace.ports import Clock, Mirror, StateStore
from tailrace.rows.kinds import GAP, MIRROR_BEGAN, START
from tailrace.rows.writes import readable
from tailrace.snapshots.core.horizon import TellingSince, horizon
from tailrace.snapshots.core.pages import ScannedPage
from tailrace.snapshots.core.snapshot import JOURNAL, Snapshot
from tailrace.snapshots.run.beginning import read_began
from tailrace.snapshots.run.numbering import TableNumbering
from tailrace.snapshots.run.scanning import TableScan


class WantedExports(Struct, frozen=True):
    """What is looked for.

    Shape:   `export_id` is the full export to begin with, "" for any; `table_id` "" where the table's server
             does not tell it.
    Units:   needed_us since the epoch, up to which they have to tell the table.
    """

    place: str
    export_id: str
    table: str
    table_id: str
    needed_us: int


class ChosenExports(Struct, frozen=True):
    """What is read. Shape: ids in the order in which they are read. Units: told_us since the epoch: what was
    written from then on is in none of them.
    """

    exports: tuple[str, ...]
    told_us: int
    items: int
    size_bytes: int


class ExportedTables(Protocol):
    """Where exports are read. Raises: Unavailable where the place cannot be reached, Refused for what is
    there and cannot be read.
    """

    async def choose(self, choice: WantedExports) -> ChosenExports:
        """A full export, and the incremental ones that follow it as far as is needed. Raises: Refused also
        where none reach so far.
        """

    async def files(self, place: str, exports: Sequence[str]) -> tuple[int, int]:
        """How many data files these exports have, and how many bytes lie there."""

    async def page(
        self, table: str, place: str, exports: Sequence[str], after: Mapping[str, Any] | None
    ) -> ScannedPage:
        """The next items of these exports, one export after the other; each says when it was written.
        Repeatable.
        """


class ExportsAsTable(Struct, frozen=True):
    """What a snapshot out of exports needs. Units: reach_ms, how long a record can be read."""

    exported: ExportedTables
    scan: TableScan
    numbers: TableNumbering
    state: StateStore
    clock: Clock
    reach_ms: int

    async def choose(
        self, table: str, mirror: Mirror | None, snapshot: Snapshot, keep_ms: int
    ) -> ChosenExports:
        """What is to be read. Units: keep_ms, how long a deletion is known.

        Raises: Refused, with the reason and the next command; SourceError, StoreError, what the mirror
                raises.
        """
        name = snapshot.mapping_id
        if not snapshot.part.is_whole:
            raise Refused(
                "exports and journals hold whole tables, and a part of one is wanted",
                hint=f"tailrace snapshot start {name} --from {snapshot.source.removesuffix(':')}",
            )
        if snapshot.source == JOURNAL:
            return await self.exported.choose(WantedExports(JOURNAL, "", table, "", 0))
        if mirror is not None:
            await self._check_rows(table, mirror, snapshot)
        needed = await self._horizon(table, name, min(self.reach_ms, keep_ms))
        table_id = await self.scan.identity(table)
        export_id = snapshot.exports[0] if snapshot.exports else ""
        choice = WantedExports(snapshot.source, export_id, table, table_id, needed.needed_us)
        try:
            return await self.exported.choose(choice)
        except Refused as error:
            raise Refused(f"{error.args[0]} ({needed.why})", hint=error.hint) from error

    async def _check_rows(self, table: str, mirror: Mirror, snapshot: Snapshot) -> None:
        """Require that what is in the mirror, or is still to come, are changes of the newest stream alone,
        and that none of them is missing.
        """
        name, app = snapshot.mapping_id, self.numbers.app
        newest = (await self.numbers.known(table)).newest_stream
        listed = [stream.label for stream, _ in await self.numbers.streams(table)]
        if not listed:
            raise SourceError(f"table {table!r} has no stream")
        if listed != [newest]:
            raise self._not_empty(name, f"is given changes of an earlier stream of the table, {listed[0]}")
        if snapshot.has_exported:
            raise self._not_empty(name, "has rows of exports or of a journal that were read before")
        if not await mirror.rows(b"", 1):
            return
        began = read_began(await self.state.get(MIRROR_BEGAN.key(app, name)))
        if began is None or not began.was_empty:
            raise self._not_empty(name, "had rows before this mapping's first change")
        if began.stream != newest:
            raise self._not_empty(name, f"has changes of an earlier stream of the table, {began.stream}")

    def _not_empty(self, name: str, words: str) -> Refused:
        return Refused(
            f"the mirror of {name!r} {words}. Rows of exports are older than every change, so they cannot "
            "correct what is there: exports complete a mirror that has only the changes of one stream, and a "
            "scan corrects any",
            hint=f"tailrace snapshot start {name}",
        )

    async def _horizon(self, table: str, mapping_id: str, reach_ms: int) -> TellingSince:
        app = self.numbers.app
        row = await self.state.get(START.key(app, mapping_id))
        since_ms = None if row is None else readable(row.fields, START.name, START.format)["since_ms"]
        gaps = [read_gap(gap.fields) for gap in await self.state.query(GAP.prefix(app, mapping_id))]
        stream = (await self.numbers.known(table)).newest_stream
        now_ms = self.clock.now().wall_ms
        return horizon(now_ms, reach_ms, stream, since_ms, [gap.until_ms for gap in gaps])
