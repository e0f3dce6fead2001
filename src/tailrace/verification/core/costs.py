"""What a comparison will read, what that costs, and when it is asked for before it begins.

Rules of this file: pure. A consistent read of 4 KB is one read unit; a row of a sample is a read of its own.
"""

from math import ceil
from typing import Any, Final

from msgspec import Struct

from tailrace.verification.core.sampling import SampleSize

UNIT_BYTES: Final = 4_096
BYTES_PER_S: Final = 8_000_000
"""What a scan answers in a second, with four segments side by side."""
ASK_USD: Final = 1.0
ASK_S: Final = 600.0


class TableSize(Struct, frozen=True):
    """About how large a table is. Units: US dollars for a million read units, 0 where nothing is charged."""

    items: int
    size_bytes: int = 0
    usd_per_million: float = 0.0


class ReadingCost(Struct, frozen=True):
    """What a comparison comes to, without its further looks, which nobody knows before."""

    items: int
    size_bytes: int
    read_units: float
    usd: float
    seconds: float
    is_charged: bool

    @property
    def asks(self) -> bool:
        """Whether it is so much that it must be asked for."""
        return self.usd > ASK_USD or self.seconds > ASK_S

    @property
    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "items": self.items,
            "bytes": self.size_bytes,
            "read_units": round(self.read_units),
            "usd": round(self.usd, 4),
            "seconds": round(self.seconds),
            "charged": self.is_charged,
            "asks": self.asks,
        }


def cost_of(size: TableSize, sample: SampleSize | None = None, read_units_per_s: float = 0.0) -> ReadingCost:
    """What a comparison of a table comes to.

    >>> cost_of(TableSize(1_000_000, 40_960_000_000, 0.125)).usd
    1.25
    >>> cost_of(TableSize(1_000_000, 40_960_000_000, 0.125), SampleSize(items=1_000)).read_units
    20000.0
    """
    items, share = size.items, 1.0
    if sample is not None and items:
        items = min(sample.of(items), items)
        share = items / size.items
    units = ceil(size.size_bytes * share / UNIT_BYTES)
    per_item = max(1, ceil(size.size_bytes / UNIT_BYTES / max(1, size.items)))
    units += 0 if sample is None else items * per_item
    seconds = size.size_bytes * share / BYTES_PER_S
    if read_units_per_s:
        seconds = max(seconds, units / read_units_per_s)
    is_charged = size.usd_per_million > 0
    return ReadingCost(
        items, size.size_bytes, float(units), units * size.usd_per_million / 1_000_000, seconds, is_charged
    )
