"""How a change of an item changes a projection: retract the image that was applied, apply the new one.

Theory of operation: a `Working` set holds the rows that were read; every change is folded into it, so that
several changes make one transaction, and `changes` says what it must write under which condition. What a
change carries as its old image is never looked at: after duplicates, gaps and redrives the image that was
*applied* is what has to go. A projection with history is told the same, in the same order; its function need
not undo what it did, so its groups count what entered them, and stay when nothing is left in them.
Rules of this file: pure but for the user's function, whose exceptions leave the set as it was. Called by
sinks/projected.py.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct, field

from tailrace.projections.core.rows import NOWHERE, AppliedItem, GroupState, RowChange
from tailrace.streams.version import Version
from tailrace.values.types import AttributeValue, Item


class Fold(Protocol):
    """The user's function, between attribute values. Shape: with `history` a state is of all that was ever
    there.
    """

    @property
    def history(self) -> bool:
        """Whether groups are of every image that entered them."""

    def group_of(self, image: Item) -> str:
        """The key of an image's group, as text. Raises: what the user's code raises."""

    def folded(self, state: AttributeValue | None, images: Sequence[tuple[Item, int]]) -> AttributeValue:
        """The state (None: the initial one) after these images, each with its sign. Raises: what the user's
        code raises.
        """


class ItemChange(Struct, frozen=True):
    """One item as it is after a change. Shape: `key` hex; `image` None: it is gone; with `is_state` it says
    how the item stood, not that it changed then. Units: at_ms since the epoch.
    """

    key: str
    version: Version
    image: Item | None
    at_ms: int
    group: str = NOWHERE
    is_state: bool = False


class Working(Struct):
    """The rows of some items and groups, as they were read and as they will be."""

    fold: Fold
    _items: dict[str, AppliedItem | None] = field(default_factory=dict)
    _groups: dict[str, GroupState | None] = field(default_factory=dict)
    _items_before: dict[str, AppliedItem | None] = field(default_factory=dict)
    _groups_before: dict[str, GroupState | None] = field(default_factory=dict)

    def add_items(self, keys: Iterable[str], rows: Iterable[AppliedItem]) -> None:
        """The rows of these items; those that have none are absent."""
        by_key = {row.key: row for row in rows}
        for key in keys:
            self._items[key] = self._items_before[key] = by_key.get(key)

    def add_groups(self, keys: Iterable[str], rows: Iterable[GroupState]) -> None:
        """The rows of these groups; those that have none are absent."""
        by_key = {row.key: row for row in rows}
        for key in keys:
            self._groups[key] = self._groups_before[key] = by_key.get(key)

    def groups_for(self, steps: Iterable[ItemChange]) -> set[str]:
        """The groups that these steps may change, of items that were added."""
        groups: set[str] = set()
        for step in steps:
            row = self._items[step.key]
            if row is not None and row.image is not None:
                groups.add(row.group)
            if step.image is not None:
                groups.add(step.group)
        return groups

    def is_applied(self, step: ItemChange) -> bool:
        """Whether this change or a later one of its item was applied."""
        row = self._items[step.key]
        if step.is_state and step.image == (None if row is None else row.image):
            return True  # so it is known to be
        return row is not None and step.version <= row.version

    def apply(self, step: ItemChange) -> bool:
        """Fold one change in. Returns: whether it was new. Raises: what the user's function raises; nothing
        is changed then.
        """
        if self.is_applied(step):
            return False
        before = self._items[step.key]
        images: dict[str, list[tuple[Item, int]]] = {}
        if before is not None and before.image is not None:
            images.setdefault(before.group, []).append((before.image, -1))
        if step.image is not None:
            images.setdefault(step.group, []).append((step.image, 1))
        after = {key: self._folded(key, signed, step.at_ms) for key, signed in images.items()}
        self._groups.update(after)
        self._items[step.key] = AppliedItem(step.key, step.version, step.group, step.image, step.at_ms)
        return True

    def _folded(self, key: str, images: Sequence[tuple[Item, int]], at_ms: int) -> GroupState:
        group, stored = self._groups[key], self._groups_before[key]
        is_empty = group is None or group.count == 0  # what rounding may have left behind begins anew
        state = self.fold.folded(None if is_empty or group is None else group.state, images)
        entered = sum(sign for _, sign in images if sign > 0 or not self.fold.history)
        count = (0 if group is None else group.count) + entered
        return GroupState(key, 1 if stored is None else stored.version + 1, count, state, at_ms)

    @property
    def changes(self) -> list[RowChange]:
        """Everything that differs from what was read, as one transaction."""
        pairs = [(self._items_before[key], row) for key, row in self._items.items()]
        groups = [(self._groups_before[key], row) for key, row in self._groups.items()]
        return [RowChange(before, after) for before, after in (*pairs, *groups) if after is not before]
