"""Document paths: reading a value at one, keeping only some of them, and telling whether two of them clash.

Rules of this file: items are never changed here. Source: semantics §6.4.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tailrace.expressions.nodes import Path
from tailrace.expressions.tokens import invalid
from tailrace.values.types import AttributeValue, Item


def value_at(item: Item, parts: Sequence[str | int]) -> AttributeValue | None:
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


def element(value: AttributeValue, part: str | int) -> AttributeValue | None:
    """The member or element inside a value, or None."""
    if isinstance(part, str):
        members = value.get("M")
        return None if members is None else members.get(part)
    elements = value.get("L")
    return None if elements is None or part >= len(elements) else elements[part]


def check_apart(paths: Sequence[Path], kind: str) -> None:
    """Raises: ApiError when one path lies on another, or when two treat one value as a map and as a list."""
    clashes = [
        (clash, first, second)
        for index, second in enumerate(paths)
        for first in paths[:index]
        if (clash := _clash(first.parts, second.parts)) is not None
    ]
    if clashes:
        clash, first, second = max(
            clashes, key=lambda found: found[0]
        )  # AWS tells of an overlap before a conflict
        raise invalid(
            kind,
            f"Two document paths {clash} with each other; must remove or rewrite one of these paths; "
            f"path one: {first}, path two: {second}",
        )


def _clash(first: Sequence[str | int], second: Sequence[str | int]) -> str | None:
    for one, two in zip(first, second, strict=False):
        if type(one) is not type(two):
            return "conflict"
        if one != two:
            return None
    return "overlap"


def keep(item: Item, paths: Iterable[Path]) -> Item:
    """Only the values at these paths; elements of a list keep their order and close up.

    >>> keep({"a": {"L": [{"S": "x"}, {"S": "y"}]}, "b": {"S": "z"}}, [Path(("a", 1))])
    {'a': {'L': [{'S': 'y'}]}}
    """
    tree: dict[str | int, Any] = {}
    for path in paths:
        place = tree
        for part in path.parts[:-1]:
            place = place.setdefault(part, {})
        place[path.parts[-1]] = None
    found: Item = {}
    for name, inside in tree.items():
        value = item.get(name)  # type: ignore[arg-type]  # a path begins with a name
        kept = None if value is None else _kept(value, inside)
        if kept is not None:
            found[name] = kept  # type: ignore[index]
    return found


def _kept(value: AttributeValue, inside: dict[str | int, Any] | None) -> AttributeValue | None:
    if inside is None:
        return value
    parts = sorted(inside, key=lambda part: part if isinstance(part, int) else 0)
    found = []
    for part in parts:
        child = element(value, part)
        kept = None if child is None else _kept(child, inside[part])
        if kept is not None:
            found.append((part, kept))
    if not found:
        return None
    if isinstance(found[0][0], str):
        return {"M": dict(found)}
    return {"L": [kept for _, kept in found]}
