"""Which changes reach a handler: the kinds it was declared on, its entity, and the user's own `where`.

Rules of this file: the machine's filter must not raise, but a `where` that is a function is the user's code
and may. What it raises on is let through and judged again where a failure has a place: in the sink.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import structs

from tailrace.app.change import Change
from tailrace.app.entity import Entity
from tailrace.app.fence import FENCE
from tailrace.app.predicates import Predicate, asks_for_change, compiled
from tailrace.app.record import Record
from tailrace.app.table import EVENTS, Changes
from tailrace.streams.record import ChangeRecord

MOST_KEPT: Final = 10_000
"""As many judged changes wait for their handler with their images decoded; later ones are decoded again."""


class Filter:
    """A mapping's filter. The machine calls it for every record, the sink calls `judge` for what passed.

    Shape:   `doubtful` holds the sequence numbers of the changes that `where` raised on.
    """

    __slots__ = (
        "_doubtful",
        "_entities",
        "_entity",
        "_events",
        "_form",
        "_judged",
        "_table",
        "_where",
        "changes",
        "where",
    )

    def __init__(
        self, changes: Changes[Entity[Any]], where: Predicate | Callable[[Change[Any]], bool] | None = None
    ) -> None:
        self.changes = changes
        self.where = where
        self._events = frozenset(changes.events)
        self._table = changes.table.name
        self._form: type[Change[Any]] = Record if changes.table.is_data else Change
        self._entity = changes.entity
        self._entities = changes.table.entities if changes.entity is not None or changes.unmatched else None
        self._where = compiled(where) if isinstance(where, Predicate) else where
        self._doubtful: set[int] = set()
        self._judged: dict[int, Change[Any]] = {}

    def __call__(self, record: ChangeRecord) -> bool:
        """Whether the record goes to the handler. Never raises."""
        if record.event_name not in self._events:
            return False
        if self._entities is not None and self._entities.of(record.keys) is not self._entity:
            return False
        if self._where is None:
            return True
        change = self._form(record, self._table, self.changes.entity)
        try:
            with FENCE:
                accepted = bool(self._where(change))
        except Exception:  # the machine's filter may not raise; `judge` does so again, and that is a failure
            self._doubtful.add(record.sequence)
            return True
        if accepted and len(self._judged) < MOST_KEPT:
            self._judged[record.sequence] = change
        return accepted

    def take(self, record: ChangeRecord, region: str) -> Change[Any]:
        """The change of a record that was let through, with what was decoded to judge it."""
        change = self._judged.pop(record.sequence, None)
        if change is None or change.record is not record:
            return self._form(record, self._table, self.changes.entity, region)
        change.region = region
        return change

    @property
    def doubts(self) -> bool:
        """Whether a change that was let through is still to be judged."""
        return bool(self._doubtful)

    def wants(self, change: Change[Any]) -> bool:
        """Whether a change of a scan, which was not judged yet, goes to the handler. Raises: as judge."""
        record = change.record
        if record.event_name not in self._events:
            return False
        if self._entities is not None and self._entities.of(record.keys) is not self._entity:
            return False
        if self._where is None:
            return True
        with FENCE:
            return bool(self._where(change))

    def judge(self, change: Change[Any]) -> bool:
        """Whether a change that was let through goes to the handler. Raises: what `where` raises."""
        sequence = change.record.sequence
        if self._where is None or sequence not in self._doubtful:
            return True
        with FENCE:
            verdict = bool(self._where(change))
        self._doubtful.discard(sequence)
        return verdict


class StateFilter(Filter):
    """The filter of a mirror, by what an item is: a change goes through if the item fits after it, or did
    before it, for then it leaves what the mirror shows. Where the old image is not known it goes through.

    Shape:   `keeps` says of what went through whether the item fits after it.
    """

    __slots__ = ()

    def __call__(self, record: ChangeRecord) -> bool:
        """Whether the record goes to the sink. Never raises."""
        if self._entities is not None and self._entities.of(record.keys) is not self._entity:
            return False
        if self._where is None or record.event_name == "REMOVE":
            return True
        return self._fits(record) or (record.event_name != "INSERT" and self._has_fitted(record))

    def keeps(self, change: Change[Any]) -> bool:
        """Whether the item fits after a change that went through. Raises: what `where` raises."""
        if self._where is None or change.event_name == "REMOVE":
            return True
        with FENCE:
            return bool(self._where(change))

    def _fits(self, record: ChangeRecord) -> bool:
        assert self._where is not None
        try:
            with FENCE:
                return bool(self._where(Change[Any](record, self._table, self.changes.entity)))
        except Exception:  # `keeps` raises it again, where a failure has a place
            return True

    def _has_fitted(self, record: ChangeRecord) -> bool:
        if record.old is None:
            return True
        return self._fits(structs.replace(record, event_name="INSERT", old=None, new=record.old))


def filter_of(
    changes: Changes[Entity[Any]],
    where: Predicate | Callable[[Change[Any]], bool] | None,
    *,
    of_state: bool = False,
) -> Filter | None:
    """Which records reach the handler; None: all of them. Shape: `of_state`: the sink is a mirror, which
    shows the items that fit.
    """
    if of_state and len(set(changes.events)) == len(EVENTS) and _is_of_items(where):
        return None if where is None and changes.entity is None else StateFilter(changes, where)
    if (
        where is None
        and changes.entity is None
        and not changes.unmatched
        and len(set(changes.events)) == len(EVENTS)
    ):
        return None
    return Filter(changes, where)


def _is_of_items(where: Predicate | Callable[[Change[Any]], bool] | None) -> bool:
    return not (isinstance(where, Predicate) and asks_for_change(where))
