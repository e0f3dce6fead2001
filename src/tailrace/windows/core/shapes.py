"""Which windows an event belongs to: tumbling and sliding ones of fixed length, sessions that a gap ends.

Theory of operation: time is cut into *panes*, so long that every fixed window is a whole number of them,
and that two events of one session are in the same pane or in neighbouring ones. What changed is noted by
the pane; a window is read as its panes.
Rules of this file: spans are half open, [start, end). Fixed windows begin at multiples of their step since
the epoch, in UTC. A session ends when `gap` has passed without an event: an event exactly one gap after the
last begins another. Called by folding.py and windows/run/windowing.py.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from msgspec import Struct


class Span(NamedTuple):
    """From when to when. Units: ms since the epoch; `end_ms` is outside."""

    start_ms: int
    end_ms: int


class Fixed(Struct, frozen=True):
    """Windows of one length, one every so often: tumbling when the two are the same, else sliding.

    Units:   ms; `length_ms` is a multiple of `every_ms`.
    """

    every_ms: int
    length_ms: int

    @property
    def pane_ms(self) -> int:
        """How long a pane is."""
        return self.every_ms

    def spans_of(self, pane: int) -> list[Span]:
        """The windows that a pane is in, the earliest first.

        >>> Fixed(60, 120).spans_of(60)
        [Span(start_ms=0, end_ms=120), Span(start_ms=60, end_ms=180)]
        """
        first = pane + self.every_ms - self.length_ms
        return [Span(start, start + self.length_ms) for start in range(first, pane + 1, self.every_ms)]

    def panes_of(self, span: Span) -> Iterable[int]:
        """The panes of a window."""
        return range(span.start_ms, span.end_ms, self.every_ms)

    @property
    def first_end_ms(self) -> int:
        """How long after the start of its pane the first window of an event can end."""
        return self.every_ms

    @property
    def last_end_ms(self) -> int:
        """How long after the start of its pane the last window of an event ends."""
        return self.length_ms


class Session(Struct, frozen=True):
    """Windows that begin with an event and end when there was none for a gap. Units: ms."""

    gap_ms: int

    @property
    def pane_ms(self) -> int:
        """How long a pane is."""
        return self.gap_ms

    @property
    def first_end_ms(self) -> int:
        """How long after the start of its pane the session of an event can end at the earliest."""
        return self.gap_ms

    @property
    def last_end_ms(self) -> int:
        """How long after the start of its pane the session of an event ends at the latest, when no other
        event prolongs it.
        """
        return 2 * self.gap_ms

    def spans(self, times_ms: Iterable[int]) -> list[Span]:
        """The sessions of these events.

        >>> Session(10).spans([3, 12, 22, 40])
        [Span(start_ms=3, end_ms=22), Span(start_ms=22, end_ms=32), Span(start_ms=40, end_ms=50)]
        """
        spans: list[Span] = []
        for time_ms in sorted(times_ms):
            if spans and time_ms < spans[-1].end_ms:
                spans[-1] = Span(spans[-1].start_ms, time_ms + self.gap_ms)
            else:
                spans.append(Span(time_ms, time_ms + self.gap_ms))
        return spans


Shape: TypeAlias = Fixed | Session


def pane_of(shape: Shape, at_ms: int) -> int:
    """The start of the pane that an instant is in."""
    return at_ms - at_ms % shape.pane_ms
