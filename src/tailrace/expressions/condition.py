"""Conditions: ConditionExpression and FilterExpression.

Rules of this file: values of different types are never equal and never ordered; what is absent fails every comparison but the
functions of existence, except `<>`, which holds. Called by tables.mutate and engine.query. Source: semantics §6.4.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, assert_never

from tailrace.expressions.nodes import (
    And,
    Between,
    Compare,
    Function,
    In,
    Node,
    Not,
    Operand,
    Or,
    Path,
    Value,
)
from tailrace.expressions.operands import (
    Values,
    check_literal,
    check_path,
    check_size,
    evaluate,
    kind_of,
    wrong_count,
    wrong_operand,
)  # fmt: skip
from tailrace.expressions.parser import CACHED, parse_condition_text
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.resolve import Uses, resolve, uses, walk
from tailrace.expressions.tokens import invalid
from tailrace.values.order import compare_values
from tailrace.values.types import AttributeValue, Item

TYPES: Final = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
ORDERED: Final = "S N B"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that is ready to be asked. Shape: `node` with real names, `values` behind its placeholders."""

    node: Node
    values: Mapping[str, AttributeValue]

    def matches(self, item: Item) -> bool:
        """Whether it holds for an item; an absent item is `{}`."""
        return _holds(self.node, item, self.values)

    def attribute_names(self) -> frozenset[str]:
        """The top-level names of all of its paths."""
        return frozenset(str(each.parts[0]) for each in walk(self.node) if isinstance(each, Path))


@lru_cache(CACHED)
def condition_uses(text: str, kind: str) -> Uses:
    """What a condition uses. Raises: ApiError."""
    return uses([parse_condition_text(text, kind)])


@lru_cache(CACHED)
def _resolved(text: str, kind: str, names: tuple[tuple[str, str], ...]) -> Node:
    return resolve(parse_condition_text(text, kind), dict(names))


def resolved_condition(text: str, placeholders: Placeholders, kind: str) -> Node:
    """The node of a condition with real names; its placeholders are noted as used. Raises: ApiError."""
    used = condition_uses(text, kind)
    placeholders.use_names(used.names, kind)
    placeholders.use_values(used.values, kind)
    return _resolved(text, kind, tuple((name, placeholders.names[name]) for name in used.names))


def parse_condition(text: str, placeholders: Placeholders, kind: str = "ConditionExpression") -> Condition:
    """A condition from its text. Raises: ApiError.

    >>> values = {":one": {"N": "1"}}
    >>> parse_condition("n > :one", Placeholders(None, values)).matches({"n": {"N": "2"}})
    True
    """
    node = resolved_condition(text, placeholders, kind)
    _check(node, placeholders.values, kind)
    return Condition(node, placeholders.values)


# ---- evaluating -------------------------------------------------------------------------------------------------------


def _holds(node: Node, item: Item, values: Values) -> bool:
    match node:
        case Compare(operator, left, right):
            return _compare(operator, evaluate(left, item, values), evaluate(right, item, values))
        case And(conditions):
            return all(_holds(condition, item, values) for condition in conditions)
        case Or(conditions):
            return any(_holds(condition, item, values) for condition in conditions)
        case Not(condition):
            return not _holds(condition, item, values)
        case Between(operand, low, high):
            value = evaluate(operand, item, values)
            return _compare(">=", value, evaluate(low, item, values)) and _compare(
                "<=", value, evaluate(high, item, values)
            )
        case In(operand, options):
            value = evaluate(operand, item, values)
            return any(_compare("=", value, evaluate(option, item, values)) for option in options)
        case Function(name, operands):
            return _test(name, [evaluate(operand, item, values) for operand in operands])
        case _:
            assert_never(node)


def _compare(operator: str, left: AttributeValue | None, right: AttributeValue | None) -> bool:
    if operator == "=":
        return left is not None and left == right
    if operator == "<>":
        return left != right or left is None
    if left is None or right is None:
        return False
    order = compare_values(left, right)
    if order is None:
        return False
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _test(name: str, operands: list[AttributeValue | None]) -> bool:
    value = operands[0]
    if name == "attribute_not_exists":
        return value is None
    if value is None:
        return False
    if name == "attribute_exists":
        return True
    other = operands[1]
    if other is None:
        return False
    match name:
        case "attribute_type":
            return kind_of(value) == other.get("S")
        case "begins_with":
            return _begins_with(value, other)
        case _:
            return _contains(value, other)


