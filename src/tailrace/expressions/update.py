"""Updates: UpdateExpression.

Rules of this file: every right-hand side sees the item before the update; the item that comes in is never
changed, and what a path does not touch is shared. A text becomes functions once for each choice of names;
binding values to them is cheap. Called by tables.mutate. Source: semantics §6.4.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Never

import msgspec

from tailrace.errors import ApiError, validation_error
from tailrace.expressions.checks import (
    SECTION_TYPES,
    action_literals,
    check_action,
    have_kinds,
    undefined_name,
    undefined_value,
)
from tailrace.expressions.kept import kept
from tailrace.expressions.nodes import Action, ParsedUpdate, Part, Path, Value, nested_heads, paths_of
from tailrace.expressions.operands import WRONG_TYPE, Values, kind_of, maker, told_kind
from tailrace.expressions.parser import Names, parse_update_text
from tailrace.expressions.paths import check_apart, keep, value_at
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.rewriting import rewrite
from tailrace.expressions.tokens import invalid
from tailrace.values.canonical import add
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import sorted_set

KIND: Final = "UpdateExpression"
FEW: Final = 8
"""So many actions may put one large value at so many places without more ado."""
MOST_ELEMENTS: Final = 409_600
"""No item of 400 KB holds more elements: each weighs a byte at least."""
TOO_LARGE: Final = "Item size to update has exceeded the maximum allowed size"
Decision = Callable[[Item, Values], AttributeValue | None]
"""What an action puts at its path; None removes what is there."""


@dataclass(frozen=True, slots=True)
class PreparedUpdate:
    """An update without its values.

    Shape:   `flat` are its decisions by name if all of its paths are names, None if one is not; `is_doubtful`
             says that something is wrong with it, to be said in its place among what depends on the values.
    """

    parsed: ParsedUpdate
    decisions: tuple[tuple[Path, Decision], ...]
    flat: tuple[tuple[str, Decision], ...] | None
    literals: tuple[tuple[str, frozenset[str]], ...]
    top_level_names: frozenset[str]
    is_doubtful: bool
    nested_names: frozenset[str] = frozenset()


class BoundUpdate(msgspec.Struct, frozen=True, gc=False):
    """An update that is ready to be applied. Shape: `values` stand behind its placeholders."""

    prepared: PreparedUpdate
    values: Mapping[str, AttributeValue]

    def apply(self, item: Item) -> Item:
        """The item after the update. Raises: ApiError.

        >>> values = Placeholders(None, {":one": {"N": "1"}})
        >>> parse_update("SET n = n + :one REMOVE b", values).apply({"n": {"N": "1"}, "b": {"S": ""}})
        {'n': {'N': '2'}}
        """
        values, flat = self.values, self.prepared.flat
        if flat is None or len(flat) > FEW:
            return self._apply_many(item)
        after = item.copy()
        for name, decide in flat:
            value = decide(item, values)
            if value is None:
                after.pop(name, None)
            else:
                after[name] = value
        return after

    @property
    def only_removes(self) -> bool:
        """Whether it takes away and puts nothing: an item that is not there has nothing for it to miss."""
        return all(action.section == "REMOVE" for action in self.prepared.parsed.actions)

    @property
    def repeats(self) -> bool:
        """Whether it may put one large value at many places, so that the new item is weighed with care."""
        return len(self.prepared.decisions) > FEW

    def _apply_many(self, item: Item) -> Item:
        """Many actions, or paths: what they make is counted, so that it stops when no item could hold it."""
        values, flat = self.values, self.prepared.flat
        changes: list[tuple[Path, AttributeValue | None]] = []
        room = MOST_ELEMENTS
        for path, decide in self.prepared.decisions:
            value = decide(item, values)
            changes.append((path, value))
            room -= _elements(value)
            if room < 0:
                raise validation_error(TOO_LARGE)
        if flat is None:
            return rewrite(item, changes)
        after = item.copy()
        for (name, _), (_, value) in zip(flat, changes, strict=True):
            if value is None:
                after.pop(name, None)
            else:
                after[name] = value
        return after

    def top_level_names(self) -> frozenset[str]:
        """The attributes that the update touches."""
        return self.prepared.top_level_names

    def nested_names(self) -> frozenset[str]:
        """The top-level names of the paths that go into something, on both sides."""
        return self.prepared.nested_names

    def kind_at(self, name: str) -> str | None:
        """The type that an attribute gets, where the text and its values tell it before the item is known."""
        for action in self.prepared.parsed.actions:
            if action.path.parts == (name,):
                return None if action.operand is None else told_kind(action.operand, self.values)
        return None

    def touched(self, before: Item, after: Item, side: Literal["OLD", "NEW"]) -> Item:
        """The touched parts of the item before or after: what UPDATED_OLD and UPDATED_NEW answer."""
        return keep(before if side == "OLD" else after, [path for path, _ in self.prepared.decisions])


def parse_update(text: str, placeholders: Placeholders) -> BoundUpdate:
    """An update from its text. Raises: ApiError."""
    prepared = _prepared(text)
    parsed = prepared.parsed
    if not placeholders.use(parsed.names, parsed.values):
        _refuse(parsed, placeholders)
    if parsed.names:
        prepared = _prepared(text, placeholders.chosen(parsed.names))
    values = placeholders.values
    if prepared.is_doubtful or not have_kinds(values, prepared.literals):
        _check(prepared.parsed, values)
    return BoundUpdate(prepared, values)


def update_of(actions: Sequence[Action], values: Values, mismatch: str) -> BoundUpdate:
    """An update that no text stands for, of whole attributes. Its operands are checked already.

    Shape:   `mismatch` is what it says of an attribute whose type does not fit, instead of an expression's
             own words.
    """
    decisions = tuple((action.path, _saying(mismatch, _decision(action))) for action in actions)
    flat = tuple((str(path.parts[0]), decide) for path, decide in decisions)
    names = frozenset(name for name, _ in flat)
    return BoundUpdate(
        PreparedUpdate(ParsedUpdate(tuple(actions), (), ()), decisions, flat, (), names, False), values
    )


def _saying(mismatch: str, decide: Decision) -> Decision:
    def decision(item: Item, values: Values) -> AttributeValue | None:
        try:
            return decide(item, values)
        except ApiError as error:
            if error.message == WRONG_TYPE:
                raise validation_error(mismatch) from None
            raise

    return decision


# ---- from text ---------------------------------------------------------------------------------------------


@kept
def _prepared(text: str, names: Names = ()) -> PreparedUpdate:
    parsed = parse_update_text(text, KIND, names)
    actions = parsed.actions
    top_level_names = frozenset(str(action.path.parts[0]) for action in actions)
    try:
        _check(parsed, None)
    except ApiError:  # it is raised again by `parse_update`, in its place among what depends on the values
        return PreparedUpdate(parsed, (), None, (), top_level_names, True)
    literals = tuple(literal for action in actions for literal in action_literals(action))
    decisions = tuple((action.path, _decision(action)) for action in actions)
    is_flat = all(len(path.parts) == 1 for path, _ in decisions)
    flat = tuple((str(path.parts[0]), decide) for path, decide in decisions) if is_flat else None
    paths = [path for action in actions for path in _paths_in(action)]
    return PreparedUpdate(parsed, decisions, flat, literals, top_level_names, False, nested_heads(paths))


def _paths_in(action: Action) -> Iterator[Path]:
    yield action.path
    if action.operand is not None:
        yield from paths_of(action.operand)


def _check(parsed: ParsedUpdate, values: Values | None) -> None:
    check_apart([action.path for action in parsed.actions], KIND)
    for action in sorted(parsed.actions, key=lambda action: action.section not in SECTION_TYPES):
        check_action(action, values)  # of ADD and DELETE first
    if parsed.misuse is not None:
        raise invalid(KIND, parsed.misuse)


def _refuse(parsed: ParsedUpdate, placeholders: Placeholders) -> Never:
    for name in parsed.names:
        if name not in placeholders.names:
            undefined_name(name, KIND)
    for name in parsed.values:
        if name not in placeholders.values:
            undefined_value(name, KIND)
    raise AssertionError("something was not defined")


# ---- deciding ----------------------------------------------------------------------------------------------


def _decision(action: Action) -> Decision:
    match action:
        case Action("ADD", Path(parts), Value(name)):
            return _addition(parts, name)
        case Action("DELETE", Path(parts), Value(name)):
            return _deletion(parts, name)
        case Action("SET", _, operand) if operand is not None:
            return maker(operand)
        case _:
            return lambda item, values: None


def _elements(value: AttributeValue | None) -> int:
    """How many elements a list or a set has; two bytes weighs each of a set."""
    for kind, content in () if value is None else value.items():
        if kind == "L":
            return len(content)
        if kind in ("SS", "NS", "BS"):
            return 2 * len(content)
    return 0


def _addition(parts: tuple[Part, ...], name: str) -> Decision:
    def decide(item: Item, values: Values) -> AttributeValue:
        old, operand = value_at(item, parts), values[name]
        kind = kind_of(operand)
        if old is None:
            return operand
        if kind not in old:
            raise validation_error(WRONG_TYPE)
        if kind == "N":
            return {"N": add(old["N"], operand["N"])}
        return {kind: sorted_set(kind, [*old[kind], *set(operand[kind]).difference(old[kind])])}

    return decide


def _deletion(parts: tuple[Part, ...], name: str) -> Decision:
    def decide(item: Item, values: Values) -> AttributeValue | None:
        old, operand = value_at(item, parts), values[name]
        kind = kind_of(operand)
        if old is None:
            return None
        if kind not in old:
            raise validation_error(WRONG_TYPE)
        gone = set(operand[kind])
        left = [element for element in old[kind] if element not in gone]
        return {kind: left} if left else None

    return decide
