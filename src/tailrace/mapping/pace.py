"""How fast a sink is written to: slower by the share that it refuses, not to one record at a time; in an
outage not at all, but for one probe.

Theory of operation. Each answer says how many records were accepted and how many refused for the other side's
sake (throttled, unavailable). The pace, in batches at once, goes down by half of the refused share for every
round that is answered, and up by a tenth of the concurrency for what was accepted of it (AIMD), so that it
settles where the two are level: at a tenth refused nothing is slower, at half refused it is a fifth as fast.
Below one batch at once there are pauses between batches. A batch of which nothing is accepted is a doubt:
small batches ask whether anything gets through; when they are refused too, or when nothing ever got through,
it is an outage, which is the breaker's. What was refused waits a moment, longer each time, and then goes with
others again: a batch of one for each would be a storm of small calls. The breaker: an outage is not poison,
and poison is no outage. Only what the sink or a typed error says (throttled, unavailable) is one, however
many keys a code error hits. Closed: everything starts. Open: nothing does. Half-open: the waiting time has
passed, one probe may start; its success closes the breaker, and so does a failure of the record itself: then
the sink is there.
Rules of this file: pure; numbers in, numbers out. Called by shard.py and the flows. Source: growth §2.10.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final

from tailrace.mapping.batch import Allowance, Work
from tailrace.mapping.outcomes import Failure
from tailrace.mapping.retry import OUTAGES, delay_ms
from tailrace.mapping.settings import Backoff, BreakerSettings, MappingSettings
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord


class Breaker:
    """One mapping's view of its sink, from one shard. Shape: `error` is what the last outage said. Units:
    ready_ms monotonic.
    """

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

    def allows(self, now: Now) -> Allowance:
        """What may start now."""
        if not self._openings:
            return "all"
        return "probe" if not self.probing and now.monotonic_ms >= self.ready_ms else "nothing"

    def succeeded(self, *, is_probe: bool) -> None:
        """The sink accepted a batch. One that began before the outage says nothing about it."""
        if is_probe:
            self._close()

    def failed(self, failure: Failure, now: Now, *, is_probe: bool, is_outage: bool = True) -> None:
        """The sink refused a record or a batch. `is_outage`: nothing gets through; what gets less than
        everything is slowed down by pace.py.
        """
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


PORT_BACKOFF: Final = Backoff(100, 2.0, 10_000)
"""How a source or state store that fails is asked again. Not a setting: it protects our own ports, not the
user's sink.
"""


class Waiting:
    """Back-off of one port: how often it failed in a row, and when it may be asked again."""

    __slots__ = ("failures", "ready_ms")

    def __init__(self) -> None:
        self.failures = 0
        self.ready_ms = 0

    def failed(self, failure: Failure, now: Now) -> None:
        """Wait longer after each failure in a row."""
        self.failures += 1
        self.ready_ms = now.monotonic_ms + delay_ms(PORT_BACKOFF, self.failures, failure.retry_after_ms)

    def succeeded(self) -> None:
        """No waiting any more."""
        self.failures = 0
        self.ready_ms = 0


STEP: Final = 0.1
"""So much of the concurrency is added in a round that is accepted whole."""
ROUND: Final = 10
"""So many calls make a round, for each batch at once, where batches are smaller than that: one call says
little.
"""
LOWEST: Final = 1 / 32
"""In batches at once: never slower than one that runs for a 32nd of the time."""
LONGEST_PAUSE_MS: Final = 1_000
CHECKS: Final = 3
"""So many small batches in a row must be refused whole before it is an outage."""
FIRST_DELAY_MS: Final = 50
"""How soon a record that was refused beside others that were accepted comes again, at first: it is the pace
that slows down.
"""


class Pace:
    """How many batches may be at the sink. Units: `ready_ms` monotonic, before which none begins; `_at_once`
    batches, a fraction below one.
    """

    __slots__ = (
        "_at_once",
        "_backoff",
        "_begun_ms",
        "_checks",
        "_has_accepted",
        "_in_doubt",
        "_refusals",
        "_serial",
        "_settings",
        "_waiting",
        "ready_ms",
    )

    def __init__(self, settings: MappingSettings) -> None:
        self._settings = settings
        backoff = settings.backoff
        self._backoff = Backoff(min(FIRST_DELAY_MS, backoff.base_ms), backoff.factor, backoff.cap_ms)
        self._at_once = float(settings.concurrency)
        self._has_accepted = self._in_doubt = False
        self._checks = 0
        self._begun_ms = 0
        self._serial = 0
        self._refusals: dict[bytes, int] = {}
        self._waiting: list[tuple[int, int, Work]] = []
        self.ready_ms = 0

    @property
    def batch_size(self) -> int:
        """How many records a batch takes: no more than the sink takes in one call while it is in doubt."""
        settings = self._settings
        return min(settings.batch_size, settings.keys_at_once) if self._in_doubt else settings.batch_size

    def slots(self, now: Now) -> int:
        """How many batches may be at the sink now."""
        if now.monotonic_ms < self.ready_ms:
            return 0
        return 1 if self._in_doubt else max(1, int(self._at_once))

    def begin(self, now: Now) -> bool:
        """A batch begins. Returns: whether its answer decides a doubt."""
        self._begun_ms = now.monotonic_ms
        return self._in_doubt

    def answered(self, accepted: int, refused: int, now: Now, *, is_check: bool) -> bool:
        """A batch was answered: so many records accepted, so many refused for the other side's sake. Returns:
        whether it is an outage.
        """
        if accepted or not refused:  # what says something about a record is there
            self._has_accepted = self._has_accepted or bool(accepted)
            self._in_doubt, self._checks = False, 0
        self._adjust(accepted, refused, now)
        if accepted or not refused:
            return False
        self._checks += is_check
        is_outage = not self._has_accepted or self._checks >= CHECKS
        self._in_doubt = not is_outage
        if is_outage:
            self._checks = 0
        return is_outage

    def answered_for(self, records: Iterable[ChangeRecord]) -> None:
        """These records got through: they were accepted, or what failed is about them."""
        if self._refusals:
            for record in records:
                self._refusals.pop(record.key, None)

    def takes(self, work: Work, failure: Failure, now: Now, *, is_open: bool) -> bool:
        """Let a batch wait that was refused for the other side's sake and has used up no attempt, to be taken
        apart again; False: it is another.
        """
        if failure.kind not in OUTAGES or work.attempts or self._settings.breaker is None:
            return False
        times = 0
        for record in work.records:
            times = max(times, self._refusals.get(record.key, 0) + 1)
        self._refusals.update(dict.fromkeys((record.key for record in work.records), times))
        self._serial += 1
        wait_ms = (
            failure.retry_after_ms if is_open else delay_ms(self._backoff, times, failure.retry_after_ms)
        )
        heappush(self._waiting, (now.monotonic_ms + wait_ms, self._serial, work))
        return True

    def due(self, now: Now) -> list[ChangeRecord]:
        """What has waited long enough."""
        records: list[ChangeRecord] = []
        while self._waiting and self._waiting[0][0] <= now.monotonic_ms:
            records += heappop(self._waiting)[2].records
        return records

    @property
    def wakes(self) -> list[int]:
        """When the next records have waited long enough, if there are any."""
        return [self._waiting[0][0]] if self._waiting else []

    def _adjust(self, accepted: int, refused: int, now: Now) -> None:
        most = float(self._settings.concurrency)
        if not refused and self._at_once >= most:
            return
        answered = max(1, accepted + refused)
        share = refused / answered
        part = min(1.0, answered / (ROUND * self._settings.keys_at_once)) / max(1.0, self._at_once)
        self._at_once += part * (STEP * most * (1 - share) - self._at_once * share / 2)
        self._at_once = min(most, max(LOWEST, self._at_once))
        if self._at_once < 1:
            took_ms = max(0, now.monotonic_ms - self._begun_ms)
            self.ready_ms = now.monotonic_ms + min(LONGEST_PAUSE_MS, int(took_ms * (1 / self._at_once - 1)))
