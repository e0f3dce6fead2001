"""Conditions: ConditionExpression and FilterExpression.

Rules of this file: values of different types are never equal and never ordered; what is absent fails every
comparison but the functions of existence, except `<>`, which holds. A text becomes functions once for each
choice of names; binding values to them is cheap. Called by tables.mutate, engine.query and keys.py. Source:
semantics §6.4.
"""

import operator
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Never, assert_never

import msgspec

from tailrace.errors import ApiError
from tailrace.expressions.checks import (
    Literal,
    check_leaf,
    have_kinds,
    is_delicate,
    literals,
    undefined_name,
    undefined_value,
    within,
)
from tailrace.expressions.kept import kept
from tailrace.expressions.nodes import (
    And,
    Between,
    Compare,
    FunctionCall,
    In,
    Node,
    Not,
    Or,
    ParsedCondition,
    Path,
    Value,
    operators_of,
    paths_of,
)
from tailrace.expressions.operands import Reader, Values, kind_of, reader
from tailrace.expressions.parser import Names, parse_condition_text
from tailrace.expressions.placeholders import Placeholders
from tailrace.values.canonical import compare_values
from tailrace.values.types import AttributeValue, Item

Test = Callable[[Item, Values], bool]
RELATIONS: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class PreparedCondition:
    """A condition without its values. Shape: `is_doubtful` says that its checks look at more than types."""

    parsed: ParsedCondition
    test: Test
    literals: tuple[Literal, ...]
    is_doubtful: bool
    operators: int = 0
    """How many there are to judge."""


class Condition(msgspec.Struct, frozen=True, gc=False):
    """A condition that is ready to be asked.

    Shape:   `values` stand behind its placeholders; `member` is the parameter that stated it.
    """

    prepared: PreparedCondition
    values: Mapping[str, AttributeValue]
    member: str = "ConditionExpression"

    def matches(self, item: Item) -> bool:
        """Whether it holds for an item; an absent item is `{}`."""
        return self.prepared.test(item, self.values)

    def attribute_names(self) -> frozenset[str]:
        """The top-level names of all of its paths."""
        return self.prepared.parsed.top_level_names

    def nested_names(self) -> frozenset[str]:
        """The top-level names of those of its paths that go into something."""
        return self.prepared.parsed.nested_names


def parse_condition(text: str, placeholders: Placeholders, kind: str = "ConditionExpression") -> Condition:
    """A condition from its text. Raises: ApiError.

    >>> values = {":one": {"N": "1"}}
    >>> parse_condition("n > :one", Placeholders(None, values)).matches({"n": {"N": "2"}})
    True
    """
    return Condition(bind(text, placeholders, kind), placeholders.values, kind)


def condition_of(node: Node, values: Mapping[str, AttributeValue], member: str) -> Condition:
    """A condition that no text stands for. Its operands are checked already."""
    names = frozenset(str(path.parts[0]) for path in paths_of(node))
    return Condition(
        PreparedCondition(
            ParsedCondition(node, (), (), (), names), test_of(node), (), False, operators_of(node)
        ),
        values,
        member,
    )


# ---- binding placeholders ----------------------------------------------------------------------------------


def bind(text: str, placeholders: Placeholders, kind: str) -> PreparedCondition:
    """The condition with real names, checked with these values; its placeholders are noted as used. Raises:
    ApiError.
    """
    prepared = _prepared(text, kind)
    parsed = prepared.parsed
    if not placeholders.use(parsed.names, parsed.values):
        _refuse(text, placeholders, kind)
    if parsed.names:
        prepared = _prepared(text, kind, placeholders.chosen(parsed.names))
    values = placeholders.values
    if prepared.is_doubtful or not have_kinds(values, prepared.literals):
        for leaf in prepared.parsed.leaves:
            check_leaf(leaf, values, kind)
    return prepared


@kept
def _prepared(text: str, kind: str, names: Names = ()) -> PreparedCondition:
    parsed = parse_condition_text(text, kind, names)
    try:
        for leaf in parsed.leaves:
            check_leaf(leaf, None, kind)
    except ApiError:  # it is raised again by `bind`, in its place among what depends on the values
        return PreparedCondition(parsed, _never, (), True)
    wanted = tuple(literal for leaf in parsed.leaves for literal in literals(leaf))
    is_doubtful = any(map(is_delicate, parsed.leaves))
    return PreparedCondition(parsed, test_of(parsed.node), wanted, is_doubtful, operators_of(parsed.node))


