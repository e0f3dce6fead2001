"""The machine's clock.

Rules of this file: with `clocks.manual`, the only code that asks for time. `monotonic_ms` never goes back,
whatever the user does to the wall clock; a wall clock that jumps ahead is believed when it stays there
(belief.py), and the log says so.
"""

import asyncio
import logging
import time
import uuid
from typing import Final

from tailrace.clocks.belief import Belief
from tailrace.ports import Now

NEAR_MS: Final = 1_000
"""How far the clocks may drift apart before that is judged."""
BOOT_TIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""A monotonic clock that counts the sleep of the machine, where the system has one."""
_log: Final = logging.getLogger("tailrace.clock")


class SystemClock:
    """Time as it passes."""

    def __init__(self) -> None:
        monotonic_ms = time.monotonic_ns() // 1_000_000
        self._belief = Belief(time.time_ns() // 1_000_000, monotonic_ms, _asleep_ms(monotonic_ms))
        self._least_ms = self._most_ms = 0
        """Between these the clocks go on together, and nothing has to be judged: asked ten times for each
        change that is delivered.
        """
        self._look()

    def _look(self) -> None:
        near_ms = 0 if self._belief.doubts else NEAR_MS
        self._least_ms, self._most_ms = self._belief.offset_ms - near_ms, self._belief.offset_ms + near_ms

    def now(self) -> Now:
        """The present."""
        wall_ms, monotonic_ms = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
        if self._least_ms < wall_ms - monotonic_ms < self._most_ms:
            return Now(wall_ms, monotonic_ms)
        believed_ms = self._belief.believed(wall_ms, monotonic_ms, _asleep_ms(monotonic_ms))
        self._look()
        while self._belief.news:
            _log.warning("%s", self._belief.news.pop(0))
        return Now(believed_ms, monotonic_ms)

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Return at that time or soon after; at once when it has passed."""
        while (left_ms := monotonic_ms - time.monotonic_ns() // 1_000_000) > 0:
            await asyncio.sleep(left_ms / 1000)


def _asleep_ms(monotonic_ms: int) -> int:
    """How long the machine has slept since it started; 0 where the system does not count it."""
    return 0 if BOOT_TIME is None else time.clock_gettime_ns(BOOT_TIME) // 1_000_000 - monotonic_ms


def wall_ms() -> int:
    """What this machine's clock shows. Units: ms since the epoch."""
    return time.time_ns() // 1_000_000


def new_name() -> str:
    """A name that nothing has had: 32 hexadecimal digits of chance."""
    return uuid.uuid4().hex
