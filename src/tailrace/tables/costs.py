"""What reading a whole table comes to, and when it is asked for before it begins.

Theory of operation: a Scan is charged by what it reads, whatever a filter leaves of that: the sizes of the
items of a page are added and rounded up to 4 KB, each one read unit when the read is consistent. A page has a
megabyte, so the rounding is less than half a per cent, and left out.
Rules of this file: pure. Prices come from outside. Source: analytics §1.6.
Stands alone because snapshots and comparisons read tables in the same way.
"""

from math import ceil
from typing import Any, Final

from msgspec import Struct

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


class AskBound(Struct, frozen=True):
    """What may begin without a question: what costs and lasts at most so much."""

    usd: float = ASK_USD
    seconds: float = ASK_S


ASK: Final = AskBound()


class ReadingCost(Struct, frozen=True):
    """What reading comes to. Units: US dollars on demand, seconds at the budget or the table's pace."""

    items: int
    size_bytes: int
    read_units: float
    usd: float
    seconds: float
    is_charged: bool
    bound: AskBound = ASK

    @property
    def asks(self) -> bool:
        """Whether it is so much that it must be asked for."""
        return self.usd > self.bound.usd or self.seconds > self.bound.seconds

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


def reading_cost(
    size: TableSize,
    share: float = 1.0,
    *,
    more_units: int = 0,
    read_units_per_s: float = 0.0,
    bytes_per_s: float = BYTES_PER_S,
    bound: AskBound = ASK,
) -> ReadingCost:
    """What one consistent scan of a table comes to.

    Shape:   `share` of the table that is read; `more_units` are of reads beside the scan.
    Units:   read units a second, 0: no bound.

    >>> cost = reading_cost(TableSize(1_000_000, 40_960_000_000, 0.125), read_units_per_s=5_000)
    >>> cost.read_units, cost.usd, cost.seconds
    (10000000.0, 1.25, 5120.0)
    """
    units = ceil(size.size_bytes * share / UNIT_BYTES) + more_units
    seconds = size.size_bytes * share / bytes_per_s
    if read_units_per_s:
        seconds = max(seconds, units / read_units_per_s)
    usd = units * size.usd_per_million / 1_000_000
    is_charged = size.usd_per_million > 0
    return ReadingCost(size.items, size.size_bytes, float(units), usd, seconds, is_charged, bound)
