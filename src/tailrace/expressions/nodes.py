"""What an expression is, once it is parsed: frozen nodes.

Rules of this file: shapes only. A path holds real names, or `#x` where the parser was not told what stands
behind it; values stay `:x` for ever and are looked up when the expression is evaluated. Made by parser.py and
legacy.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from msgspec import Struct

Part: TypeAlias = str | int


class Path(Struct, frozen=True):
    """A document path. Shape: names and indexes, e.g. ("a", 0, "b")."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        pieces = (f"[{part}]" if isinstance(part, int) else part for part in self.parts)
        return f"[{', '.join(pieces)}]"


class Value(Struct, frozen=True):
    """A placeholder of a value, `:x`."""

    name: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function and its operands."""

    name: str
    operands: tuple["Operand", ...]


class Arithmetic(Struct, frozen=True):
    """left + right, or left - right."""

    operator: str
    left: "Operand"
    right: "Operand"


Operand: TypeAlias = Path | Value | FunctionCall | Arithmetic


class Compare(Struct, frozen=True):
    """left = right, and its five sisters."""

    operator: str
    left: Operand
    right: Operand


class Between(Struct, frozen=True):
    """operand BETWEEN low AND high."""

    operand: Operand
    low: Operand
    high: Operand


class In(Struct, frozen=True):
    """operand IN (options)."""

    operand: Operand
    options: tuple[Operand, ...]


class Not(Struct, frozen=True):
    """NOT condition."""

    condition: "Node"


class And(Struct, frozen=True):
    """All of them; none of them is itself an And."""

    conditions: tuple["Node", ...]


class Or(Struct, frozen=True):
    """Any of them; none of them is itself an Or."""

    conditions: tuple["Node", ...]


Leaf: TypeAlias = Compare | Between | In | FunctionCall
Node: TypeAlias = Leaf | Not | And | Or


class Action(Struct, frozen=True):
    """One action of an update expression. Shape: section is SET, REMOVE, ADD or DELETE; REMOVE has no
    operand.
    """

    section: str
    path: Path
    operand: Operand | None = None


class ParsedCondition(Struct, frozen=True):
    """A condition's node, its leaves in the order of the text, the placeholders that it uses, and the names
    that its paths begin with; `nested_names` are those of paths that go into something.
    """

    node: Node
    leaves: tuple[Leaf, ...]
    names: tuple[str, ...]
    values: tuple[str, ...]
    top_level_names: frozenset[str]
    nested_names: frozenset[str] = frozenset()


class ParsedUpdate(Struct, frozen=True):
    """An update's actions in the order of the text, the placeholders that it uses, and what is wrong with a
    function.
    """

    actions: tuple[Action, ...]
    names: tuple[str, ...]
    values: tuple[str, ...]
    misuse: str | None = None


class ParsedProjection(Struct, frozen=True):
    """A projection's paths, and the names that it uses."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]


def operands_of(leaf: Leaf | Operand) -> tuple[Operand, ...]:
    """The operands directly inside a leaf or an operand, in the order of the text."""
    match leaf:
        case Path() | Value():
            return ()
        case FunctionCall(_, operands):
            return operands
        case Compare(_, left, right) | Arithmetic(_, left, right):
            return (left, right)
        case Between(operand, low, high):
            return (operand, low, high)
        case In(operand, options):
            return (operand, *options)


def nested_heads(paths: Iterable[Path]) -> frozenset[str]:
    """The top-level names of those paths that go into something."""
    return frozenset(str(path.parts[0]) for path in paths if len(path.parts) > 1)


def paths_of(node: Node | Operand) -> Iterator[Path]:
    """Every path of a condition or an operand, in the order of the text."""
    match node:
        case And(conditions) | Or(conditions):
            inner: tuple[Node | Operand, ...] = conditions
        case Not(condition):
            inner = (condition,)
        case Path():
            yield node
            return
        case _:
            inner = operands_of(node)
    for child in inner:
        yield from paths_of(child)


def operators_of(node: Node) -> int:
    """How many operators there are to judge.

    >>> operators_of(Not(In(Path(("a",)), (Value(":a"), Value(":b")))))
    2
    """
    match node:
        case And(conditions) | Or(conditions):
            return sum(map(operators_of, conditions))
        case Not(condition):
            return operators_of(condition)
        case In(_, options):
            return len(options)
        case Between():
            return 2
        case _:
            return 1
