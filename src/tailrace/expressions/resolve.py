"""What an expression uses, and the same expression with real names in its paths.

Rules of this file: what depends on the text alone is found once per text; what depends on the names is found once per
text and names (the callers keep it). Source: semantics §6.4.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from tailrace.expressions.nodes import (
    Action,
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
)  # fmt: skip

AnyNode = Node | Operand | Action
N = TypeVar("N", bound=AnyNode)


class Uses(NamedTuple):
    """The placeholders of an expression, in the order of the text."""

    names: tuple[str, ...]
    values: tuple[str, ...]


def children(node: AnyNode) -> tuple[AnyNode, ...]:
    """The nodes directly inside a node."""
    match node:
        case Path() | Value():
            return ()
        case Function(_, operands):
            return operands
        case Arithmetic(_, left, right) | Compare(_, left, right):
            return (left, right)
        case Between(operand, low, high):
            return (operand, low, high)
        case In(operand, options):
            return (operand, *options)
        case Not(condition):
            return (condition,)
        case And(conditions) | Or(conditions):
            return conditions
        case Action(_, path, operand):
            return (path,) if operand is None else (path, operand)


def walk(node: AnyNode) -> Iterator[AnyNode]:
    """A node and everything inside it, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)


def uses(nodes: Iterable[AnyNode]) -> Uses:
    """What an expression uses."""
    found = [each for node in nodes for each in walk(node)]
    names = [part for each in found if isinstance(each, Path) for part in each.parts if isinstance(part, str)]
    values = [each.name for each in found if isinstance(each, Value)]
    return Uses(tuple(dict.fromkeys(n for n in names if n.startswith("#"))), tuple(dict.fromkeys(values)))


def resolve(node: N, names: Mapping[str, str]) -> N:
    """The node with the real names in its paths."""
    found: AnyNode
    match node:
        case Path(parts):
            found = Path(tuple(names.get(part, part) if isinstance(part, str) else part for part in parts))
        case Value():
            found = node
        case Function(name, operands):
            found = Function(name, _all(operands, names))
        case Arithmetic(operator, left, right):
            found = Arithmetic(operator, resolve(left, names), resolve(right, names))
        case Compare(operator, left, right):
            found = Compare(operator, resolve(left, names), resolve(right, names))
        case Between(operand, low, high):
            found = Between(resolve(operand, names), resolve(low, names), resolve(high, names))
        case In(operand, options):
            found = In(resolve(operand, names), _all(options, names))
        case Not(condition):
            found = Not(resolve(condition, names))
        case And(conditions):
            found = And(_all(conditions, names))
        case Or(conditions):
            found = Or(_all(conditions, names))
        case Action(section, path, operand):
            changed = None if operand is None else resolve(operand, names)
            found = Action(section, resolve(path, names), changed)
    return found  # type: ignore[return-value]  # each case gives back the kind of node that it took


def _all(nodes: tuple[N, ...], names: Mapping[str, str]) -> tuple[N, ...]:
    return tuple(resolve(node, names) for node in nodes)
