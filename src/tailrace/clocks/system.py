"""The machine's clock.

Rules of this file: with `clocks.manual`, the only code that asks for time. `monotonic_ms` never goes back, whatever
somebody does to the wall clock.
"""

import asyncio
import time

from tailrace.ports import Now


class SystemClock:
    """Time as it passes."""

    def now(self) -> Now:
        """The present."""
        return Now(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Return at that time or soon after; at once when it has passed."""
        while (left_ms := monotonic_ms - time.monotonic_ns() // 1_000_000) > 0:
            await asyncio.sleep(left_ms / 1000)
