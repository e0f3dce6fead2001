"""A clock that stands still until a test moves it: 25 hours pass in milliseconds.

Rules of this file: sleepers wake in the order of their times. Wall and monotonic time move together, except
that the wall clock may also be set back, as real ones are.
"""

import asyncio
import heapq
import itertools

from tailrace.errors import SettingsError
from tailrace.ports import Now


class ManualClock:
    """Time as it is told. Units: milliseconds since the epoch."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._wall_ms = start_ms
        self._monotonic_ms = 0
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> Now:
        """The present, the same until the next advance."""
        return Now(self._wall_ms, self._monotonic_ms)

    @property
    def next_wake_ms(self) -> int | None:
        """The monotonic time of the earliest sleeper that is still waiting."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, milliseconds: int) -> None:
        """Let time pass and wake every sleeper whose time has come.

        Raises:  SettingsError for a negative time.
        """
        if milliseconds < 0:
            raise SettingsError(f"a clock advances by zero or more milliseconds, not by {milliseconds}")
        self._wall_ms += milliseconds
        self._monotonic_ms += milliseconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic_ms:
            _wake(heapq.heappop(self._sleepers)[2])

    def set(self, wall_ms: int) -> None:
        """Set the wall clock. Forward, time passes for every sleeper; back, only the wall clock moves."""
        if wall_ms >= self._wall_ms:
            self.advance(wall_ms - self._wall_ms)
        else:
            self._wall_ms = wall_ms

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Return when the clock has been moved to that time."""
        if monotonic_ms <= self._monotonic_ms:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (monotonic_ms, next(self._order), sleeper))
        await sleeper


def _wake(sleeper: asyncio.Future[None]) -> None:
    """Wake a sleeper of any loop: this one at once, another thread's through its loop, a closed one's not at
    all.
    """
    loop = sleeper.get_loop()
    if loop.is_closed():
        return
    if loop.is_running() and loop is not _present_loop():
        loop.call_soon_threadsafe(_finish, sleeper)
    else:
        _finish(sleeper)


def _present_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _finish(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
