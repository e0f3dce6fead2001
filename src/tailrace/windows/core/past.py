"""The windows of a past that is known whole: changes in the order of time → the last word on each window.

Theory of operation: time goes on with the changes, and with it the horizon before which windows are closed
for good, as in live delivery; `moved` (folding.py) decides for both. A window is given once, when nothing can
change it any more; until then what is in it is kept by panes, as rows are. What is kept is what is open.
Rules of this file: pure. A window is final when the last pane of it that could be touched is closed; windows
come by (end, group, start). Called by replays/run/window_source.py.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from tailrace.windows.core.folding import as_they_are, is_closed_for_good, moved
from tailrace.windows.core.rows import Contribution
from tailrace.windows.core.shapes import Fixed, Session, Shape, Span, pane_of

Pane = tuple[str, int]
"""A group and the start of a pane."""
BEFORE_ALL_MS = -(1 << 62)


class PastWindow(NamedTuple):
    """One window with what is in it, by time. Units: ms since the epoch."""

    end_ms: int
    group: str
    start_ms: int
    members: tuple[Contribution, ...]

    @property
    def place(self) -> tuple[int, str, int]:
        """Where it comes among others."""
        return self.end_ms, self.group, self.start_ms

    @property
    def span(self) -> Span:
        """From when to when."""
        return Span(self.start_ms, self.end_ms)


class PastWindows:
    """The windows that are open at a moment of the past.

    Units:   `horizon_ms`, since the epoch, is where the changes are: what ended before is closed for good.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.horizon_ms = BEFORE_ALL_MS
        self.late = 0
        """Changes that came after every window of theirs was closed for good."""
        self._items: dict[str, Contribution] = {}
        self._panes: dict[Pane, dict[str, Contribution]] = {}
        self._known: set[tuple[str, int]] = set()
        """Windows of fixed length that have an end to come, by group and start."""
        self._ends: list[tuple[int, str, int]] = []
        """A heap: when to look whether something is final, its group, and a start or a pane."""

    @property
    def open_items(self) -> int:
        """How many items are kept: those of windows that are not final."""
        return len(self._items)

    def apply(self, change: Contribution) -> None:
        """Take in a change. Shape: one without an image is a removal."""
        shape, horizon_ms = self._shape, self.horizon_ms
        if change.image is not None and is_closed_for_good(shape, change.at_ms, horizon_ms):
            change, self.late = Contribution(change.key, change.version), self.late + 1
        before = self._items.get(change.key)
        move = moved(shape, before, change, horizon_ms)
        if move is None:
            return
        if before is not None:
            del self._items[change.key]
            if move.leaves_open:
                self._forget((before.group, pane_of(shape, before.at_ms)), [before])
        if move.enters:
            self._put(change)
            self._items[change.key] = change

    def pass_to(self, horizon_ms: int) -> list[PastWindow]:
        """Let time go on. Returns: the windows that are final by then, in order; none that is empty."""
        if horizon_ms <= self.horizon_ms:
            return []
        self.horizon_ms = horizon_ms
        final: list[PastWindow] = []
        while self._ends and self._ends[0][0] <= horizon_ms:
            _, group, place = heappop(self._ends)
            if isinstance(self._shape, Fixed):
                final += self._end_fixed(self._shape, group, place)
            else:
                final += self._end_session(self._shape, group, place)
        return sorted(final, key=lambda window: window.place)

    def rest(self, ended_ms: int) -> list[PastWindow]:
        """The windows that are not final and end by then, as they are now, in order."""
        return [window for window in self._unfinished() if window.end_ms <= ended_ms]

    def left_alone(self) -> tuple[list[PastWindow], list[PastWindow]]:
        """The windows that are not final: those of which everything is closed for good, so that nobody tells
        them unless something comes, and those that have something open.
        """
        alone: list[PastWindow] = []
        others: list[PastWindow] = []
        for window in self._unfinished():
            closed = (
                is_closed_for_good(self._shape, member.at_ms, self.horizon_ms) for member in window.members
            )
            (alone if all(closed) else others).append(window)
        return alone, others

    def members(self) -> list[Contribution]:
        """What is in windows that are not final, by item and version."""
        members = (member for there in self._panes.values() for member in there.values())
        return sorted(members, key=lambda member: (member.key, member.version))

    # ---- in and out ----------------------------------------------------------------------------------------

    def _put(self, change: Contribution) -> None:
        pane = change.group, pane_of(self._shape, change.at_ms)
        members = self._panes.get(pane)
        if members is None:
            members = self._panes[pane] = {}
            if isinstance(self._shape, Fixed):
                for span in self._shape.spans_of(pane[1]):
                    self._know(self._shape, pane[0], span)
            else:  # what leaves or comes later, does so before this pane and the one before it are looked at
                heappush(self._ends, (pane[1] + 3 * self._shape.gap_ms, *pane))
        members[change.key] = change

    def _forget(self, pane: Pane, members: Iterable[Contribution]) -> None:
        there = self._panes.get(pane, {})
        for member in members:
            there.pop(member.key, None)
            if self._items.get(member.key) is member:
                del self._items[member.key]
        if not there:
            self._panes.pop(pane, None)

    # ---- windows of one length -----------------------------------------------------------------------------

    def _know(self, shape: Fixed, group: str, span: Span) -> None:
        if (group, span.start_ms) not in self._known:
            self._known.add((group, span.start_ms))
            final_ms = span.end_ms - shape.every_ms + shape.length_ms
            heappush(self._ends, (final_ms, group, span.start_ms))

    def _end_fixed(self, shape: Fixed, group: str, start_ms: int) -> list[PastWindow]:
        self._known.discard((group, start_ms))
        window = self._fixed(shape, group, start_ms)
        first = group, start_ms  # the last window that this pane is in
        self._forget(first, [*self._panes.get(first, {}).values()])
        return [window] if window.members else []

    def _fixed(self, shape: Fixed, group: str, start_ms: int) -> PastWindow:
        span = Span(start_ms, start_ms + shape.length_ms)
        members = [
            member for pane in shape.panes_of(span) for member in self._panes.get((group, pane), {}).values()
        ]
        return _window(group, span, members)

    # ---- sessions ------------------------------------------------------------------------------------------

    def _end_session(self, shape: Session, group: str, pane: int) -> list[PastWindow]:
        if (group, pane) not in self._panes or self._goes_on(shape, (group, pane)):
            return []  # it is gone, or ends with a later pane
        window = self._ending(shape, (group, pane))
        for place in self._session(shape, (group, pane)):
            self._forget(place, [*self._panes[place].values()])
        return [window]

    def _goes_on(self, shape: Session, pane: Pane) -> bool:
        """Whether a session goes on from a pane to the next one. Events of one pane are of one session."""
        following = self._panes.get((pane[0], pane[1] + shape.gap_ms))
        if following is None:
            return False
        last_ms = max(member.at_ms for member in self._panes[pane].values())
        return min(member.at_ms for member in following.values()) - last_ms < shape.gap_ms

    def _session(self, shape: Session, last: Pane) -> list[Pane]:
        """The panes of a session by its last one, backwards."""
        chain = [last]
        while (before := (last[0], chain[-1][1] - shape.gap_ms)) in self._panes and self._goes_on(
            shape, before
        ):
            chain.append(before)
        return chain

    # ---- what there is -------------------------------------------------------------------------------------

    def _unfinished(self) -> list[PastWindow]:
        shape = self._shape
        if isinstance(shape, Fixed):
            windows = [self._fixed(shape, group, start_ms) for group, start_ms in self._known]
        else:
            windows = [self._ending(shape, pane) for pane in self._panes if not self._goes_on(shape, pane)]
        return sorted((window for window in windows if window.members), key=lambda window: window.place)

    def _ending(self, shape: Session, last: Pane) -> PastWindow:
        """The session that ends with a pane."""
        chain = self._session(shape, last)
        members = [member for place in chain for member in self._panes[place].values()]
        return _window(last[0], _span(shape, members), members)


def _window(group: str, span: Span, members: Iterable[Contribution]) -> PastWindow:
    return PastWindow(span.end_ms, group, span.start_ms, tuple(as_they_are(members)))


def _span(shape: Session, members: Iterable[Contribution]) -> Span:
    times = [member.at_ms for member in members]
    return Span(min(times), max(times) + shape.gap_ms)
