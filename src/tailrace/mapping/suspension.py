"""When a mapping pauses by itself: its parking is full, and all that it tries fails alike.

Rules of this file: pure; it counts distinct keys and compares fingerprints. A code error is no outage:
failing keys use their attempts and are parked. Only when no more can be parked, and the last `EVIDENCE`
distinct keys tried all failed with one fingerprint, going on would only wear out what waits: then waiting
keys use no attempts, and once a minute one key that was never tried is sampled; its success ends it. A person
ends it too, and so does another version of the code (runtime/delivering.py). Called by shard.py and keys.py.
Source: growth §2.10.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from tailrace.errors import fingerprint
from tailrace.mapping.outcomes import Failure
from tailrace.streams.moment import Now

EVIDENCE: Final = 100
"""So many distinct keys in a row must have failed alike; as many as may be parked, where that is fewer."""
LEAST_EVIDENCE: Final = 3
"""Fewer say nothing: where a single key may be parked, the second that fails blocks the shard, as ever."""
SAMPLE_MS: Final = 60_000
"""How often one key is tried while the mapping is paused."""
MOST_SAMPLED: Final = 1_024
"""So many sampled keys are remembered; then sampling begins anew with the first."""


class Suspended(Struct, frozen=True):
    """Why a mapping has paused in one shard. Units: since_ms since the epoch."""

    fingerprint: str
    error: str
    since_ms: int


class Suspension:
    """One mapping in one shard: the evidence, and what follows from it. Shape: `failing` are the last
    distinct keys that failed alike; `now` is set while it is paused.
    """

    __slots__ = ("_fingerprint", "_needed", "failing", "now", "ready_ms", "sampled", "sampling")

    def __init__(self, max_keys: int, suspended: Suspended | None = None) -> None:
        self._needed = max(LEAST_EVIDENCE, min(EVIDENCE, max_keys))
        self.failing: dict[bytes, None] = {}
        self._fingerprint = ""
        self.now = suspended
        self.ready_ms = 0
        self.sampling = False
        self.sampled: dict[bytes, None] = {}

    @property
    def is_convinced(self) -> bool:
        """Whether the last distinct keys tried all failed alike, as many as are asked for."""
        return len(self.failing) >= self._needed

    def succeeded(self) -> None:
        """The handler accepted something."""
        self.failing.clear()
        if self.now is not None:
            self.lift()

    def failed(self, keys: Iterable[bytes], failure: Failure) -> None:
        """The handler failed at these keys."""
        digest = fingerprint(failure.error, failure.traceback)
        if digest != self._fingerprint:
            self.failing.clear()
            self._fingerprint = digest
        if not self.is_convinced:
            self.failing.update(dict.fromkeys(keys))

    def begin(self, failure: Failure, now: Now) -> None:
        """Pause: parking is full, and the evidence is there."""
        self.now = Suspended(self._fingerprint, failure.error, now.wall_ms)
        self.ready_ms = now.monotonic_ms + SAMPLE_MS

    def may_sample(self, now: Now) -> bool:
        """Whether one key may be tried now."""
        return not self.sampling and now.monotonic_ms >= self.ready_ms

    def sample_failed(self, key: bytes, now: Now) -> None:
        """The key that was tried failed again, whatever with."""
        self.sampling = False
        self.ready_ms = now.monotonic_ms + SAMPLE_MS
        if len(self.sampled) >= MOST_SAMPLED:
            self.sampled.clear()
        self.sampled[key] = None

    def lift(self) -> None:
        """Go on: a sample succeeded, or an operator says so."""
        self.now = None
        self.sampling = False
        self.sampled.clear()
        self.failing.clear()
