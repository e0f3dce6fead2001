"""Time, as everything that lives is given it.

Stands alone because every other port, and nothing of them, is on top of it.
Rules of this file: as of all ports (ports/__init__.py).
"""

from typing import Protocol

from tailrace.streams.moment import Now


class Clock(Protocol):
    """Time. The only place that is asked for it."""

    def now(self) -> Now:
        """The present. Guarantee: monotonic_ms never goes back."""

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Return at that time or soon after; at once when it has passed."""
