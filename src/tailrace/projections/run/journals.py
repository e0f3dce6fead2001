"""What a build out of a journal asks of the journal of its table.

Stands alone because the room of journals is above this one, and tells it what is there.
Rules of this file: protocols and values; it only asks. Made by journal/run/feeding.py.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from tailrace.app.projection import Projection
from tailrace.projections.core.journaled import HistoryChange
from tailrace.projections.run.following import FollowingMarks


class HistoryView(Protocol):
    """A table's journal as it is at one moment."""

    @property
    def files(self) -> frozenset[str]:
        """The names of its segments: one that has been read whole need not be read again."""

    @property
    def incarnation(self) -> str:
        """Which table it is of, where one was deleted and made anew."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is not known of the table since it began, in words; none: everything is."""

    async def total(self, *, is_newest: bool) -> int:
        """How many changes, or items, it has. Raises: Unavailable."""

    def changes(
        self, *, is_newest: bool, first: bytes, end: bytes | None, without: frozenset[str]
    ) -> AsyncIterator[HistoryChange]:
        """Changes of the keys from `first` (inclusive) until `end` (exclusive), by key and version, in
        segments other than these; with `is_newest` the newest of each key, deletions too. Raises:
        Unavailable.
        """


class TableHistory(Protocol):
    """The journal of one table, opened. Raises: Unavailable."""

    async def view(self) -> HistoryView | None:
        """As it is now; None: there is none yet."""


class JournalOfTable(Protocol):
    """The journal of one table. Shape: `marks` say how far it is."""

    @property
    def marks(self) -> FollowingMarks:
        """How far the journal is."""

    def opened(self) -> AbstractAsyncContextManager[TableHistory]:
        """Open it; what was fetched is deleted at the end."""


JournalOf: TypeAlias = Callable[[Projection], JournalOfTable | None]
"""The journal of a projection's table; None: the app keeps none."""


def no_journal(_: Projection) -> JournalOfTable | None:
    """Of an app without archives."""
    return None