def _never(item: Item, values: Values) -> Never:
    raise AssertionError("this condition was refused")


def _refuse(text: str, placeholders: Placeholders, kind: str) -> Never:
    """Raise the first error, condition by condition: something is not defined."""
    written = parse_condition_text(text, kind)
    named = parse_condition_text(text, kind, placeholders.chosen(written.names))
    for leaf, checked in zip(written.leaves, named.leaves, strict=True):
        for node in within(leaf):
            if isinstance(node, Value) and node.name not in placeholders.values:
                undefined_value(node.name, kind)
            for part in node.parts if isinstance(node, Path) else ():
                if isinstance(part, str) and part.startswith("#") and part not in placeholders.names:
                    undefined_name(part, kind)
        check_leaf(checked, placeholders.values, kind)
    raise AssertionError("something was not defined")


# ---- from nodes to functions -------------------------------------------------------------------------------


def test_of(node: Node) -> Test:
    """The function that judges an item by a node."""
    match node:
        case Compare("=", left, right):
            return _equal(reader(left), reader(right))
        case Compare("<>", left, right):
            return _unequal(reader(left), reader(right))
        case Compare(sign, left, right):
            return _ordered(RELATIONS[sign], reader(left), reader(right))
        case And(conditions):
            return _all(tuple(map(test_of, conditions)))
        case Or(conditions):
            return _any(tuple(map(test_of, conditions)))
        case Not(condition):
            return _not(test_of(condition))
        case Between(operand, low, high):
            value = reader(operand)
            return _all(
                (_ordered(operator.ge, value, reader(low)), _ordered(operator.le, value, reader(high)))
            )
        case In(operand, options):
            return _one_of(reader(operand), tuple(map(reader, options)))
        case FunctionCall(name, operands):
            return _function(name, tuple(map(reader, operands)))
        case _:
            assert_never(node)


def _equal(left: Reader, right: Reader) -> Test:
    def test(item: Item, values: Values) -> bool:
        value = left(item, values)
        return value is not None and value == right(item, values)

    return test


def _unequal(left: Reader, right: Reader) -> Test:
    def test(item: Item, values: Values) -> bool:
        value = left(item, values)
        return value is None or value != right(item, values)

    return test


def _ordered(relation: Callable[[int, int], bool], left: Reader, right: Reader) -> Test:
    def test(item: Item, values: Values) -> bool:
        one, two = left(item, values), right(item, values)
        if one is None or two is None:
            return False
        order = compare_values(one, two)
        return order is not None and relation(order, 0)

    return test


def _all(tests: tuple[Test, ...]) -> Test:
    def test(item: Item, values: Values) -> bool:
        for inner in tests:  # noqa: SIM110  # no generator: conditions may be deep, and this is hot
            if not inner(item, values):
                return False
        return True

    return test


def _any(tests: tuple[Test, ...]) -> Test:
    def test(item: Item, values: Values) -> bool:
        for inner in tests:  # noqa: SIM110  # as above
            if inner(item, values):
                return True
        return False

    return test


def _not(inner: Test) -> Test:
    return lambda item, values: not inner(item, values)


def _one_of(operand: Reader, options: tuple[Reader, ...]) -> Test:
    def test(item: Item, values: Values) -> bool:
        value = operand(item, values)
        return value is not None and any(value == option(item, values) for option in options)

    return test


def _function(name: str, operands: tuple[Reader, ...]) -> Test:
    first = operands[0]
    if name == "attribute_exists":
        return lambda item, values: first(item, values) is not None
    if name == "attribute_not_exists":
        return lambda item, values: first(item, values) is None
    relation, second = FUNCTIONS[name], operands[1]

    def test(item: Item, values: Values) -> bool:
        one, two = first(item, values), second(item, values)
        return one is not None and two is not None and relation(one, two)

    return test


def _has_type(value: AttributeValue, name: AttributeValue) -> bool:
    return kind_of(value) == name.get("S")


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


FUNCTIONS: Final = {"attribute_type": _has_type, "begins_with": _begins_with, "contains": _contains}
