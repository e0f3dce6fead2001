"""Which changes reach a handler: the kinds it was declared on, and the user's own `where`.

Rules of this file: the machine's filter must not raise, but `where` is the user's code and may. What it raises on is let through
and judged again where a failure has a place: in the sink. Made by app.py.
"""

from collections.abc import Callable, Collection

from tailrace.app.change import Change
from tailrace.streams.record import ChangeRecord


class Filter:
    """A mapping's filter. Called by the machine for every record; `judge` by the sink for what was let through.

    Shape:   `doubtful` holds the sequence numbers of the changes that `where` raised on.
    """

    __slots__ = ("_doubtful", "_events", "_table", "_where")

    def __init__(
        self, events: Collection[str], table: str, where: Callable[[Change], bool] | None = None
    ) -> None:
        self._events = frozenset(events)
        self._table = table
        self._where = where
        self._doubtful: set[int] = set()

    def __call__(self, record: ChangeRecord) -> bool:
        """Whether the record goes to the handler. Never raises."""
        if record.event_name not in self._events:
            return False
        if self._where is None:
            return True
        try:
            return bool(self._where(Change(record, self._table)))
        except (
            Exception
        ):  # the machine's filter may not raise; `judge` raises it again, where it counts as a failure
            self._doubtful.add(record.sequence)
            return True

    def judge(self, change: Change) -> bool:
        """Whether a change that was let through goes to the handler. Raises: what `where` raises."""
        sequence = change.record.sequence
        if self._where is None or sequence not in self._doubtful:
            return True
        verdict = bool(self._where(change))
        self._doubtful.discard(sequence)
        return verdict
