"""Key conditions: KeyConditionExpression.

Rules of this file: exactly the conditions a key allows: equality of the partition key, and at most one condition of the
sort key. Types are checked by the caller, who knows the schema. Called by the Query operation. Source: semantics §6.6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Never

from tailrace.errors import validation_error
from tailrace.expressions.condition import bind
from tailrace.expressions.nodes import (
    And,
    Arithmetic,
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
from tailrace.expressions.operands import Values
from tailrace.expressions.placeholders import Placeholders
from tailrace.values.types import AttributeValue

KIND: Final = "KeyConditionExpression"
FLIPPED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class SortCondition:
    """A condition of the sort key. Shape: operator is = < <= > >= BETWEEN or begins_with; only BETWEEN has a `high`."""

    operator: str
    low: AttributeValue
    high: AttributeValue | None = None


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """The partition key's value, and a condition of the sort key or none."""

    partition: AttributeValue
    sort: SortCondition | None = None


def parse_key_condition(
    text: str, placeholders: Placeholders, hash_name: str, range_name: str | None
) -> KeyCondition:
    """A key condition from its text. Raises: ApiError.

    >>> values = {":p": {"S": "a"}, ":s": {"N": "1"}}
    >>> parse_key_condition("pk = :p AND :s < sk", Placeholders(None, values), "pk", "sk").sort
    SortCondition(operator='>', low={'N': '1'}, high=None)
    """
    node = bind(text, placeholders, KIND).parsed.node
    parts = node.conditions if isinstance(node, And) else (node,)
    return match_keys(parts, placeholders.values, hash_name, range_name)


def match_keys(parts: Sequence[Node], values: Values, hash_name: str, range_name: str | None) -> KeyCondition:
    """Conditions that must all hold, matched with the keys. Raises: ApiError."""
    found: dict[str, SortCondition] = {}
    for part in parts:
        name, condition = _one(part, values)
        if name in found:
            raise validation_error("KeyConditionExpressions must only contain one condition per key")
        found[name] = condition
    if len(found) > 2:
        raise validation_error("Conditions can be of length 1 or 2 only")
    return _matched(found, hash_name, range_name)


def _matched(found: dict[str, SortCondition], hash_name: str, range_name: str | None) -> KeyCondition:
    if hash_name not in found:
        raise validation_error(f"Query condition missed key schema element: {hash_name}")
    partition = found.pop(hash_name)
    if found and (range_name is None or range_name not in found):
        raise validation_error(
            f"Query condition missed key schema element: {range_name}"
            if range_name is not None
            else "Query key condition not supported"
        )
    if partition.operator != "=":
        raise validation_error("Query key condition not supported")
    return KeyCondition(partition.low, next(iter(found.values()), None))


def _bad_operator(name: str) -> Never:
    raise validation_error(f"Invalid operator used in {KIND}: {name}")


def _bad_condition(reason: str) -> Never:
    raise validation_error(f"Invalid condition in {KIND}: {reason}")


def _one(node: Node, values: Values) -> tuple[str, SortCondition]:
    match node:
        case Or():
            _bad_operator("OR")
        case Not():
            _bad_operator("NOT")
        case In():
            _bad_operator("IN")
        case Compare("<>", _, _):
            _bad_operator("<>")
        case Function(name) if name != "begins_with":
            _bad_operator(name)
        case Function(_, operands):
            return _name(operands), SortCondition("begins_with", _value(operands[1], values))
        case Between(operand, low, high):
            if not isinstance(operand, Path):
                _bad_condition("BETWEEN operator must have the key attribute as its first operand")
            return _name((operand, low, high)), SortCondition(
                "BETWEEN", _value(low, values), _value(high, values)
            )
        case Compare(operator, left, right):
            name = _name((left, right))
            if isinstance(left, Path):
                return name, SortCondition(operator, _value(right, values))
            return name, SortCondition(FLIPPED[operator], _value(left, values))
        case And():
            raise AssertionError("an And holds no And")


def _name(operands: tuple[Operand, ...]) -> str:
    """The one attribute of a condition. Raises: ApiError."""
    if any(isinstance(operand, Function | Arithmetic) for operand in operands):
        raise validation_error("KeyConditionExpressions cannot contain nested operations")
    paths = [operand for operand in operands if isinstance(operand, Path)]
    if not paths:
        _bad_condition("No key attribute specified")
    if len(paths) > 1:
        _bad_condition("Multiple attribute names used in one condition")
    if len(paths[0].parts) > 1:
        raise validation_error("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(paths[0].parts[0])


def _value(operand: Operand, values: Values) -> AttributeValue:
    if not isinstance(operand, Value):
        _bad_condition("Multiple attribute names used in one condition")
    return values[operand.name]
