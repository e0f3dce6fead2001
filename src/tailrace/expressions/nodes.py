"""What an expression is, once it is parsed: frozen nodes.

Rules of this file: shapes only. A path keeps names as they were written, `#x` included, until `resolve` puts the real names in;
values stay `:x` for ever and are looked up when the expression is evaluated.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Path:
    """A document path. Shape: names and indexes, e.g. ("a", 0, "b")."""

    parts: tuple[str | int, ...]

    def __str__(self) -> str:
        pieces = (f"[{part}]" if isinstance(part, int) else part for part in self.parts)
        return f"[{', '.join(pieces)}]"


@dataclass(frozen=True, slots=True)
class Value:
    """A placeholder of a value, `:x`."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function and its operands."""

    name: str
    operands: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """left + right, or left - right."""

    operator: str
    left: "Operand"
    right: "Operand"


Operand: TypeAlias = Path | Value | Function | Arithmetic


@dataclass(frozen=True, slots=True)
class Compare:
    """left = right, and its five sisters."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """operand BETWEEN low AND high."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """operand IN (options)."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """NOT condition."""

    condition: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    conditions: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    conditions: tuple["Node", ...]


Node: TypeAlias = Compare | Between | In | Not | And | Or | Function


@dataclass(frozen=True, slots=True)
class Action:
    """One action of an update expression. Shape: section is SET, REMOVE, ADD or DELETE; REMOVE has no operand."""

    section: str
    path: Path
    operand: Operand | None = None
