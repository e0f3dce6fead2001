"""Which changes reach a handler: the kinds it was declared on, its entity, and the user's own `where`.

Rules of this file: the machine's filter must not raise, but a `where` that is a function is the user's code and may. What it raises on is
let through and judged again where a failure has a place: in the sink. Made by app.py.
"""

from collections.abc import Callable
from typing import Any

import orjson

from tailrace.app.change import Change
from tailrace.app.predicates import Predicate, compiled
from tailrace.app.table import Changes
from tailrace.streams.record import ChangeRecord


class Filter:
    """A mapping's filter. Called by the machine for every record; `judge` by the sink for what was let through.

    Shape:   `doubtful` holds the sequence numbers of the changes that `where` raised on.
    """

    __slots__ = ("_doubtful", "_events", "_fits", "_table", "_where", "changes", "where")

    def __init__(
        self, changes: Changes, where: Predicate | Callable[[Change[Any]], bool] | None = None
    ) -> None:
        self.changes = changes
        self.where = where
        self._events = frozenset(changes.events)
        self._table = changes.table.name
        self._fits = None if changes.entity is None else changes.entity.fits
        self._where = compiled(where) if isinstance(where, Predicate) else where
        self._doubtful: set[int] = set()

    def __call__(self, record: ChangeRecord) -> bool:
        """Whether the record goes to the handler. Never raises."""
        if record.event_name not in self._events:
            return False
        if self._fits is not None and not self._fits(orjson.loads(record.keys)):
            return False
        if self._where is None:
            return True
        try:
            return bool(self._where(Change(record, self._table, self.changes.entity)))
        except (
            Exception
        ):  # the machine's filter may not raise; `judge` raises it again, where it counts as a failure
            self._doubtful.add(record.sequence)
            return True

    def judge(self, change: Change[Any]) -> bool:
        """Whether a change that was let through goes to the handler. Raises: what `where` raises."""
        sequence = change.record.sequence
        if self._where is None or sequence not in self._doubtful:
            return True
        verdict = bool(self._where(change))
        self._doubtful.discard(sequence)
        return verdict
