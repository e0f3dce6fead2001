"""The circuit breaker: an outage is not poison.

Rules of this file: pure; it only counts distinct keys and times. Closed: everything starts. Open: nothing does. Half-open: the
waiting time has passed, one probe may start; its success closes the breaker, and so does a failure of the record after an outage. Called by shard.py and the flows.
"""

from collections.abc import Sequence
from typing import Literal

from tailrace.mapping.outcomes import Failure
from tailrace.mapping.retry import OUTAGES, delay_ms
from tailrace.mapping.settings import BreakerSettings
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord


class Breaker:
    """One mapping's view of its sink, from one shard.

    Shape:   `_keys` are the last distinct keys since failures began, oldest first, with "it failed"; `_recent` is the last
             run that succeeded, kept so that a quiet stretch costs one assignment a run and still counts.
    """

    __slots__ = ("_failing", "_keys", "_openings", "_recent", "_settings", "_was_out", "probing", "ready_ms")

    def __init__(self, settings: BreakerSettings | None) -> None:
        self._settings = settings
        self._keys: dict[bytes, bool] = {}
        self._failing = 0
        self._recent: Sequence[ChangeRecord] = ()
        self._openings = 0
        self._was_out = False
        self.ready_ms = 0
        self.probing = False

    @property
    def is_open(self) -> bool:
        """Whether the sink counts as failing."""
        return self._openings > 0

    def allows(self, now: Now) -> Literal["all", "probe", "nothing"]:
        """What may start now."""
        if not self._openings:
            return "all"
        return "probe" if not self.probing and now.monotonic_ms >= self.ready_ms else "nothing"

    def succeeded(self, records: Sequence[ChangeRecord], *, is_probe: bool) -> None:
        """The sink accepted these records."""
        if is_probe:
            self._close()
        elif self._keys and self._settings is not None:
            for record in records[-self._settings.window :]:
                self._note(record.key, False)
            if not self._failing:
                self._forget()
        self._recent = records or self._recent

    def failed(self, key: bytes | None, failure: Failure, now: Now, *, is_probe: bool) -> None:
        """The sink refused a record (None: a batch whose records cannot be told apart)."""
        if self._settings is None:
            return
        if is_probe and self._was_out and failure.kind not in OUTAGES:
            # The sink is there again, and what it says is about the record: it must not be probed for ever.
            self._close()
            is_probe = False
        if is_probe:
            self.probing = False
            self._open(failure, now)
        elif failure.kind in OUTAGES:
            if not self.is_open:
                self._open(failure, now)
            else:
                self.ready_ms = max(self.ready_ms, now.monotonic_ms + failure.retry_after_ms)
        elif key is not None:
            if not self._keys:
                for record in self._recent[-self._settings.window :]:
                    self._note(record.key, False)
            self._note(key, True)
            if not self.is_open and self._is_outage():
                self._open(failure, now)

    def _note(self, key: bytes, failed: bool) -> None:
        """Make this key the youngest of the window."""
        assert self._settings is not None
        self._failing -= self._keys.pop(key, False)
        self._keys[key] = failed
        self._failing += failed
        if len(self._keys) > self._settings.window:
            self._failing -= self._keys.pop(next(iter(self._keys)))

    def _is_outage(self) -> bool:
        settings = self._settings
        assert settings is not None
        count = len(self._keys)
        return count >= settings.minimum and self._failing >= settings.ratio * count

    def _close(self) -> None:
        self._openings = 0
        self.probing = False
        self._forget()

    def _open(self, failure: Failure, now: Now) -> None:
        assert self._settings is not None
        self._openings += 1
        self._was_out = failure.kind in OUTAGES
        delay = delay_ms(self._settings.probe, self._openings, failure.retry_after_ms)
        self.ready_ms = now.monotonic_ms + delay
        self._forget()

    def _forget(self) -> None:
        self._keys.clear()
        self._failing = 0
        self._recent = ()
