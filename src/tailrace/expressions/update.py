"""Updates: UpdateExpression.

Rules of this file: every right-hand side sees the item before the update; the item that comes in is never changed, and
what a path does not touch is shared. SET comes first, then ADD and DELETE, and elements are removed last, by their old indexes.
Called by tables.mutate. Source: semantics §6.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from tailrace.errors import ApiError, validation_error
from tailrace.expressions.nodes import Action, Arithmetic, Function, Path, Value
from tailrace.expressions.operands import (
    WRONG_TYPE,
    Values,
    check_literal,
    check_path,
    evaluate_new,
    kind_of,
    wrong_count,
)  # fmt: skip
from tailrace.expressions.parser import CACHED, parse_update_text
from tailrace.expressions.paths import check_apart, keep, value_at
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.resolve import Uses, resolve, uses, walk
from tailrace.expressions.tokens import invalid
from tailrace.values.number import add
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_value

KIND: Final = "UpdateExpression"
INVALID_PATH: Final = "The document path provided in the update expression is invalid for update"
SETS: Final = ("SS", "NS", "BS")
TYPE_NAMES: Final = {
    "S": "STRING", "N": "NUMBER", "B": "BINARY", "NULL": "NULL", "BOOL": "BOOLEAN", "L": "LIST", "M": "MAP",
    "SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET",
}  # fmt: skip
Change = tuple[Path, AttributeValue | None]


@dataclass(frozen=True, slots=True)
class Update:
    """An update that is ready to be applied. Shape: `actions` with real names, `values` behind its placeholders."""

    actions: tuple[Action, ...]
    values: Mapping[str, AttributeValue]

    def apply(self, item: Item) -> Item:
        """The item after the update. Raises: ApiError.

        >>> values = Placeholders(None, {":one": {"N": "1"}})
        >>> parse_update("SET n = n + :one REMOVE b", values).apply({"n": {"N": "1"}, "b": {"S": ""}})
        {'n': {'N': '2'}}
        """
        changes = [(action.path, _decide(action, item, self.values)) for action in self.actions]
        return _Rewriting(item).run(changes)

    def top_level_names(self) -> frozenset[str]:
        """The attributes that the update touches."""
        return frozenset(str(action.path.parts[0]) for action in self.actions)

    def touched(self, before: Item, after: Item, which: Literal["OLD", "NEW"]) -> Item:
        """The touched parts of the item before or after: what UPDATED_OLD and UPDATED_NEW answer."""
        return keep(before if which == "OLD" else after, [action.path for action in self.actions])


# ---- from text ----------------------------------------------------------------------------------------------------------


@lru_cache(CACHED)
def _uses(text: str) -> Uses:
    return uses(parse_update_text(text))


@lru_cache(CACHED)
def _resolved(text: str, names: tuple[tuple[str, str], ...]) -> tuple[tuple[Action, ...], ApiError | None]:
    actions = tuple(resolve(action, dict(names)) for action in parse_update_text(text))
    try:
        check_apart([action.path for action in actions], KIND)
    except ApiError as error:
        return actions, error
    return actions, None


def parse_update(text: str, placeholders: Placeholders) -> Update:
    """An update from its text. Raises: ApiError."""
    used = _uses(text)
    placeholders.use_names(used.names, KIND)
    placeholders.use_values(used.values, KIND)
    actions, clash = _resolved(text, tuple((name, placeholders.names[name]) for name in used.names))
    if clash is not None:
        raise validation_error(str(clash.message))
    for check in (_check_operators, _check_functions):
        for action in actions:
            check(action, placeholders.values)
    return Update(actions, placeholders.values)


def _check_operators(action: Action, values: Values) -> None:
    operand = action.operand
    if action.section in ("ADD", "DELETE"):
        assert isinstance(operand, Value)
        kind = kind_of(values[operand.name])
        if kind not in SETS and not (action.section == "ADD" and kind == "N"):
            raise invalid(
                KIND,
                "Incorrect operand type for operator or function; "
                f"operator: {action.section}, operand type: {TYPE_NAMES[kind]}",
            )
    for each in walk(action):
        if isinstance(each, Arithmetic):
            check_literal(each.left, values, "N", KIND, each.operator)
            check_literal(each.right, values, "N", KIND, each.operator)


def _check_functions(action: Action, values: Values) -> None:
    for each in walk(action):
        if not isinstance(each, Function):
            continue
        if len(each.operands) != 2:
            wrong_count(KIND, each.name, len(each.operands))
        if each.name == "if_not_exists":
            check_path(each.operands[0], KIND, each.name)
        else:
            for operand in each.operands:
                check_literal(operand, values, "L", KIND, each.name)


# ---- deciding -----------------------------------------------------------------------------------------------------------


def _decide(action: Action, item: Item, values: Values) -> AttributeValue | None:
    """The value that an action puts at its path; None removes what is there."""
    match action:
        case Action("SET", _, operand) if operand is not None:
            return evaluate_new(operand, item, values)
        case Action("ADD", path, Value(name)):
            return _added(value_at(item, path.parts), values[name])
        case Action("DELETE", path, Value(name)):
            return _deleted(value_at(item, path.parts), values[name])
        case _:
            return None


def _added(old: AttributeValue | None, given: AttributeValue) -> AttributeValue:
    kind = kind_of(given)
    if old is None:
        return given
    if kind not in old:
        raise validation_error(WRONG_TYPE)
    if kind == "N":
        return {"N": add(old["N"], given["N"])}
    return read_value({kind: list({**dict.fromkeys(old[kind]), **dict.fromkeys(given[kind])})})


def _deleted(old: AttributeValue | None, given: AttributeValue) -> AttributeValue | None:
    if old is None:
        return None
    kind = kind_of(given)
    if kind not in old:
        raise validation_error(WRONG_TYPE)
    left = [element for element in old[kind] if element not in given[kind]]
    return {kind: left} if left else None


# ---- rewriting ----------------------------------------------------------------------------------------------------------


class _Rewriting:
    """One item being rewritten: containers are copied once, when a path first goes through them."""

    def __init__(self, item: Item) -> None:
        self._item = dict(item)
        self._owned: dict[int, Any] = {}

    def run(self, changes: list[Change]) -> Item:
        """Put every value, appended elements in the order of their indexes, then remove by old indexes from the end."""
        puts = [(path, value) for path, value in changes if value is not None]
        for path, value in sorted(puts, key=_last_index):
            self._put(path, value)
        removals = [path for path, value in changes if value is None]
        for path in sorted(removals, key=lambda path: _last_index((path, None)), reverse=True):
            self._remove(path)
        return self._item

    def _put(self, path: Path, value: AttributeValue) -> None:
        last = path.parts[-1]
        container = self._container(path)
        if isinstance(last, int) and last >= len(container):
            container.append(value)
        else:
            container[last] = value

    def _remove(self, path: Path) -> None:
        last = path.parts[-1]
        container = self._container(path)
        if isinstance(last, str):
            container.pop(last, None)
        elif last < len(container):
            del container[last]

    def _container(self, path: Path) -> Any:
        """The map or list that holds the path's last part, ours to change. Raises: ApiError when there is none."""
        container: Any = self._item
        for part, following in zip(path.parts, path.parts[1:], strict=False):
            kind = "M" if isinstance(following, str) else "L"
            value = _inside(container, part)
            if value is None or kind not in value:
                raise validation_error(INVALID_PATH)
            if id(value) not in self._owned:
                value = {kind: value[kind].copy()}
                self._owned[id(value)] = value
                container[part] = value
            container = value[kind]
        return container


def _inside(container: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return container[part] if part < len(container) else None
    return container.get(part)


def _last_index(change: tuple[Path, Any]) -> int:
    last = change[0].parts[-1]
    return last if isinstance(last, int) else -1