def _begins_with(value: AttributeValue, prefix: AttributeValue) -> bool:
    match (value, prefix):
        case ({"S": str(text)}, {"S": str(start)}):
            return text.startswith(start)
        case ({"B": str(text)}, {"B": str(start)}):
            return b64decode(text).startswith(b64decode(start))
    return False


def _contains(value: AttributeValue, other: AttributeValue) -> bool:
    match (value, other):
        case ({"S": str(text)}, {"S": str(part)}):
            return part in text
        case ({"B": str(text)}, {"B": str(part)}):
            return b64decode(part) in b64decode(text)
        case ({"L": list(elements)}, _):
            return other in elements
    kind = kind_of(value)
    return kind in ("SS", "NS", "BS") and other.get(kind[0]) in value[kind]


# ---- what is wrong whatever the item ------------------------------------------------------------------------------------


def _check(node: Node, values: Values, kind: str) -> None:
    match node:
        case And(conditions) | Or(conditions):
            for condition in conditions:
                _check(condition, values, kind)
        case Not(condition):
            _check(condition, values, kind)
        case Compare(operator, left, right):
            _check_operands(operator, (left, right), values, kind)
            if operator not in ("=", "<>"):
                _check_ordered(operator, (left, right), values, kind)
        case Between(operand, low, high):
            _check_operands("BETWEEN", (operand, low, high), values, kind)
            _check_ordered("BETWEEN", (operand, low, high), values, kind)
            _check_bounds(low, high, values, kind)
        case In(operand, options):
            _check_operands("IN", (operand, *options), values, kind)
        case Function(name, operands):
            _check_test(name, operands, values, kind)
        case _:
            assert_never(node)


def _check_operands(operator: str, operands: tuple[Operand, ...], values: Values, kind: str) -> None:
    for operand in operands:
        check_size(operand, values, kind)
    first = operands[0]
    if isinstance(first, Path) and first in operands[1:]:
        raise invalid(
            kind,
            "The first operand must be distinct from the remaining operands for this operator or function; "
            f"operator: {operator}, first operand: {first}",
        )


def _check_ordered(operator: str, operands: tuple[Operand, ...], values: Values, kind: str) -> None:
    for operand in operands:
        check_literal(operand, values, ORDERED, kind, operator)


def _check_bounds(low: Operand, high: Operand, values: Values, kind: str) -> None:
    if not (isinstance(low, Value) and isinstance(high, Value)):
        return
    one, two = values[low.name], values[high.name]
    shown = f"lower bound operand: {_shown(one)}, upper bound operand: {_shown(two)}"
    if kind_of(one) != kind_of(two):
        raise invalid(
            kind, f"The BETWEEN operator requires same data type for lower and upper bounds; {shown}"
        )
    if (compare_values(one, two) or 0) > 0:
        raise invalid(
            kind,
            f"The BETWEEN operator requires upper bound to be greater than or equal to lower bound; {shown}",
        )


def _shown(value: AttributeValue) -> str:
    return f"AttributeValue: {{{kind_of(value)}:{value[kind_of(value)]}}}"


def _check_test(name: str, operands: tuple[Operand, ...], values: Values, kind: str) -> None:
    expected = 1 if name in ("attribute_exists", "attribute_not_exists") else 2
    if len(operands) != expected:
        wrong_count(kind, name, len(operands))
    if name in ("attribute_exists", "attribute_not_exists", "attribute_type"):
        check_path(operands[0], kind, name)
    if expected == 2:
        _check_operands(name, operands, values, kind)
    if name == "begins_with":
        for operand in operands:
            check_literal(operand, values, "S B", kind, name)
    if name == "attribute_type":
        _check_type_name(operands[1], values, kind)


def _check_type_name(operand: Operand, values: Values, kind: str) -> None:
    if not isinstance(operand, Value):
        wrong_operand(kind, "attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
    check_literal(operand, values, "S", kind, "attribute_type")
    found = values[operand.name]["S"]
    if found not in TYPES:
        raise invalid(
            kind, f"Invalid attribute type name found; type: {found}, valid types: {{{','.join(TYPES)}}}"
        )
