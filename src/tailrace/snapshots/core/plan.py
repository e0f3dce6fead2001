"""What a snapshot would read and cost, as people are told it before it begins.

Rules of this file: pure. Made by run/planning.py.
Stands alone because where it is asked for nothing of a snapshot runs.
"""

from math import ceil
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.snapshots.core.snapshot import JOURNAL, WantedSnapshot
from tailrace.tables.costs import AskBound, ReadingCost, TableSize, reading_cost

BYTES_PER_S: Final = 4_000_000
"""What comes to a sink in a second, of rows as most tables have them: a sink takes longer than a table."""


class SnapshotPlan(Struct, frozen=True):
    """What would be read.

    Shape:   `at_most`: of some partitions nobody knows how large they are, the figures are the table's.
             `exports` are read in this order, `files` how many data files they have; none of a table.
    Units:   `usd_per_million` read units; `read_units_per_s`, None: as the table gives them.
    """

    handler: str
    table: str
    cost: ReadingCost
    usd_per_million: float = 0.0
    read_units_per_s: float | None = None
    at_most: bool = False
    source: str = ""
    exports: tuple[str, ...] = ()
    files: int = 0

    @property
    def asks(self) -> bool:
        """Whether it is so much that it must be asked for."""
        return self.cost.asks and not self.at_most

    @property
    def words(self) -> str:
        """What it reads, in one sentence."""
        cost, about = self.cost, "at most" if self.at_most else "about"
        size = f"{many(cost.items, 'item')}, {cost.size_bytes / 1_000_000:,.1f} MB"
        time = f"about {lasting(cost.seconds)}"
        if self.source:
            chain, files = many(len(self.exports), "export"), many(self.files, "file")
            if self.source == JOURNAL:
                return f"reads the journal of table {self.table}: {files}, {size}; no read units, {time}"
            return f"reads {chain} from {self.source}: {files}, {size}; no read units, {time}"
        reads = f"reads {about} {size} of table {self.table}"
        if not cost.is_charged:
            return f"{reads}: nothing is charged, {time}"
        price = f"{cost.usd:,.2f} USD on demand at {self.usd_per_million:g} USD a million"
        pace = f" at {self.read_units_per_s:,g} a second" if self.read_units_per_s else ""
        return f"{reads}: {cost.read_units:,.0f} read units, {price}, {time}{pace}"

    @property
    def value(self) -> dict[str, Any]:
        """As `tailrace snapshot start --dry-run --json` has it."""
        return {
            "handler": self.handler,
            "table": self.table,
            **self.cost.value,
            "asks": self.asks,
            "usd_per_million": self.usd_per_million,
            "read_units_per_s": self.read_units_per_s,
            "at_most": self.at_most,
            "source": self.source,
            "exports": list(self.exports),
            "files": self.files,
            "words": self.words,
        }


def many(count: int, noun: str) -> str:
    """A count with its noun.

    >>> many(1, "file"), many(1_200, "file")
    ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def lasting(seconds: float) -> str:
    """A time as people say one that is not known well.

    >>> lasting(0.2), lasting(89), lasting(600), lasting(7_300), lasting(200_000)
    ('1 second', '89 seconds', '10 minutes', '2.0 hours', '2.3 days')
    """
    if seconds < 90:
        return many(max(1, ceil(seconds)), "second")
    if seconds < 5_400:
        return f"{seconds / 60:,.0f} minutes"
    if seconds < 129_600:
        return f"{seconds / 3_600:,.1f} hours"
    return f"{seconds / 86_400:,.1f} days"


def scan_plan(
    wanted: WantedSnapshot, table: str, size: TableSize, read_units_per_s: float | None, bound: AskBound
) -> SnapshotPlan:
    """What reading a table, or a part of it, is. A filter reads what it leaves out, too.

    >>> from tailrace.tables.costs import ASK
    >>> wanted = WantedSnapshot("shop", "copy", 1)
    >>> scan_plan(wanted, "orders", TableSize(9, 40_960_000_000, 0.125), None, ASK).asks
    True
    """
    share = 1.0 if wanted.part.segment is None else 1 / wanted.part.segment[1]
    return SnapshotPlan(
        wanted.mapping_id, table, _cost(size, share, read_units_per_s, bound), size.usd_per_million,
        read_units_per_s, at_most=bool(wanted.part.partitions),
    )  # fmt: skip


def exports_plan(
    wanted: WantedSnapshot, table: str, exports: tuple[str, ...], files: int, size: TableSize, bound: AskBound
) -> SnapshotPlan:
    """What reading exports is: no read units."""
    cost = replace(_cost(size, 1.0, None, bound), read_units=0.0)
    return SnapshotPlan(
        wanted.mapping_id, table, cost, source=wanted.source, exports=exports, files=files
    )  # fmt: skip


def _cost(size: TableSize, share: float, per_s: float | None, bound: AskBound) -> ReadingCost:
    return reading_cost(size, share, read_units_per_s=per_s or 0.0, bytes_per_s=BYTES_PER_S, bound=bound)
