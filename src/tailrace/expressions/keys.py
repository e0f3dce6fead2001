"""Key conditions: KeyConditionExpression.

Rules of this file: exactly the conditions a key allows: equality of the partition key, and at most one condition of the
sort key. A key of several attributes (of a global index) wants equality of every hash attribute, and conditions of the
range attributes from the left, of which only the last may be another than equality. Types are checked by the caller, who
knows the schema. Called by the Query operation. Source: semantics §6.6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Never

from tailrace.errors import ApiError, validation_error
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
    """The partition key's value, and a condition of the sort key or none.

    Shape:   for a key of several attributes `further` are the values of the other hash attributes, and `leading` those of
             the range attributes before the one that `sort` is about.
    """

    partition: AttributeValue
    sort: SortCondition | None = None
    further: tuple[AttributeValue, ...] = ()
    leading: tuple[AttributeValue, ...] = ()


def parse_key_condition(
    text: str, placeholders: Placeholders, hash_names: tuple[str, ...], range_names: tuple[str, ...]
) -> KeyCondition:
    """A key condition from its text. Raises: ApiError.

    >>> values = {":p": {"S": "a"}, ":s": {"N": "1"}}
    >>> parse_key_condition("pk = :p AND :s < sk", Placeholders(None, values), ("pk",), ("sk",)).sort
    SortCondition(operator='>', low={'N': '1'}, high=None)
    """
    node = bind(text, placeholders, KIND).parsed.node
    parts = node.conditions if isinstance(node, And) else (node,)
    return match_keys(parts, placeholders.values, hash_names, range_names)


def match_keys(
    parts: Sequence[Node], values: Values, hash_names: tuple[str, ...], range_names: tuple[str, ...]
) -> KeyCondition:
    """Conditions that must all hold, matched with the keys. Raises: ApiError."""
    found: dict[str, SortCondition] = {}
    for part in parts:
        name, condition = _one(part, values)
        if name in found:
            raise validation_error("KeyConditionExpressions must only contain one condition per key")
        found[name] = condition
    return _matched(found, hash_names, range_names)


def _matched(
    conditions: Mapping[str, SortCondition], hash_names: tuple[str, ...], range_names: tuple[str, ...]
) -> KeyCondition:
    """Conditions by attribute, fitted to a key. Raises: ApiError."""
    if len(conditions) > max(2, len(hash_names) + len(range_names)):
        raise validation_error("Conditions can be of length 1 or 2 only")
    for name in hash_names:
        if name not in conditions:
            raise _missed(name)
    others = [name for name in conditions if name not in hash_names]
    last = -1
    for place, name in enumerate(range_names):
        last = place if name in conditions else last
    chosen = range_names[: last + 1]
    for name in chosen or range_names[:1]:
        if others and name not in conditions:
            raise _missed(name)
    hashes, ranges = [conditions[name] for name in hash_names], [conditions[name] for name in chosen]
    if len(others) > len(chosen) or any(one.operator != "=" for one in (*hashes, *ranges[:-1])):
        raise validation_error("Query key condition not supported")
    partition, *further = [one.low for one in hashes]
    leading = tuple([one.low for one in ranges[:-1]])
    return KeyCondition(partition, ranges[-1] if ranges else None, tuple(further), leading)


def _missed(name: str) -> ApiError:
    return validation_error(f"Query condition missed key schema element: {name}")


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
