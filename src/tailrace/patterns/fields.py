"""Finding the leaves that a rule names, and joining them field by field, consistent in their arrays.

Theory of operation: to AWS's engine an event is a list of leaves: a dotted name, a value, and the places of
the arrays that it lies in. A rule's fields are met in the order of their names; the leaves chosen must not
lie in different elements of one array. `exists: false` asks whether a leaf of that name lies in the elements
chosen *so far*. A scalar of an array lies in none of its elements. Nearly always no object lies in an array;
then every field stands for itself, and only the names that a rule asks for are looked up.
Rules of this file: nothing raises on any JSON; keys with dots are found under every division of a name.
Called by pattern.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tailrace.patterns.matching import Test, compiled
from tailrace.patterns.nodes import Exists, Rule

Steps: TypeAlias = Sequence[Sequence[tuple[str, int]]]
"""From each place of a name: the keys that may come next, and the place after each."""
Way: TypeAlias = tuple[str | int, ...]
Membership: TypeAlias = Mapping[Way, int]
"""Which element of which array: indexes by the way to the array."""
Leaf: TypeAlias = tuple[Any, Membership]
MISSING: Final = object()
Match: TypeAlias = Callable[[dict[str, Any]], bool]


class Field(Struct, frozen=True):
    """One field of a rule. Shape: `test` None: no leaf matches; `may_be_absent`: no leaf at all does."""

    name: str
    steps: Steps
    test: Test | None
    may_be_absent: bool


def steps_of(name: str) -> Steps:
    """The ways through an event to a dotted name.

    >>> steps_of("a.b")
    [[('a', 1), ('a.b', 2)], [('b', 2)]]
    """
    parts = name.split(".")
    ends = range(len(parts) + 1)
    return [[(".".join(parts[start:end]), end) for end in ends[start + 1 :]] for start in ends[:-1]]


def fields_of(rule: Rule) -> list[Field]:
    """The fields of a rule, in the order in which the engine meets them (of Java's strings)."""
    return [
        Field(name, steps_of(name), compiled(alternatives), Exists(False) in alternatives)
        for name, alternatives in sorted(rule.items(), key=lambda member: java_order(member[0]))
    ]


def java_order(name: str) -> bytes:
    """A key that sorts strings by their UTF-16 units."""
    return name.encode("utf-16-be", "surrogatepass")


def matches(fields: Sequence[Field], event: dict[str, Any]) -> bool:
    """Whether a rule's fields all match."""
    for field in fields:
        leaves: list[Any] = []
        if not gather(event, field.steps, 0, leaves):
            return _matches_exactly(fields, event)
        if not accepts(field, leaves):
            return False
    return True


def accepts(field: Field, leaves: Sequence[Any]) -> bool:
    """Whether a field that stands for itself matches."""
    if not leaves:
        return field.may_be_absent
    test = field.test
    return test is not None and (test(leaves[0]) if len(leaves) == 1 else any(map(test, leaves)))


def gather(node: dict[str, Any], steps: Steps, place: int, leaves: list[Any]) -> bool:
    """Collect the leaves of a name; False: an array on the way holds containers, so join exactly."""
    end = len(steps)
    for key, following in steps[place]:
        child = node.get(key, MISSING)
        if child is MISSING:
            continue
        if isinstance(child, dict):
            if following < end and not gather(child, steps, following, leaves):
                return False
        elif isinstance(child, list):
            if any(isinstance(element, dict | list) for element in child):
                return False
            if following == end:
                leaves += child
        elif following == end:
            leaves.append(child)
    return True


# ---- arrays of objects -------------------------------------------------------------------------------------


def located(event: dict[str, Any], steps: Steps) -> list[Leaf]:
    """Every leaf of a name, with the elements that it lies in."""
    leaves: list[Leaf] = []
    _locate(event, steps, 0, (), {}, leaves)
    return leaves


def _locate(value: Any, steps: Steps, place: int, way: Way, within: Membership, leaves: list[Leaf]) -> None:
    if isinstance(value, dict):
        if place < len(steps):
            for key, following in steps[place]:
                child = value.get(key, MISSING)
                if child is not MISSING:
                    _locate(child, steps, following, (*way, key), within, leaves)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            # A scalar stands beside all of its array's elements: only what holds names is one of its own.
            inside = {**within, way: index} if isinstance(element, dict | list) else within
            _locate(element, steps, place, (*way, index), inside, leaves)
    elif place == len(steps):
        leaves.append((value, within))


def _matches_exactly(fields: Sequence[Field], event: dict[str, Any]) -> bool:
    """Field by field, every possible choice of elements; only arrays of later fields are kept apart."""
    leaves = [located(event, field.steps) for field in fields]
    reached: list[Membership] = [{}]
    for number, field in enumerate(fields):
        later = {
            array for field_leaves in leaves[number + 1 :] for _, within in field_leaves for array in within
        }
        choices = FieldLeaves(field, leaves[number])
        chosen = [extended for membership in reached for extended in choices.after(membership)]
        memberships = (
            {array: index for array, index in membership.items() if array in later} for membership in chosen
        )
        reached = list({frozenset(membership.items()): membership for membership in memberships}.values())
    return bool(reached)


class FieldLeaves:
    """The leaves of one field, looked up by the elements that they lie in: an item may hold thousands."""

    __slots__ = ("_field", "_indexes", "_shapes")

    def __init__(self, field: Field, leaves: Sequence[Leaf]) -> None:
        self._field = field
        self._shapes: dict[frozenset[Way], list[Leaf]] = {}
        for leaf in leaves:
            self._shapes.setdefault(frozenset(leaf[1]), []).append(leaf)
        self._indexes: dict[tuple[frozenset[Way], tuple[Way, ...]], dict[tuple[int, ...], list[Leaf]]] = {}

    def after(self, membership: Membership) -> list[Membership]:
        """The elements with which the field matches, after these were chosen."""
        consistent = [leaf for shape in self._shapes for leaf in self._consistent(shape, membership)]
        if not consistent:
            return [membership] if self._field.may_be_absent else []
        test = self._field.test
        if test is None:
            return []
        return [{**membership, **within} for value, within in consistent if test(value)]

    def _consistent(self, shape: frozenset[Way], membership: Membership) -> list[Leaf]:
        common = tuple(array for array in membership if array in shape)
        index = self._indexes.get((shape, common))
        if index is None:
            index = self._indexes[(shape, common)] = {}
            for leaf in self._shapes[shape]:
                index.setdefault(tuple(leaf[1][array] for array in common), []).append(leaf)
        return index.get(tuple(membership[array] for array in common), [])
