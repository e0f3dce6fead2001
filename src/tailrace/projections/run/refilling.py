"""When a build whose fill failed on items is filled again.

Theory of operation: each try waits longer than the one before, and never shorter than ten times what the fill
took, so that a large table is not read all the time. What another worker has filled counts as a try here:
several workers do not fill more often than one.
Rules of this file: milliseconds of this worker's monotonic clock come in; nothing is durable. Called by
projector.py.
Stands alone because it is the only part of bringing up that depends on time alone.
"""

import logging
from typing import Final

from msgspec import Struct

from tailrace.mapping.retry import delay_ms
from tailrace.mapping.settings import Backoff
from tailrace.projections.core.builds import Build

REFILL: Final = Backoff(base_ms=5_000, cap_ms=3_600_000)
REFILL_SHARE: Final = 10
"""The shortest wait, in durations of the fill that failed."""
_log = logging.getLogger("tailrace.projections")


class Refill(Struct):
    """The tries of one projection's newest build. Shape: `noted` is the stamp of the last fill. Units:
    `due_ms` and `since_ms` monotonic.
    """

    tries: int = 0
    due_ms: int = 0
    noted: str = ""
    since_ms: int | None = None
    """When it was first seen that another worker fills it."""

    def is_due(self, now_ms: int) -> bool:
        """Whether the wait is over."""
        return now_ms >= self.due_ms

    def look(self, build: Build, now_ms: int) -> None:
        """Note what another worker has done to the build."""
        if not build.is_filled:
            self.since_ms = now_ms if self.since_ms is None else self.since_ms
        elif build.stamp != self.noted:
            self.filled(build, 0 if self.since_ms is None else now_ms - self.since_ms, now_ms)

    def filled(self, build: Build, took_ms: int, now_ms: int) -> None:
        """Log what failed, and say when it is tried again."""
        self.noted, self.since_ms = build.stamp, None
        if not build.failures:
            self.tries = self.due_ms = 0
            return
        self.tries += 1
        wait_ms = delay_ms(REFILL, self.tries, REFILL_SHARE * took_ms)
        self.due_ms = now_ms + wait_ms
        key, error = build.failed[0]
        _log.log(
            logging.WARNING if self.tries == 1 else logging.INFO,
            "projection %s: build %s could not fill in %d items, the first of them %s: %s; "
            "they are tried again in %s s, and when they change",
            build.projection,
            build.name,
            build.failures,
            key,
            error,
            wait_ms // 1_000,
        )
