"""How much later than the clock says things grow old: a clock that jumped trims nothing by that.

Theory of operation: what the wall clock went on more than the monotonic one since the last look is a jump:
the clock was set, or the machine slept. For an hour of monotonic time whatever has become old by it is kept,
so that readers that go on have a chance to read it, and a clock that is set back meanwhile has done no harm
(docs/decisions/0027).
Rules of this file: reading, lineage and time_to_live share one horizon; they look when something may be old,
and housekeeping looks in each round, so that jumps do not add up. Called by these.
"""

from typing import Final

from tailrace.ports import Clock

JUMP_MS: Final = 3_600_000
KEPT_MS: Final = 3_600_000


class Horizon:
    """What is left of the jumps of one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()
        self._lag_ms = 0
        self._until_ms = 0

    def look(self) -> int:
        """Look at the clock. Returns: how much later things grow old now, in milliseconds."""
        now, last = self._clock.now(), self._last
        jump_ms = (now.wall_ms - last.wall_ms) - (now.monotonic_ms - last.monotonic_ms)
        self._last = now
        if jump_ms > JUMP_MS:
            self._lag_ms += jump_ms
            self._until_ms = now.monotonic_ms + KEPT_MS
        elif self._lag_ms:
            self._lag_ms = 0 if now.monotonic_ms >= self._until_ms else max(0, self._lag_ms + min(0, jump_ms))
        return self._lag_ms
