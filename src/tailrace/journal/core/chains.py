"""The chain of an item's changes: each begins with the state that the one before it left.

Stands alone because it is what decides whether a history is whole, and knows nothing of files.
Rules of this file: pure. What a gap may have held excuses a break; nothing else does. A row of a base says
how an item was when it was read, perhaps with changes that come after it, or with the version of its last
one: it is judged by nothing, and judges nothing.
"""

from collections.abc import Sequence

import orjson
from msgspec import Struct

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.records import SCAN
from tailrace.streams.version import Version


class MissingChanges(Struct, frozen=True):
    """Sequence numbers of a generation that are missing from a journal, both inclusive."""

    generation: int
    first: int
    last: int

    def may_follow(self, before: Version, after: Version) -> bool:
        """Whether some of them may lie between two versions."""
        return Version(self.generation, self.last) > before and Version(self.generation, self.first) < after


class ItemChain:
    """Changes of items, told one after the other in the order of keys and versions."""

    def __init__(self, missing: Sequence[MissingChanges]) -> None:
        self._missing = missing
        self._before: JournalChange | None = None

    def break_of(self, change: JournalChange) -> str:
        """Why a change does not follow the one told before it; "" where it does."""
        before = self._before
        if change.origin == SCAN and before is not None and before.key == change.key:
            return ""
        self._before = change
        if before is None or before.key != change.key:
            return "" if change.event != "INSERT" or change.old is None else "an INSERT has an old image"
        if before.origin == SCAN:
            return ""  # as of the version of a change it may come before it
        if change.version == before.version:
            return "" if before.origin == SCAN else "two changes have its version"
        if change.version < before.version:
            return "it is older than the change before it"
        if _same(before.new, change.old):
            return ""
        if any(gap.may_follow(before.version, change.version) for gap in self._missing):
            return ""
        return "its old image is not what the change before it left"


def _same(left: bytes | None, right: bytes | None) -> bool:
    """Whether two images say the same; bytes almost always tell."""
    if left == right:
        return True
    if left is None or right is None:
        return False
    try:
        return bool(orjson.loads(left) == orjson.loads(right))
    except orjson.JSONDecodeError:
        return False
