"""What is in a window, read: which windows a pane is in, which items are in a window, what was told between
two times.

Rules of this file: it reads the rows and changes nothing. A fixed window is read as its panes; a session by
reading panes on both sides until one is empty. Called by windowing.py and forgetting.py.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import takewhile
from typing import Final

from tailrace.ports import StateStore
from tailrace.rows.writes import StateRow
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.windows.core.folding import as_they_are
from tailrace.windows.core.rows import (
    Contribution,
    WindowOwner,
    digits,
    member_key,
    read_contribution,
    read_told,
    told_key,
)
from tailrace.windows.core.shapes import Fixed, Session, Shape, Span, pane_of

EMPTY: Final = ""
"""The digest of nothing."""


class WindowContents:
    """The rows of one handler's windows."""

    def __init__(self, owner: WindowOwner, shape: Shape, state: StateStore) -> None:
        self._owner = owner
        self._shape = shape
        self._state = state

    async def spans(self, pane: int, group: str) -> list[Span]:
        """The windows that a pane is in, the first to end first: those that are, and for sessions those that
        were told and are no more.
        """
        shape = self._shape
        if isinstance(shape, Fixed):
            return shape.spans_of(pane)
        members = await self._near(shape, pane, group)
        spans = {span.start_ms: span for span in shape.spans(member.at_ms for member in members)}
        panes = [pane, *(pane_of(shape, member.at_ms) for member in members)]
        for row in await self.told_between(group, min(panes) - shape.gap_ms, max(panes) + 2 * shape.gap_ms):
            was = read_told(row.fields)
            if was.digest or was.attempt is not None:
                spans.setdefault(was.start_ms, Span(was.start_ms, was.end_ms))
        return sorted(spans.values(), key=lambda span: (span.end_ms, span.start_ms))

    async def inside(self, group: str, span: Span) -> list[Contribution]:
        """What is in a window, by time."""
        shape = self._shape
        if isinstance(shape, Fixed):
            members = [member for pane in shape.panes_of(span) for member in await self.members(group, pane)]
        else:
            members = await self._near(shape, pane_of(shape, span.start_ms), group)
            if span not in shape.spans(member.at_ms for member in members):
                # it was told once, and other events have moved its bounds since: nothing is in it any more
                return []
        return as_they_are(member for member in members if span.start_ms <= member.at_ms < span.end_ms)

    async def members(self, group: str, pane: int) -> list[Contribution]:
        """By key; none in a pane before 1970. Raises: StoreError."""
        if pane < 0:
            return []
        rows = await self._state.query(member_key(self._owner, group, pane, ""))
        return [read_contribution(row.fields) for row in rows]

    async def told_between(self, group: str, first_ms: int, last_ms: int) -> list[StateRow]:
        """The rows of the windows that were told and begin at `first_ms` or later, before `last_ms`."""
        first_ms = max(0, first_ms)
        pairs = zip(digits(first_ms), digits(max(first_ms, last_ms - 1)), strict=True)
        same = "".join(first for first, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        rows = await self._state.query(told_key(self._owner, group, None) + same)
        return [row for row in rows if first_ms <= row.fields["start_ms"] < last_ms]

    async def _near(self, shape: Session, pane: int, group: str) -> list[Contribution]:
        """The events of the sessions that touch a pane or its neighbours: panes are read on both sides until
        one is empty.
        """
        members = await self.members(group, pane)
        for step in (-shape.pane_ms, shape.pane_ms):
            place = pane + step
            while there := await self.members(group, place):
                members += there
                place += step
        return members


def digest_of(members: Sequence[Contribution]) -> str:
    """What is in a window, in a few letters; empty for nothing."""
    if not members:
        return EMPTY
    text = " ".join(f"{member.key}:{_numbered(member.version)}" for member in members)
    return blake2b(text.encode(), digest_size=12).hexdigest()


def _numbered(version: Version) -> str:
    """As windows that were told before there were versions have it, or all of them would be told again."""
    generation, sequence = version
    return str(sequence) if generation == FIRST_GENERATION else f"{generation}/{sequence}"
