"""The circuit breaker: an outage is not poison, and poison is no outage.

Rules of this file: pure; only what the sink or a typed error says (throttled, unavailable) is an outage, however many keys a code error hits. Closed:
everything starts. Open: nothing does. Half-open: the waiting time has passed, one probe may start; its success closes the breaker, and so does a
failure of the record itself: then the sink is there. Called by shard.py and the flows. Source: growth §2.10.
"""

from typing import Literal

from tailrace.mapping.outcomes import Failure
from tailrace.mapping.retry import OUTAGES, delay_ms
from tailrace.mapping.settings import BreakerSettings
from tailrace.streams.moment import Now


class Breaker:
    """One mapping's view of its sink, from one shard. Shape: `error` is what the last outage said. Units: ready_ms monotonic."""

    __slots__ = ("_openings", "_settings", "error", "probing", "ready_ms")

    def __init__(self, settings: BreakerSettings | None) -> None:
        self._settings = settings
        self._openings = 0
        self.ready_ms = 0
        self.probing = False
        self.error = ""

    @property
    def is_open(self) -> bool:
        """Whether the sink counts as failing."""
        return self._openings > 0

    def allows(self, now: Now) -> Literal["all", "probe", "nothing"]:
        """What may start now."""
        if not self._openings:
            return "all"
        return "probe" if not self.probing and now.monotonic_ms >= self.ready_ms else "nothing"

    def succeeded(self, *, is_probe: bool) -> None:
        """The sink accepted a batch. One that began before the outage says nothing about it."""
        if is_probe:
            self._close()

    def failed(self, failure: Failure, now: Now, *, is_probe: bool, is_outage: bool = True) -> None:
        """The sink refused a record or a batch. `is_outage`: nothing gets through; what gets less than everything is slowed down by pace.py."""
        if self._settings is None:
            return
        if failure.kind not in OUTAGES:
            if is_probe:  # the sink is there again, and what it says is about the record
                self._close()
            return
        if not (is_probe or self.is_open or is_outage or failure.retry_after_ms):
            return
        self.error = failure.error
        if is_probe or not self.is_open:
            self.probing = self.probing and not is_probe
            self._openings += 1
            delay = delay_ms(self._settings.probe, self._openings, failure.retry_after_ms)
            self.ready_ms = now.monotonic_ms + delay
        else:
            self.ready_ms = max(self.ready_ms, now.monotonic_ms + failure.retry_after_ms)

    def _close(self) -> None:
        self._openings = 0
        self.probing = False
