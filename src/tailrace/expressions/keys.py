"""Key conditions: KeyConditionExpression.

Rules of this file: exactly the conditions a key allows: equality of the partition key, and at most one
condition of the sort key. A key of several attributes (of a global index) wants equality of every hash
attribute, and conditions of the range attributes from the left, of which only the last may be another than
equality. Types are checked by the caller, who knows the schema. Called by the Query operation. Source:
semantics §6.6.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Never

import msgspec
from msgspec import Struct

from tailrace.errors import ApiError, validation_error
from tailrace.expressions.condition import bind
from tailrace.expressions.kept import kept
from tailrace.expressions.nodes import (
    And,
    Arithmetic,
    Between,
    Compare,
    FunctionCall,
    In,
    Node,
    Not,
    Operand,
    Or,
    Path,
    Value,
)
from tailrace.expressions.operands import Values
from tailrace.expressions.parser import Names, parse_condition_text
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.tokens import invalid
from tailrace.values.types import AttributeValue

KIND: Final = "KeyConditionExpression"
FLIPPED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class SortCondition(msgspec.Struct, frozen=True, gc=False):
    """A condition of the sort key. Shape: operator is = < <= > >= BETWEEN or begins_with; only BETWEEN has a
    `high`.
    """

    operator: str
    low: AttributeValue
    high: AttributeValue | None = None


class KeyCondition(msgspec.Struct, frozen=True, gc=False):
    """The partition key's value, and a condition of the sort key or none.

    Shape:   for a key of several attributes `further` are the values of the other hash attributes, and
             `leading` those of the range attributes before the one that `sort` is about.
    """

    partition: AttributeValue
    sort: SortCondition | None = None
    further: tuple[AttributeValue, ...] = ()
    leading: tuple[AttributeValue, ...] = ()


class One(Struct, frozen=True):
    """A condition of one attribute, with the names of its values."""

    operator: str
    low: str
    high: str | None = None


class KeyPlan(Struct, frozen=True):
    """A key condition without its values: what a text means for one key, worked out once."""

    partition: str
    sort: One | None
    further: tuple[str, ...]
    leading: tuple[str, ...]

    def bind(self, values: Values) -> KeyCondition:
        """The condition with these values, which are all there."""
        partition, one = values[self.partition], self.sort
        sort = None
        if one is not None:
            high = None if one.high is None else values[one.high]
            sort = SortCondition(one.operator, values[one.low], high)
        if not (self.further or self.leading):
            return KeyCondition(partition, sort)
        further, leading = ([values[name] for name in names] for names in (self.further, self.leading))
        return KeyCondition(partition, sort, tuple(further), tuple(leading))


def parse_key_condition(
    text: str, placeholders: Placeholders, hash_names: tuple[str, ...], range_names: tuple[str, ...]
) -> KeyCondition:
    """A key condition from its text. Raises: ApiError.

    >>> values = {":p": {"S": "a"}, ":s": {"N": "1"}}
    >>> parse_key_condition("pk = :p AND :s < sk", Placeholders(None, values), ("pk",), ("sk",)).sort
    SortCondition(operator='>', low={'N': '1'}, high=None)
    """
    names = bind(text, placeholders, KIND).parsed.names
    chosen = placeholders.chosen(names) if names else ()
    return _plan(text, chosen, hash_names, range_names).bind(placeholders.values)


@kept
def _plan(text: str, names: Names, hash_names: tuple[str, ...], range_names: tuple[str, ...]) -> KeyPlan:
    node = parse_condition_text(text, KIND, names).node
    return match_keys(node.conditions if isinstance(node, And) else (node,), hash_names, range_names)


def check_key_condition(text: str, placeholders: Placeholders) -> None:
    """What is wrong with a key condition whatever the key; its placeholders are all defined. Raises:
    ApiError.
    """
    names = placeholders.chosen(parse_condition_text(text, KIND).names)
    node = parse_condition_text(text, KIND, names).node
    _by_name(node.conditions if isinstance(node, And) else (node,))


def match_keys(parts: Sequence[Node], hash_names: tuple[str, ...], range_names: tuple[str, ...]) -> KeyPlan:
    """Conditions that must all hold, matched with the keys. Raises: ApiError."""
    return _matched(_by_name(parts), hash_names, range_names)


def _by_name(parts: Sequence[Node]) -> dict[str, One]:
    conditions: dict[str, One] = {}
    for part in parts:
        name, condition = _one(part)
        if name in conditions:
            raise invalid(KIND, "KeyConditionExpressions must only contain one condition per key")
        conditions[name] = condition
    return conditions


def _matched(
    conditions: Mapping[str, One], hash_names: tuple[str, ...], range_names: tuple[str, ...]
) -> KeyPlan:
    """Conditions by attribute, fitted to a key. Raises: ApiError."""
    attributes = len(hash_names) + len(range_names)
    if len(conditions) > max(2, attributes):
        raise validation_error(
            f"The number of query conditions ({len(conditions)}) exceeds the number of key "
            "attributes defined in "
            f"the schema ({attributes})"
        )
    for name in hash_names:
        if name not in conditions:
            raise _missed(name)
    others = [name for name in conditions if name not in hash_names]
    last = -1
    for place, name in enumerate(range_names):
        last = place if name in conditions else last
    chosen = range_names[: last + 1]
    if others and range_names and not chosen:
        raise _missed(range_names[0])
    gaps = [name for name in chosen[:-1] if name not in conditions or conditions[name].operator != "="]
    if gaps:
        raise validation_error(
            f"RANGE key attributes {', '.join(gaps)} must have equality conditions specified in the "
            "query because "
            f"a condition is present on key attribute {chosen[-1]}"
        )
    hashes, ranges = [conditions[name] for name in hash_names], [conditions[name] for name in chosen]
    if len(others) > len(chosen) or any(condition.operator != "=" for condition in hashes):
        raise validation_error("Query key condition not supported")
    partition, *further = [condition.low for condition in hashes]
    leading = tuple([condition.low for condition in ranges[:-1]])
    return KeyPlan(partition, ranges[-1] if ranges else None, tuple(further), leading)


def _missed(name: str) -> ApiError:
    return validation_error(f"Query condition missed key schema element: {name}")


def _bad_operator(name: str) -> Never:
    raise validation_error(f"Invalid operator used in {KIND}: {name}")


def _bad_condition(reason: str) -> Never:
    raise validation_error(f"Invalid condition in {KIND}: {reason}")


def _one(node: Node) -> tuple[str, One]:
    match node:
        case Or():
            _bad_operator("OR")
        case Not():
            _bad_operator("NOT")
        case In():
            _bad_operator("IN")
        case Compare("<>", _, _):
            _bad_operator("<>")
        case FunctionCall(name) if name != "begins_with":
            _bad_operator(name)
        case FunctionCall(_, operands):
            _require_path(operands[0], "begins_with")
            return _name(operands), One("begins_with", _value(operands[1]))
        case Between(operand, low, high):
            _require_path(operand, "BETWEEN")
            return _name((operand, low, high)), One("BETWEEN", _value(low), _value(high))
        case Compare(operator, left, right):
            name = _name((left, right))
            if isinstance(left, Path):
                return name, One(operator, _value(right))
            return name, One(FLIPPED[operator], _value(left))
        case And():
            raise AssertionError("an And holds no And")


def _require_path(operand: Operand, operator: str) -> None:
    if not isinstance(operand, Path):
        _bad_condition(f"{operator} operator must have the key attribute as its first operand")


def _name(operands: tuple[Operand, ...]) -> str:
    """The one attribute of a condition. Raises: ApiError."""
    if any(isinstance(operand, FunctionCall | Arithmetic) for operand in operands):
        raise validation_error("KeyConditionExpressions cannot contain nested operations")
    paths = [operand for operand in operands if isinstance(operand, Path)]
    if not paths:
        _bad_condition("No key attribute specified")
    if len(paths) > 1:
        _bad_condition("Multiple attribute names used in one condition")
    if len(paths[0].parts) > 1:
        raise validation_error("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(paths[0].parts[0])


def _value(operand: Operand) -> str:
    if not isinstance(operand, Value):
        _bad_condition("Multiple attribute names used in one condition")
    return operand.name
