"""Builds out of a journal: what its changes come to, in which order they are folded, from where on delivery
goes on.

Theory of operation: a journal is read by key, so that all changes of an item meet one row, and what is folded
twice is ignored by its version. Of a projection without history the newest image of each item is enough; with
history every change counts, and a row of the base, or the old image of an item's first change, says how the
item stood before. While a journal is read, delivery leaves the build alone: a newer change would overtake
those that are still to be folded. To end, the build *joins*: from a moment on delivery waits, all that was
written by then is folded, and delivery goes on with the build. A batch that knew nothing of the joining was
read before it, so that what it has is in the journal: no change is lost, and none counts twice.
Rules of this file: pure; bounds and steps. Carried out by projections/run/from_journal.py. Source:
docs/decisions/0084.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from tailrace.projections.core.folding import ItemChange
from tailrace.streams.record import image
from tailrace.streams.version import Version

JOIN_MS: Final = 10_000
"""How long a build may let delivery wait before it lets go, and tries again later."""
GIVEN_UP_MS: Final = 15_000
"""How long delivery waits for a build whose worker may be gone: then it lets the build go itself."""
UNTOLD: Final = 0
"""The generation of rows of a base whose versions are not exact: before every change."""
CALM_MS: Final = 60_000
"""How long a build that needs no history waits for a journal that is behind, before the table is read."""


class HistoryChange(Struct, frozen=True):
    """One row of a journal. Shape: images are their JSON; `is_state`: it is of the base, and says how the
    item stood.
    """

    key: bytes
    version: Version
    old: bytes | None
    new: bytes | None
    is_state: bool = False


def history_steps(changes: Sequence[HistoryChange], now_ms: int) -> Iterator[ItemChange]:
    """The steps of one item's changes, in the order of their versions, each with what was before it where
    that is not what the last one left. Rows of a base whose versions are not exact may be of after changes
    that stand behind them: where there are changes, the first one says what was there before.
    """
    told = [change for change in changes if not change.is_state or change.version.generation != UNTOLD]
    changes = told if any(not change.is_state for change in told) else changes
    left: bytes | None = None
    for place, change in enumerate(changes):
        key = change.key.hex()
        if not change.is_state and change.old is not None and (place == 0 or change.old != left):
            yield ItemChange(key, before(change.version), image(change.old), now_ms, is_state=True)
        yield ItemChange(key, change.version, image(change.new), now_ms, is_state=change.is_state)
        left = change.new


def newest_step(change: HistoryChange, now_ms: int) -> ItemChange:
    """The only step of an item of which its newest image is enough; one that is gone leaves nothing behind
    where it never was.
    """
    is_gone = change.new is None
    return ItemChange(change.key.hex(), change.version, image(change.new), now_ms, is_state=is_gone)


def before(version: Version) -> Version:
    """A version that is older than this one of an item, and newer than each before it.

    >>> before(Version(2, 7))
    Version(generation=2, sequence=6)
    """
    return Version(version.generation, version.sequence - 1)
