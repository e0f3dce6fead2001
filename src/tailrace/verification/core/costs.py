"""What a comparison will read and cost.

Rules of this file: pure. A consistent read of 4 KB is one read unit; a row of a sample is a read of its own.
Stands alone because it is what a sample adds to the cost of reading a table.
"""

from math import ceil

from msgspec.structs import replace

from tailrace.tables.costs import UNIT_BYTES, ReadingCost, TableSize, reading_cost
from tailrace.verification.core.sampling import SampleSize


def cost_of(size: TableSize, sample: SampleSize | None = None, read_units_per_s: float = 0.0) -> ReadingCost:
    """What a comparison comes to, without its further looks, which nobody knows before.

    >>> cost_of(TableSize(1_000_000, 40_960_000_000, 0.125)).usd
    1.25
    >>> cost_of(TableSize(1_000_000, 40_960_000_000, 0.125), SampleSize(items=1_000)).read_units
    20000.0
    """
    if sample is None or not size.items:
        return reading_cost(size, read_units_per_s=read_units_per_s)
    items = min(sample.of(size.items), size.items)
    per_item = max(1, ceil(size.size_bytes / UNIT_BYTES / size.items))
    cost = reading_cost(
        size, items / size.items, more_units=items * per_item, read_units_per_s=read_units_per_s
    )
    return replace(cost, items=items)
