"""Putting values at document paths, and removing what is there.

Rules of this file: the item that comes in is never changed; maps and lists on the way to a path are copied
once, everything else is shared. Values are put first, then elements are removed by their old indexes. Called
by update.py. Source: semantics §6.4.
"""

from typing import Any, Final

from tailrace.errors import validation_error
from tailrace.expressions.nodes import Path
from tailrace.expressions.paths import element, value_at
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import NESTING, depth_of
from tailrace.values.wordings import WrongValue

INVALID_PATH: Final = "The document path provided in the update expression is invalid for update"
Change = tuple[Path, AttributeValue | None]


def rewrite(item: Item, changes: list[Change]) -> Item:
    """The item with every value put at its path, and without what has None. Raises: ApiError.

    >>> changes = [(Path(("a", 9)), {"S": "z"}), (Path(("a", 0)), None)]
    >>> rewrite({"a": {"L": [{"S": "x"}, {"S": "y"}]}}, changes)
    {'a': {'L': [{'S': 'y'}, {'S': 'z'}]}}
    """
    rewriting = _Rewriting(item)
    # The order of paths is that of indexes: appended elements keep it, removing from the end moves none.
    in_order = sorted(changes, key=_parts)
    for path, value in in_order:
        if value is not None:
            rewriting.put(path, value)
    for path, value in reversed(in_order):
        if value is None:
            rewriting.remove(path, is_present=value_at(item, path.parts) is not None)
    return rewriting.item


def _parts(change: Change) -> tuple[Any, ...]:
    """Comparable: where two paths part, both go on with names or both with indexes, or they conflict."""
    return change[0].parts


class _Rewriting:
    """One item being rewritten. Shape: `_owned` holds the values that are copies already, by identity."""

    def __init__(self, item: Item) -> None:
        self.item = item.copy()
        self._owned: dict[int, AttributeValue] = {}
        self._depths: dict[int, int] = {}  # of values, by identity: one may be put at many paths

    def put(self, path: Path, value: AttributeValue) -> None:
        """Put a value; beyond the end of a list it is appended."""
        if len(path.parts) > 1 and len(path.parts) - 1 + self._depth_of(value) > NESTING:
            raise WrongValue("depth")
        last = path.parts[-1]
        container = self._container(path)
        if isinstance(last, int) and last >= len(container):
            container.append(value)
        else:
            container[last] = value

    def _depth_of(self, value: AttributeValue) -> int:
        depth = self._depths.get(id(value))
        if depth is None:
            depth = self._depths[id(value)] = depth_of(value)
        return depth

    def remove(self, path: Path, is_present: bool) -> None:
        """Remove a value. What was not there before is not removed, even if something was appended there."""
        container = self._container(path)
        if is_present:
            del container[path.parts[-1]]

    def _container(self, path: Path) -> Any:
        """The map or list that holds the path's last part, ours to change. Raises: ApiError when there is
        none.
        """
        container: Any = self.item
        holder: AttributeValue = {"M": self.item}
        for part, following in zip(path.parts, path.parts[1:], strict=False):
            kind = "M" if isinstance(following, str) else "L"
            value = element(holder, part)
            if value is None or kind not in value:
                raise validation_error(INVALID_PATH)
            if id(value) not in self._owned:
                value = {kind: value[kind].copy()}
                self._owned[id(value)] = value
                container[part] = value
            holder, container = value, value[kind]
        return container
