"""What a pattern says, as frozen nodes: alternatives for one field, and rules that name the fields.

Rules of this file: layouts only. A rule's fields are joined by AND, the alternatives of a field by OR, the
rules of a pattern by OR. Names are whole paths joined by dots: to AWS's engine `{"a.b": …}` and
`{"a": {"b": …}}` are one. Made by parse.py.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from tailrace.patterns.number import Number

AffixEnd: TypeAlias = Literal["prefix", "suffix"]
Negated: TypeAlias = Literal["prefix", "suffix", "equals-ignore-case", "wildcard"]


class Exact(Struct, frozen=True):
    """A string, number, truth or null."""

    value: str | Number | bool | None


class Affix(Struct, frozen=True):
    """A string that begins or ends so, in any case or not."""

    kind: AffixEnd
    text: str
    any_case: bool = False


class AnyCase(Struct, frozen=True):
    """A string, in any case."""

    text: str


class Wildcard(Struct, frozen=True):
    """A string of these pieces with anything between: one piece more than there are asterisks."""

    pieces: tuple[str, ...]


class AnythingBut(Struct, frozen=True):
    """Anything that is there and is none of these: all strings, or all numbers."""

    values: tuple[str, ...] | tuple[Number, ...]


class AnythingButLike(Struct, frozen=True):
    """Anything that is there and is like none of these."""

    like: tuple["Affix | AnyCase | Wildcard", ...]
    kind: Negated


class RangeEnd(Struct, frozen=True):
    """One end of a range of numbers."""

    number: Number
    is_open: bool


class Numeric(Struct, frozen=True):
    """A number between two ends; None: no end on that side. Both the same and closed: equal to it."""

    bottom: RangeEnd | None
    top: RangeEnd | None

    @property
    def is_equality(self) -> bool:
        """Whether it was written with `=`: a range has a bottom below its top."""
        return self.bottom is not None and self.bottom == self.top


class Cidr(Struct, frozen=True):
    """An address of a network."""

    text: str


class Exists(Struct, frozen=True):
    """A leaf of this name is there, or is not."""

    there: bool


Alternative: TypeAlias = (
    Exact | Affix | AnyCase | Wildcard | AnythingBut | AnythingButLike | Numeric | Cidr | Exists
)
Rule: TypeAlias = Mapping[str, tuple[Alternative, ...]]
Rules: TypeAlias = tuple[Rule, ...]
