"""The control of the year's history: every flight as it was at a moment, and how often each status was set,
by a plain fold over the writes.

Stands alone because it imports nothing of tailrace, so that it can only agree by being right: the writes come
from the replay of the demo, which imports nothing of it either. Units: a moment is in minutes since the
epoch, and a write of that minute counts. Called by history.py.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

Flights: TypeAlias = dict[str, dict[str, str | int]]
"""Flight → its attributes, with its id."""


def flights_at(writes: Iterable[Any], minute: int) -> Flights:
    """Every flight that was there."""
    flights: Flights = {}
    for write in writes:
        if write.instant <= minute:
            flights.setdefault(write.flight, {"id": write.flight}).update(write.changes)
    return flights


def statuses(writes: Iterable[Any]) -> dict[str, int]:
    """Status → how many writes set it, or left it: each write of the replay sets one."""
    return dict(Counter(str(write.changes["status"]) for write in writes))
