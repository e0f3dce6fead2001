"""What is wrong with an expression whatever the item: undefined placeholders, counts and types of operands.

Rules of this file: the texts and the order of AWS: condition by condition in the text; in each one what is
undefined, then the number of operands, then equal operands, then types. `values=None` leaves out what depends
on the placeholders' values. Called by condition.py, keys.py, update.py. Source: semantics §6.4.
"""

from collections.abc import Iterator
from typing import Final, Never

from tailrace.expressions.cursor import UPDATE_FUNCTIONS
from tailrace.expressions.nodes import (
    Action,
    Arithmetic,
    Between,
    Compare,
    FunctionCall,
    In,
    Leaf,
    Operand,
    Path,
    Value,
    operands_of,
)
from tailrace.expressions.operands import SIZED, Values, kind_of
from tailrace.expressions.tokens import invalid
from tailrace.values.canonical import compare_values
from tailrace.values.types import AttributeValue

TYPES: Final = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
ORDERED: Final = frozenset({"S", "N", "B"})
MEASURABLE: Final = frozenset(SIZED)
NUMBER: Final = frozenset({"N"})
LIST: Final = frozenset({"L"})
STRING: Final = frozenset({"S"})
PREFIXED: Final = frozenset({"S", "B"})
UPDATE: Final = "UpdateExpression"
SETS: Final = frozenset({"SS", "NS", "BS"})
SECTION_TYPES: Final = {"ADD": SETS | NUMBER, "DELETE": SETS}
OPERAND_COUNTS: Final = {"size": 1, "attribute_exists": 1, "attribute_not_exists": 1}
TYPE_NAMES: Final = {
    "S": "STRING", "N": "NUMBER", "B": "BINARY", "NULL": "NULL", "BOOL": "BOOLEAN", "L": "LIST", "M": "MAP",
    "SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET",
}  # fmt: skip
Literal = tuple[str, frozenset[str]]
"""The placeholder of a value, and the types that it may have."""


def within(thing: Leaf | Operand) -> Iterator[Leaf | Operand]:
    """Everything inside, what is deeper first, then the thing itself."""
    for inner in operands_of(thing):
        yield from within(inner)
    yield thing


def literals(thing: Leaf | Operand) -> Iterator[Literal]:
    """What the types of the placeholders in a condition, or in what SET puts, must be."""
    for part in within(thing):
        for _, operand, allowed in _expected(part):
            if isinstance(operand, Value):
                yield operand.name, allowed


def have_kinds(values: Values, wanted: tuple[Literal, ...]) -> bool:
    """Whether every placeholder has a type that fits; asked for every request."""
    for name, kinds in wanted:  # noqa: SIM110  # a generator costs more than the rest
        if kind_of(values[name]) not in kinds:
            return False
    return True


def _expected(thing: Leaf | Operand) -> Iterator[tuple[str, Operand, frozenset[str]]]:
    """Operator, operand and the types that the operand may have."""
    match thing:
        case Compare(operator, left, right) if operator not in ("=", "<>"):
            yield from ((operator, term, ORDERED) for term in (left, right))
        case Between(operand, low, high):
            yield from (("BETWEEN", term, ORDERED) for term in (operand, low, high))
        case Arithmetic(operator, left, right):
            yield from ((operator, term, NUMBER) for term in (left, right))
        case FunctionCall("begins_with" | "list_append" as name, operands):
            yield from (
                (name, argument, LIST if name == "list_append" else PREFIXED) for argument in operands
            )
        case FunctionCall("contains" | "size" as name, operands):
            yield name, operands[0], MEASURABLE
        case FunctionCall("attribute_type" as name, operands):
            yield name, operands[1], STRING


def _check_types(thing: Leaf | Operand, values: Values | None, kind: str) -> None:
    for operator, operand, allowed in _expected(thing):
        actual = _type_of(operand, values)
        if actual is not None and actual not in allowed:
            wrong_operand(kind, operator, actual)


def _type_of(operand: Operand, values: Values | None) -> str | None:
    """The type of an operand that has the same one for every item."""
    if isinstance(operand, Value):
        return None if values is None else kind_of(values[operand.name])
    return "N" if isinstance(operand, FunctionCall) and operand.name == "size" else None


# ---- placeholders ------------------------------------------------------------------------------------------


def undefined_name(name: str, kind: str) -> Never:
    """Raise the error for `#x` without a meaning."""
    reason = "An expression attribute name used in the document path is not defined; attribute name"
    raise invalid(kind, f"{reason}: {name}")


def undefined_value(name: str, kind: str) -> Never:
    """Raise the error for `:x` without a meaning."""
    reason = "An expression attribute value used in expression is not defined; attribute value"
    raise invalid(kind, f"{reason}: {name}")


# ---- conditions --------------------------------------------------------------------------------------------


