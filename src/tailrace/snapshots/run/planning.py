"""What a snapshot would read, before it is wanted: how much of a table and at which price, or which exports.

Rules of this file: it only asks. Asked by server/snapshots.py and, where nobody was asked, by
run/snapshotter.py.
Stands alone because it is asked beside the runner, also where none runs.
"""

from collections.abc import Mapping

from msgspec import Struct

from tailrace.snapshots.core.plan import SnapshotPlan, exports_plan, scan_plan
from tailrace.snapshots.core.snapshot import WantedSnapshot, begun, read_snapshot, snapshot_key
from tailrace.snapshots.run.exporting import ExportsAsTable
from tailrace.snapshots.run.kept_tables import KeptTable, RowSources
from tailrace.tables.costs import TableSize


class Planner(Struct, frozen=True):
    """What plans the snapshots of these mappings, by their ids."""

    tables: Mapping[str, KeptTable]
    sources: RowSources
    exports: ExportsAsTable

    async def plan(self, wanted: WantedSnapshot, usd_per_million: float | None = None) -> SnapshotPlan:
        """What this snapshot would read. Units: US dollars for a million read units, None: as the app says.

        Raises: Refused where exports may not be it, with the reason; SourceError, StoreError, what the mirror
                raises.
        """
        if not wanted.source:
            size = await self.sources.scan.estimate(self.tables[wanted.mapping_id].table)
            return self.of_size(wanted, size, usd_per_million)
        table, state = self.tables[wanted.mapping_id], self.exports.state
        app, name, settings = wanted.app, wanted.mapping_id, table.settings
        before = read_snapshot(app, name, await state.get(snapshot_key(app, name)))
        snapshot = begun(wanted, before, 0, "", ())
        async with table.opened():
            chosen = await self.exports.choose(table.table, table.mirror, snapshot, settings.keep_ms)
        files, size_bytes = await self.sources.exported.files(wanted.source, chosen.exports)
        size_of = TableSize(chosen.items, size_bytes)
        return exports_plan(wanted, table.table, chosen.exports, files, size_of, settings.bound)

    def of_size(
        self, wanted: WantedSnapshot, size: tuple[int, int], usd_per_million: float | None = None
    ) -> SnapshotPlan:
        """What a scan of a table of so many items and bytes would be."""
        table, settings = self.tables[wanted.mapping_id], self.tables[wanted.mapping_id].settings
        listed, per_s = self.sources.usd_per_million, wanted.read_units or settings.read_units
        prices = usd_per_million, settings.usd_per_million, listed
        price = next((price for price in prices if price is not None), 0.0)
        if listed is None:  # no read unit is counted there
            price, per_s = 0.0, None
        return scan_plan(wanted, table.table, TableSize(*size, price), per_s, settings.bound)
