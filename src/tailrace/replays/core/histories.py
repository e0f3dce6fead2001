"""The changes of items that a replay asks again and again, and which few of an item decide what it was.

Theory of operation: an item is read as of one change after the other, and a counter has as many changes as
the replay: so they are read once, and the last one by a moment is searched. By journal/core/past.py that is
the last in the order of versions whose time, and number inside one time, is not later; the smallest of those
from each one on never falls, so it can be searched.
Rules of this file: pure; what an item was is the law's to say. Stands alone because it is held against it.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from tailrace.journal.core.change import JournalChange
from tailrace.streams.version import MOST_SEQUENCE, Version

MOST: Final = 200_000
"""Changes that are kept, of all items."""


class ItemHistory:
    """The changes of one item, in order."""

    __slots__ = ("_marks", "changes")

    def __init__(self, changes: Sequence[JournalChange]) -> None:
        self.changes = changes
        marks = [(change.created_us, change.version.sequence) for change in changes]
        for place in range(len(marks) - 2, -1, -1):
            marks[place] = min(marks[place], marks[place + 1])
        self._marks = marks

    def around(self, at_us: int, upto: Version | None) -> Sequence[JournalChange]:
        """Those that decide what it was at a moment: the last one by then and its neighbours.

        Shape:   `upto` is the change of that time behind which others count as later; None: none does.
        """
        number = MOST_SEQUENCE if upto is None else upto.sequence
        place = bisect_right(self._marks, (at_us, number)) - 1
        return self.changes[max(0, place - 1) : place + 2]


class Histories:
    """The histories that are kept, the most recently asked ones."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, bytes], ItemHistory] = OrderedDict()
        self._size = 0

    def find(self, table: str, key: bytes) -> ItemHistory | None:
        """One that is kept."""
        history = self._kept.get((table, key))
        if history is not None:
            self._kept.move_to_end((table, key))
        return history

    def keep(self, table: str, key: bytes, changes: Sequence[JournalChange]) -> ItemHistory:
        """Keep one, for as long as others leave room."""
        history = self._kept[table, key] = ItemHistory(changes)
        self._size += len(changes) + 1
        while self._size > self._most and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.changes) + 1
        return history
