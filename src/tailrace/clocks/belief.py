"""Which wall time to believe: a clock that jumps ahead is not believed until it stays there.

Theory of operation: between two readings both clocks should have gone on by the same. What the wall clock
went on more is a jump. Up to an hour it is believed (a clock that is corrected, a machine that was busy), and
so is whatever goes back; beyond that time goes on from where it was, with the monotonic clock, until the wall
clock has agreed with itself for a minute. Sleep of the machine is no jump where the system counts it.
Rules of this file: pure; it is given readings and says what to believe. Called by system.py. Source:
docs/decisions/0027. Stands alone because it is pure: system.py asks the machine.
"""

from typing import Final

JUMP_MS: Final = 3_600_000
"""What the wall clock may go on more than the monotonic one and be believed at once."""
HOLD_MS: Final = 60_000
"""How long it has to agree with itself to be believed after a larger jump."""
AGREES_MS: Final = 10_000
"""How far two readings of one clock may drift apart and agree."""


class Belief:
    """What is believed of one wall clock. Shape: `offset_ms` is the believed wall time less the monotonic
    one. Units: ms.
    """

    __slots__ = ("_asleep_ms", "_doubted_ms", "_since_ms", "news", "offset_ms")

    def __init__(self, wall_ms: int, monotonic_ms: int, asleep_ms: int = 0) -> None:
        self.offset_ms = wall_ms - monotonic_ms
        self._asleep_ms = asleep_ms
        self._doubted_ms: int | None = None
        self._since_ms = 0
        self.news: list[str] = []
        """What happened, in words, for the log: the reader takes it away."""

    @property
    def doubts(self) -> bool:
        """Whether the clock shows a time that is not believed."""
        return self._doubted_ms is not None

    def believed(self, wall_ms: int, monotonic_ms: int, asleep_ms: int = 0) -> int:
        """The wall time to believe now. Units: asleep_ms how long the machine has slept since it started,
        where that is known.
        """
        offset_ms = wall_ms - monotonic_ms
        slept_ms = asleep_ms - self._asleep_ms
        ahead_ms = offset_ms - self.offset_ms - slept_ms
        if ahead_ms <= JUMP_MS:
            if self._doubted_ms is not None:
                self.news.append("the system clock is back: what it showed meanwhile was not believed")
            self._believe(offset_ms, asleep_ms)
            return wall_ms
        if self._doubted_ms is None or abs(offset_ms - self._doubted_ms) > AGREES_MS:
            self._doubted_ms, self._since_ms = offset_ms, monotonic_ms
            self.news.append(
                f"the system clock jumped ahead by {_words(ahead_ms)}: it is believed when it stays "
                f"so for {HOLD_MS // 1_000} s, and until "
                "then time goes on from where it was"
            )
        if monotonic_ms - self._since_ms < HOLD_MS:
            return monotonic_ms + self.offset_ms + slept_ms
        self.news.append(
            f"the system clock stays ahead by {_words(ahead_ms)}: it is believed from now on; what "
            "has become old by that is kept for one more hour"
        )
        self._believe(offset_ms, asleep_ms)
        return wall_ms

    def _believe(self, offset_ms: int, asleep_ms: int) -> None:
        self.offset_ms, self._asleep_ms, self._doubted_ms = offset_ms, asleep_ms, None


def _words(span_ms: int) -> str:
    """A long time, roughly.

    >>> _words(7_200_000), _words(315_360_000_000)
    ('2 h', '3650 days')
    """
    hours = round(span_ms / 3_600_000)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"
