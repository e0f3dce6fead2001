"""A table as a snapshot reads it, and the pace at which it may.

Rules of this file: the port and its budget; adapters are in `sources`. Called by run/snapshotter.py.
Stands alone because adapters implement the port and know nothing of the runner.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from tailrace.ports import Clock
from tailrace.snapshots.core.pages import Piece, ScannedItem, ScannedPage

BURST_S = 1.0
"""What was not used of the budget is there for so long."""


class TableScan(Protocol):
    """Where a table's items are read. Raises: SourceError; Throttled where it says so; StoreError.

    Guarantee: an item of a page is as it was at one moment between the call and the answer (consistent
               reads). Of an item that is there all the time some page holds it.
    """

    async def page(
        self, table: str, piece: Piece, after: Mapping[str, Any] | None, limit: int | None = None
    ) -> ScannedPage:
        """The next items, perhaps none before the end. Repeatable."""

    async def item(self, table: str, key: bytes) -> ScannedItem:
        """One item by its key bytes, read consistently; its `image` is None where there is none."""

    def bounds(self, table: str, partition: str) -> tuple[bytes, bytes]:
        """Between which keys the items of a partition are: from the first on, and below the last."""

    async def estimate(self, table: str) -> tuple[int, int]:
        """About how many items, and bytes, there are; 0 where that is not known. DynamoDB counts them every
        six hours.
        """

    async def identity(self, table: str) -> str:
        """The table's id, another one once it was deleted and made again; "" where the server tells none."""


class ReadBudget:
    """A bucket of read units that fills at a rate: whoever has used more than there is waits. Units: read
    units a second; None: there is no bound.
    """

    def __init__(self, clock: Clock, rate: float | None) -> None:
        self._clock = clock
        self._rate = rate
        self._free = 0.0 if rate is None else rate * BURST_S
        self._at_ms = clock.now().monotonic_ms

    def use(self, units: float) -> None:
        """So many were used, which is known only afterwards: it may fall below nothing."""
        if self._rate is not None:
            self._fill()
            self._free -= units

    async def wait(self) -> None:
        """Return when there is something left."""
        while self._rate is not None:
            self._fill()
            if self._free > 0:
                return
            await self._clock.sleep_until(self._at_ms + max(1, round(-self._free * 1_000 / self._rate)))
            await asyncio.sleep(0)

    def _fill(self) -> None:
        assert self._rate is not None
        now_ms = self._clock.now().monotonic_ms
        self._free = min(self._rate * BURST_S, self._free + self._rate * (now_ms - self._at_ms) / 1_000)
        self._at_ms = now_ms
