"""Document paths: reading a value at one, keeping only some of them, and telling whether two of them clash.

Rules of this file: items are never changed here. Source: semantics §6.4.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tailrace.expressions.nodes import Part, Path
from tailrace.expressions.tokens import invalid
from tailrace.values.types import AttributeValue, Item


def value_at(item: Item, parts: Sequence[Part]) -> AttributeValue | None:
    """The value at a path, or None.

    >>> value_at({"a": {"L": [{"S": "x"}]}}, ("a", 0))
    {'S': 'x'}
    """
    value: Any = item.get(parts[0])  # type: ignore[arg-type]  # a path begins with a name
    for part in parts[1:]:
        if value is None:
            return None
        value = element(value, part)
    return value  # type: ignore[no-any-return]


def element(value: AttributeValue, part: Part) -> AttributeValue | None:
    """The member or element inside a value, or None."""
    if isinstance(part, str):
        members = value.get("M")
        return None if members is None else members.get(part)
    elements = value.get("L")
    return None if elements is None or part >= len(elements) else elements[part]


def check_apart(paths: Sequence[Path], kind: str) -> None:
    """Raises: ApiError when one path lies on another, or when two treat one value as a map and as a list."""
    clashes: dict[str, tuple[Path, Path]] = {}
    root = _Junction(-1)
    for index, path in enumerate(paths):
        for clash, other in root.enter(path.parts, index).items():
            clashes.setdefault(clash, (paths[other], path))
    for clash in ("overlap", "conflict"):
        if clash in clashes:
            first, second = clashes[clash]
            raise invalid(
                kind,
                f"Two document paths {clash} with each other; must remove or rewrite one of these paths; "
                f"path one: {first}, path two: {second}",
            )


class _Junction:
    """A place in the tree of all paths so far. Shape: `first` is the first path through it, `end` the one
    that ends here.
    """

    __slots__ = ("end", "first", "first_of_type", "onward")

    def __init__(self, first: int) -> None:
        self.first = first
        self.end: int | None = None
        self.onward: dict[Part, _Junction] = {}
        self.first_of_type: dict[type, int] = {}

    def enter(self, parts: Sequence[Part], index: int) -> dict[str, int]:
        """Add a path; the first other paths that it clashes with, by kind of clash."""
        overlaps: list[int] = []
        conflicts: list[int] = []
        place = self
        for part in parts:
            if place.end is not None:
                overlaps.append(place.end)
            place.first_of_type.setdefault(type(part), index)
            conflicts += [other for kind, other in place.first_of_type.items() if kind is not type(part)]
            place = place.onward.setdefault(part, _Junction(index))
        if place.first != index:
            overlaps.append(place.first)
        if place.end is None:
            place.end = index
        clashes = {"overlap": overlaps, "conflict": conflicts}
        return {clash: min(others) for clash, others in clashes.items() if others}


def keep(item: Item, paths: Iterable[Path]) -> Item:
    """Only the values at these paths; elements of a list keep their order and close up.

    >>> keep({"a": {"L": [{"S": "x"}, {"S": "y"}]}, "b": {"S": "z"}}, [Path(("a", 1))])
    {'a': {'L': [{'S': 'y'}]}}
    """
    tree: dict[Part, Any] = {}
    for path in paths:
        place = tree
        for part in path.parts[:-1]:
            place = place.setdefault(part, {})
        place[path.parts[-1]] = None
    projected: Item = {}
    for name, inside in tree.items():
        value = item.get(name)  # type: ignore[arg-type]  # a path begins with a name
        kept = None if value is None else _kept(value, inside)
        if kept is not None:
            projected[name] = kept  # type: ignore[index]
    return projected


def _kept(value: AttributeValue, inside: dict[Part, Any] | None) -> AttributeValue | None:
    if inside is None:
        return value
    parts = sorted(inside, key=lambda part: part if isinstance(part, int) else 0)
    elements = []
    for part in parts:
        child = element(value, part)
        kept = None if child is None else _kept(child, inside[part])
        if kept is not None:
            elements.append((part, kept))
    if not elements:
        return None
    if isinstance(elements[0][0], str):
        return {"M": dict(elements)}
    return {"L": [kept for _, kept in elements]}
