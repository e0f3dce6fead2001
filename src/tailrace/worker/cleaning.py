"""Removes, now and then, what a place for state keeps although no row names it: pieces of large rows whose
writers were killed.

Theory of operation: of the workers of an app one does it, once an hour of its own clock, under a duty: while
it lives it finds the duty as it left it, and the others find it moved. A round looks twice, a minute apart,
for a store removes only what it has seen before. Two that do it at once remove nothing that is named.
Rules of this file: it knows no store, only what they can do; what fails is tried by the next hour. Run by
worker.py, made by compose_fleet.py. Stands alone because a directory of one process needs none of it.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol, runtime_checkable

from tailrace.errors import PortError
from tailrace.ports import Clock
from tailrace.runtime.duties import Duty

LOG: Final = logging.getLogger("tailrace.worker")
EVERY_MS: Final = 3_600_000
BETWEEN_MS: Final = 61_000
"""Between the two looks of a round: more than a store spares what it sees for the first time."""


@runtime_checkable
class Cleanable(Protocol):
    """A store that may keep what no row names."""

    async def clean(self) -> int:
        """Remove what was seen before and is named by no row. Returns: how much. Repeatable. Raises:
        StoreError.
        """


class Cleaner:
    """Cleans stores, by the names that they are told under. Shape: `removed` counts since the start."""

    def __init__(self, stores: Mapping[str, object], duty: Duty, clock: Clock) -> None:
        self._stores = {name: store for name, store in stores.items() if isinstance(store, Cleanable)}
        self._duty = duty
        self._clock = clock
        self.removed = dict.fromkeys(self._stores, 0)

    async def run(self) -> None:
        """Clean until cancelled; at once when there is nothing that could be."""
        while self._stores:
            await self._sleep(EVERY_MS)
            with suppress(PortError):
                if await self._duty.hold():
                    await self._look()
                    await self._sleep(BETWEEN_MS)
                    await self._look()

    async def _look(self) -> None:
        for name, store in self._stores.items():
            removed = await store.clean()
            self.removed[name] += removed
            if removed:
                LOG.info(
                    "%s: removed the pieces of %d large rows that writers which were killed had left",
                    name,
                    removed,
                )

    async def _sleep(self, milliseconds: int) -> None:
        await self._clock.sleep_until(self._clock.now().monotonic_ms + milliseconds)
