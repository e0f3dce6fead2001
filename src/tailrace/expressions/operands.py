"""The value of an operand on an item, and what can be said about operands before any item is seen.

Rules of this file: None is an absent value; an operand that does not apply is absent too, so that conditions over it are false.
Source: semantics §6.4.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Final, Never

from tailrace.errors import validation_error
from tailrace.expressions.nodes import Arithmetic, Function, Operand, Path, Value
from tailrace.expressions.paths import value_at
from tailrace.expressions.tokens import invalid
from tailrace.values.number import add, subtract
from tailrace.values.types import AttributeValue, Item

Values = Mapping[str, AttributeValue]
WRONG_TYPE: Final = "An operand in the update expression has an incorrect data type"
ABSENT: Final = "The provided expression refers to an attribute that does not exist in the item"


def kind_of(value: AttributeValue) -> str:
    """The type of a value: S, N, B …"""
    return next(iter(value))


def evaluate(operand: Operand, item: Item, values: Values) -> AttributeValue | None:
    """The value of an operand in a condition."""
    match operand:
        case Value(name):
            return values[name]
        case Path(parts):
            return item.get(parts[0]) if len(parts) == 1 else value_at(item, parts)  # type: ignore[arg-type]
        case Function(_, operands):
            return _size(evaluate(operands[0], item, values))
        case Arithmetic():
            raise AssertionError("there is no arithmetic in a condition")


def _size(value: AttributeValue | None) -> AttributeValue | None:
    if value is None:
        return None
    kind = kind_of(value)
    if kind == "B":
        return {"N": str(len(b64decode(value["B"])))}
    if kind in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(len(value[kind]))}


def evaluate_new(operand: Operand, item: Item, values: Values) -> AttributeValue:
    """The value of the right-hand side of SET, on the item before the update. Raises: ApiError."""
    match operand:
        case Value(name):
            return values[name]
        case Path(parts):
            value = value_at(item, parts)
            if value is None:
                raise validation_error(ABSENT)
            return value
        case Arithmetic(operator, left, right):
            one, two = evaluate_new(left, item, values), evaluate_new(right, item, values)
            if "N" not in one or "N" not in two:
                raise validation_error(WRONG_TYPE)
            return {"N": (add if operator == "+" else subtract)(one["N"], two["N"])}
        case Function("if_not_exists", (Path(parts), otherwise)):
            value = value_at(item, parts)
            return value if value is not None else evaluate_new(otherwise, item, values)
        case Function(_, (left, right)):
            one, two = evaluate_new(left, item, values), evaluate_new(right, item, values)
            if "L" not in one or "L" not in two:
                raise validation_error(WRONG_TYPE)
            return {"L": [*one["L"], *two["L"]]}
        case Function():
            raise AssertionError("the number of operands was checked")


# ---- what is wrong whatever the item ------------------------------------------------------------------------------------


def wrong_count(kind: str, name: str, count: int) -> Never:
    """Raise the error for a number of operands."""
    raise invalid(
        kind,
        f"Incorrect number of operands for operator or function; operator or function: {name}, "
        f"number of operands: {count}",
    )


def wrong_operand(kind: str, name: str, type_name: str) -> Never:
    """Raise the error for a literal operand of a type that can never fit."""
    raise invalid(
        kind,
        f"Incorrect operand type for operator or function; operator or function: {name}, operand type: {type_name}",
    )


def check_literal(operand: Operand, values: Values, allowed: str, kind: str, name: str) -> None:
    """Raises: ApiError when the operand is a placeholder whose type is not among `allowed` (words)."""
    if isinstance(operand, Value) and kind_of(values[operand.name]) not in allowed.split():
        wrong_operand(kind, name, kind_of(values[operand.name]))


def check_path(operand: Operand, kind: str, name: str) -> None:
    """Raises: ApiError when the operand is no document path."""
    if not isinstance(operand, Path):
        raise invalid(kind, f"Operator or function requires a document path; operator or function: {name}")


def check_size(operand: Operand, values: Values, kind: str) -> None:
    """Raises: ApiError for a size of something that has none."""
    if isinstance(operand, Function) and operand.name == "size":
        if len(operand.operands) != 1:
            wrong_count(kind, "size", len(operand.operands))
        check_literal(operand.operands[0], values, "S B SS NS BS L M", kind, "size")
