"""Takes away rows of deleted items that nothing older can follow any more.

Rules of this file: how old they must be is decided by core/forgetting.py; it may be cut off anywhere. Run by
worker/crew.py, at one worker at a time.
Stands alone because it runs on its own, whether or not a snapshot is made.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from tailrace.errors import PortError
from tailrace.runtime.parts import Parts
from tailrace.snapshots.core.forgetting import MARGIN_MS, forget_before
from tailrace.snapshots.core.snapshot import read_snapshot, snapshot_key
from tailrace.snapshots.run.kept_tables import KeptTable
from tailrace.snapshots.run.pending import kept_changes

EVERY_MS: Final = 3_600_000
SLICE: Final = 1_000


class DeletionsKept(Struct, frozen=True):
    """When deletions are forgotten. Units: ms; `keep_ms` None: as long as each mapping says."""

    keep_ms: int | None = None
    margin_ms: int = MARGIN_MS
    every_ms: int = EVERY_MS


DAILY: Final = DeletionsKept()


async def always() -> bool:
    """Where one worker is alone."""
    return True


class Janitor:
    """The deletions in the mirrors of one app."""

    def __init__(
        self,
        app: str,
        tables: Sequence[KeptTable],
        parts: Parts,
        settings: DeletionsKept = DAILY,
        may_forget: Callable[[], Awaitable[bool]] = always,
    ) -> None:
        self._app = app
        self._tables = tables
        self._state, self._clock = parts.state, parts.clock
        self._settings = settings
        self._may_forget = may_forget

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self._settings.every_ms)
            for table in self._tables if await self._may_forget() else ():
                with suppress(PortError):  # the next time tries again
                    await self.forget(table)

    async def forget(self, table: KeptTable) -> int:
        """Forget what may be forgotten now. Returns: how many. Raises: StoreError, what the mirror raises."""
        if table.mirror is None:
            return 0
        row = await self._state.get(snapshot_key(self._app, table.mapping_id))
        snapshot = read_snapshot(self._app, table.mapping_id, row)
        keep_ms = self._settings.keep_ms
        kept = kept_changes(self._state, self._app, table.mapping_id)
        before_ms = forget_before(
            self._clock.now().wall_ms,
            table.settings.keep_ms if keep_ms is None else keep_ms,
            [record.created_ms async for record in kept],
            [] if snapshot is None else [snapshot],
            self._settings.margin_ms,
        )
        gone = 0
        async with table.opened():
            while True:
                count = await table.mirror.forget(before_ms * 1_000, SLICE)
                gone += count
                if count < SLICE:
                    return gone
