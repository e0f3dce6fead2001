"""The tables that snapshots are made of, and where their rows come from.

Rules of this file: values only. Made by sinks/making.py and `compose_parts`, read by what makes snapshots,
plans them and forgets deletions.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from msgspec import Struct

from tailrace.app.snapshots import Snapshots
from tailrace.ports import Mirror, Sink
from tailrace.snapshots.run.exporting import ExportedTables
from tailrace.snapshots.run.scanning import TableScan


class KeptTable(Struct, frozen=True):
    """A mapping whose sink is given a whole table.

    Shape:   `sink` is the mapping's own, with what filters and transforms; `mirror` what it writes to, None
             for a log that takes rows as they are; it is ready within `opened`.
             `is_judging`: the sink does not take every item.
    """

    mapping_id: str
    table: str
    sink: Sink
    mirror: Mirror | None = None
    opened: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    settings: Snapshots = Snapshots()
    is_judging: bool = False


class RowSources(Struct, frozen=True):
    """Where rows come from: the tables themselves, and exports of them. Units: reach_ms, how long records of
    a stream can be read; US dollars for a million read units, 0 where nothing is charged, None where none
    are counted.
    """

    scan: TableScan
    exported: ExportedTables
    reach_ms: int
    usd_per_million: float | None = None
