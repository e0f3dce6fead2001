"""The value of an operand on an item: nodes become functions, once, so that asking an item is one call.

Rules of this file: None is an absent value; an operand that does not apply is absent too, so that conditions
over it are false. Items are never changed. Called by condition.py and update.py. Source: semantics §6.4.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Final

from tailrace.errors import validation_error
from tailrace.expressions.nodes import Arithmetic, FunctionCall, Operand, Part, Path, Value
from tailrace.expressions.paths import value_at
from tailrace.values.canonical import add, subtract
from tailrace.values.types import AttributeValue, Item

Values = Mapping[str, AttributeValue]
Reader = Callable[[Item, Values], AttributeValue | None]
Maker = Callable[[Item, Values], AttributeValue]
WRONG_TYPE: Final = "An operand in the update expression has an incorrect data type"
ABSENT: Final = "The provided expression refers to an attribute that does not exist in the item"
SIZED: Final = ("S", "B", "SS", "NS", "BS", "L", "M")


def kind_of(value: AttributeValue) -> str:
    """The type of a value: S, N, B …"""
    return next(iter(value))


def told_kind(operand: Operand, values: Values) -> str | None:
    """The type that an operand has whatever the item, None where it depends on that."""
    match operand:
        case Value(name):
            return kind_of(values[name])
        case Arithmetic() | FunctionCall("size"):
            return "N"
        case FunctionCall("list_append"):
            return "L"
        case FunctionCall("if_not_exists", (_, otherwise)):
            return told_kind(otherwise, values)
        case _:
            return None


def reader(operand: Operand) -> Reader:
    """The function that reads an operand of a condition."""
    match operand:
        case Value(name):
            return lambda item, values: values[name]
        case Path((str(name),)):
            return lambda item, values: item.get(name)
        case Path(parts):
            return lambda item, values: value_at(item, parts)
        case FunctionCall(_, operands):
            inner = reader(operands[0])
            return lambda item, values: _size(inner(item, values))
        case Arithmetic():
            raise AssertionError("there is no arithmetic in a condition")


def _size(value: AttributeValue | None) -> AttributeValue | None:
    if value is None or (kind := kind_of(value)) not in SIZED:
        return None
    return {"N": str(len(b64decode(value["B"]) if kind == "B" else value[kind]))}


def maker(operand: Operand) -> Maker:
    """The function that makes what SET puts, from the item before the update; it raises ApiError."""
    match operand:
        case Value(name):
            return lambda item, values: values[name]
        case Path(parts):
            return _present(parts)
        case Arithmetic(operator, left, right):
            return _sum(add if operator == "+" else subtract, maker(left), maker(right))
        case FunctionCall("if_not_exists", (Path(parts), otherwise)):
            return _present_or(parts, maker(otherwise))
        case FunctionCall(_, (left, right)):
            return _appended(maker(left), maker(right))
        case FunctionCall():
            raise AssertionError("the operands were checked")


def _present(parts: tuple[Part, ...]) -> Maker:
    def make(item: Item, values: Values) -> AttributeValue:
        value = value_at(item, parts)
        if value is None:
            raise validation_error(ABSENT)
        return value

    return make


def _present_or(parts: tuple[Part, ...], otherwise: Maker) -> Maker:
    def make(item: Item, values: Values) -> AttributeValue:
        value = value_at(item, parts)
        return otherwise(item, values) if value is None else value

    return make


def _sum(combine: Callable[[str, str], str], left: Maker, right: Maker) -> Maker:
    def make(item: Item, values: Values) -> AttributeValue:
        one, two = left(item, values), right(item, values)
        if "N" not in one or "N" not in two:
            raise validation_error(WRONG_TYPE)
        return {"N": combine(one["N"], two["N"])}

    return make


def _appended(left: Maker, right: Maker) -> Maker:
    def make(item: Item, values: Values) -> AttributeValue:
        one, two = left(item, values), right(item, values)
        if "L" not in one or "L" not in two:
            raise validation_error(WRONG_TYPE)
        return {"L": [*one["L"], *two["L"]]}

    return make