def check_leaf(leaf: Leaf, values: Values | None, kind: str) -> None:
    """Refuse what is wrong with one condition, in AWS's order. Raises: ApiError."""
    things = list(within(leaf))
    for thing in things:
        if isinstance(thing, FunctionCall) and len(thing.operands) != OPERAND_COUNTS.get(thing.name, 2):
            wrong_count(kind, thing)
    _check_distinct(leaf, kind)
    for thing in things:
        if isinstance(thing, FunctionCall) and thing.name.startswith("attribute_"):
            _check_attribute_function(thing, values, kind)
        _check_types(thing, values, kind)
    if isinstance(leaf, Between) and values is not None:
        _check_bounds(leaf.low, leaf.high, values, kind)


def is_delicate(leaf: Leaf) -> bool:
    """Whether the values of its placeholders matter, beyond their types."""
    return isinstance(leaf, Between) or (isinstance(leaf, FunctionCall) and leaf.name == "attribute_type")


def _check_distinct(leaf: Leaf, kind: str) -> None:
    first, *rest = operands_of(leaf)
    if isinstance(first, Path) and first in rest:
        raise invalid(
            kind,
            "The first operand must be distinct from the remaining operands for this operator or function; "
            f"operator: {_operator_of(leaf)}, first operand: {first}",
        )


def _operator_of(leaf: Leaf) -> str:
    match leaf:
        case Compare(operator):
            return operator
        case Between():
            return "BETWEEN"
        case In():
            return "IN"
        case FunctionCall(name):
            return name


def _check_attribute_function(function: FunctionCall, values: Values | None, kind: str) -> None:
    of_type = function.name == "attribute_type"
    if not isinstance(function.operands[0], Path | Value if of_type else Path):
        needs_path(kind, function)
    if not of_type:
        return
    operand = function.operands[1]
    if isinstance(operand, Path):
        wrong_operand(kind, function.name, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
    if isinstance(operand, Value) and values is not None and "S" in (value := values[operand.name]):
        _check_type_name(value["S"], kind)


def _check_type_name(name: str, kind: str) -> None:
    if name not in TYPES:
        valid = ",".join(TYPES)
        raise invalid(kind, f"Invalid attribute type name found; type: {name}, valid types: {{{valid}}}")


def _check_bounds(low: Operand, high: Operand, values: Values, kind: str) -> None:
    if not (isinstance(low, Value) and isinstance(high, Value)):
        return
    one, two = values[low.name], values[high.name]
    shown = f"lower bound operand: {_shown(one)}, upper bound operand: {_shown(two)}"
    if kind_of(one) != kind_of(two):
        reason = "The BETWEEN operator requires same data type for lower and upper bounds"
        raise invalid(kind, f"{reason}; {shown}")
    if (compare_values(one, two) or 0) > 0:
        reason = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
        raise invalid(kind, f"{reason}; {shown}")


def _shown(value: AttributeValue) -> str:
    return f"AttributeValue: {{{kind_of(value)}:{value[kind_of(value)]}}}"


# ---- updates -----------------------------------------------------------------------------------------------


def check_action(action: Action, values: Values | None) -> None:
    """One action of an update. Raises: ApiError."""
    if action.section in SECTION_TYPES:
        if values is not None:
            _check_section(action, values)
    elif action.operand is not None:
        for thing in within(action.operand):
            if isinstance(thing, FunctionCall) and thing.name in UPDATE_FUNCTIONS:
                _check_update_function(thing)
            if not isinstance(thing, FunctionCall) or thing.name in UPDATE_FUNCTIONS:
                _check_types(thing, values, UPDATE)


def action_literals(action: Action) -> Iterator[Literal]:
    """What the types of the placeholders in an action must be."""
    operand = action.operand
    if action.section in SECTION_TYPES:
        assert isinstance(operand, Value)
        return iter([(operand.name, SECTION_TYPES[action.section])])
    return iter(()) if operand is None else literals(operand)


def _check_section(action: Action, values: Values) -> None:
    assert isinstance(action.operand, Value)
    kind = kind_of(values[action.operand.name])
    if kind not in SECTION_TYPES[action.section]:
        raise invalid(
            UPDATE,
            "Incorrect operand type for operator or function; "
            f"operator: {action.section}, operand type: {TYPE_NAMES[kind]}",
        )


def _check_update_function(function: FunctionCall) -> None:
    if len(function.operands) != 2:
        wrong_count(UPDATE, function)
    if function.name == "if_not_exists" and not isinstance(function.operands[0], Path):
        needs_path(UPDATE, function)


# ---- texts -------------------------------------------------------------------------------------------------


def wrong_count(kind: str, function: FunctionCall) -> Never:
    """Raise the error for a number of operands."""
    raise invalid(
        kind,
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function.name}, number of operands: {len(function.operands)}",
    )


def wrong_operand(kind: str, operator: str, type_name: str) -> Never:
    """Raise the error for an operand of a type that can never fit."""
    raise invalid(
        kind,
        "Incorrect operand type for operator or function; "
        f"operator or function: {operator}, operand type: {type_name}",
    )


def needs_path(kind: str, function: FunctionCall) -> Never:
    """Raise the error for a value where only a path has a meaning."""
    raise invalid(
        kind, f"Operator or function requires a document path; operator or function: {function.name}"
    )
