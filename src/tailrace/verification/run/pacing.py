"""How a comparison waits: for a table that does not answer, for read units that are earned, for a mapping.

Rules of this file: all of it is by the clock that is given; adapters neither sleep nor try again.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tailrace.errors import SourceError
from tailrace.ports import Clock
from tailrace.verification.run.reading import MappingMarks

T = TypeVar("T")
LOOK_MS: Final = 100
PATIENCE_MS: Final = 20_000
"""How long a mapping may take to pass a mark before its keys count as moving. Each time that it takes longer
the next one is half as long: one that is paused holds up a comparison for less than a minute, not each page.
"""
TRIES: Final = 8


class Pacing:
    """One comparison's patience and budget. Units: read units a second, 0: no bound."""

    def __init__(self, clock: Clock, read_units_per_s: float = 0.0) -> None:
        self._clock = clock
        self._per_s = read_units_per_s
        self._due_ms = 0.0
        self._patience_ms = PATIENCE_MS

    async def pause(self, ms: int) -> None:
        """Wait."""
        await self._clock.sleep_until(self._clock.now().monotonic_ms + ms)

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask a table again when it does not answer, a few times. Raises: SourceError."""
        for turn in range(TRIES - 1):
            try:
                return await ask()
            except SourceError as error:
                if not error.retryable:
                    raise
                await self.pause(max(error.retry_after_ms, LOOK_MS * 2**turn))
        return await ask()

    async def spend(self, units: float) -> None:
        """Return when what was used is earned."""
        if not (units and self._per_s):
            return
        self._due_ms = max(self._due_ms, self._clock.now().monotonic_ms) + units / self._per_s * 1_000
        await self._clock.sleep_until(round(self._due_ms))

    async def settled(self, marks: MappingMarks) -> bool:
        """Wait until everything that was written until now is settled; False when it takes too long."""
        mark = await self.patiently(marks.mark)
        until_ms = self._clock.now().monotonic_ms + self._patience_ms
        while not await self.patiently(lambda: marks.has_passed(mark)):
            if self._clock.now().monotonic_ms >= until_ms:
                self._patience_ms //= 2
                return False
            await self.pause(LOOK_MS)
        self._patience_ms = PATIENCE_MS
        return True
