"""Nodes → text again, with placeholders of their own.

Rules of this file: every name becomes `#n0`, `#n1` …, every value `:v0`, `:v1` …, so that expressions that
were written apart can stand in one request; a text parses to the node that it was made of. Nothing is judged
here. Called by tables/merging.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, assert_never

from msgspec.structs import replace

from tailrace.expressions.nodes import (
    Action,
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
from tailrace.values.types import AttributeValue, Item

SECTIONS: Final = ("SET", "REMOVE", "ADD", "DELETE")


class Rendering:
    """The placeholders of one request, handed out as its expressions are written.

    Shape:   `names` and `values` are what the request is to give as ExpressionAttributeNames and -Values.
    """

    __slots__ = ("_given", "_name_of", "_value_of", "names", "values")

    def __init__(self, values: Mapping[str, AttributeValue]) -> None:
        self._given = values
        self._name_of: dict[str, str] = {}
        self._value_of: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.values: Item = {}

    def condition(self, node: Node) -> str:
        """The text of a condition.

        >>> Rendering({":x": {"N": "1"}}).condition(Not(Compare("<", Path(("a", 0, "b")), Value(":x"))))
        'NOT #n0[0].#n1 < :v0'
        """
        match node:
            case And(conditions):
                return " AND ".join(self._inside(condition, Or) for condition in conditions)
            case Or(conditions):
                return " OR ".join(map(self.condition, conditions))
            case Not(condition):
                return f"NOT {self._inside(condition, And | Or)}"
            case Compare(operator, left, right):
                return f"{self._operand(left)} {operator} {self._operand(right)}"
            case Between(operand, low, high):
                return f"{self._operand(operand)} BETWEEN {self._operand(low)} AND {self._operand(high)}"
            case In(operand, options):
                return f"{self._operand(operand)} IN ({', '.join(map(self._operand, options))})"
            case FunctionCall():
                return self._operand(node)
            case _:
                assert_never(node)

    def update(self, actions: Sequence[Action]) -> str:
        """The text of an update.

        >>> actions = [Action("ADD", Path(("a",)), Value(":x")), Action("REMOVE", Path(("b",)))]
        >>> Rendering({":x": {"N": "1"}}).update(actions)
        'REMOVE #n0 ADD #n1 :v0'
        """
        pieces = []
        for section in SECTIONS:
            written = [self._action(action) for action in actions if action.section == section]
            if written:
                pieces.append(f"{section} {', '.join(written)}")
        return " ".join(pieces)

    def _inside(self, node: Node, weaker: type | object) -> str:
        text = self.condition(node)
        return f"({text})" if isinstance(node, weaker) else text  # type: ignore[arg-type]  # a union of classes

    def _action(self, action: Action) -> str:
        path = self._operand(action.path)
        if action.operand is None:
            return path
        return f"{path}{' = ' if action.section == 'SET' else ' '}{self._operand(action.operand)}"

    def _operand(self, operand: Operand) -> str:
        match operand:
            case Path(parts):
                pieces = (f"[{part}]" if isinstance(part, int) else f".{self._name(part)}" for part in parts)
                return "".join(pieces)[1:]
            case Value(name):
                return self._value(name)
            case FunctionCall(name, operands):
                return f"{name}({', '.join(map(self._operand, operands))})"
            case Arithmetic(operator, left, right):
                return f"{self._operand(left)} {operator} {self._operand(right)}"
            case _:
                assert_never(operand)

    def _name(self, name: str) -> str:
        if name not in self._name_of:
            self._name_of[name] = f"#n{len(self._name_of)}"
            self.names[self._name_of[name]] = name
        return self._name_of[name]

    def _value(self, name: str) -> str:
        if name not in self._value_of:
            self._value_of[name] = f":v{len(self._value_of)}"
            self.values[self._value_of[name]] = self._given[name]
        return self._value_of[name]


def with_values(operand: Operand, rename: Callable[[str], str]) -> Operand:
    """An operand with other names for its values."""
    match operand:
        case Path():
            return operand
        case Value(name):
            return Value(rename(name))
        case FunctionCall(name, operands):
            return FunctionCall(name, tuple(with_values(operand, rename) for operand in operands))
        case Arithmetic(operator, left, right):
            return Arithmetic(operator, with_values(left, rename), with_values(right, rename))
        case _:
            assert_never(operand)


def condition_with_values(node: Node, rename: Callable[[str], str]) -> Node:
    """A condition with other names for its values."""
    match node:
        case And(conditions) | Or(conditions):
            return replace(
                node, conditions=tuple(condition_with_values(condition, rename) for condition in conditions)
            )
        case Not(condition):
            return Not(condition_with_values(condition, rename))
        case Compare(operator, left, right):
            return Compare(operator, with_values(left, rename), with_values(right, rename))
        case Between(operand, low, high):
            return Between(*(with_values(term, rename) for term in (operand, low, high)))
        case In(operand, options):
            return In(with_values(operand, rename), tuple(with_values(option, rename) for option in options))
        case FunctionCall(name, operands):
            return FunctionCall(name, tuple(with_values(operand, rename) for operand in operands))
        case _:
            assert_never(node)
