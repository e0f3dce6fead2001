"""Alternatives as functions: one call says whether a leaf of an event matches any of them.

Rules of this file: a leaf is a string, number, truth or null as JSON readers make them; nothing raises on any
value. The engine compares strings in their quotes, so a prefix that ends with a quote (a suffix that begins
with one) also matches the string that ends there. Called by fields.py. Source: semantics §2.11; event-ruler,
`ByteMachine`, `EqualsIgnoreCaseParser`.
"""

import re
from collections.abc import Callable, Sequence
from math import inf
from operator import ge, gt, is_, le, lt
from typing import Any, Final, TypeAlias, assert_never

from tailrace.errors import InternalError
from tailrace.patterns.address import network
from tailrace.patterns.nodes import (
    Affix,
    Alternative,
    AnyCase,
    AnythingBut,
    AnythingButLike,
    Cidr,
    Exact,
    Exists,
    Numeric,
    RangeEnd,
    Wildcard,
)
from tailrace.patterns.number import Number, comparable

Test: TypeAlias = Callable[[Any], bool]
QUOTE: Final = '"'


def compiled(alternatives: Sequence[Alternative]) -> Test | None:
    """A test whether a leaf matches one of these; None when no leaf ever does (only absence)."""
    strings = frozenset(
        alternative.value
        for alternative in alternatives
        if isinstance(alternative, Exact) and isinstance(alternative.value, str)
    )
    tests: list[Test] = []
    if len(strings) == 1:
        tests.append(_same(*strings))
    elif strings:
        tests.append(lambda value: isinstance(value, str) and value in strings)
    tests += [
        test
        for alternative in alternatives
        if not (isinstance(alternative, Exact) and isinstance(alternative.value, str))
        and (test := _test(alternative)) is not None
    ]
    if len(tests) <= 1:
        return tests[0] if tests else None
    return lambda value: any(test(value) for test in tests)


def _same(text: str) -> Test:
    # A string equals only strings; a subclass of Mapping or number never gets here as a leaf that equals one.
    return lambda value: bool(value == text)


def _test(alternative: Alternative) -> Test | None:
    match alternative:
        case Exact(value):
            return _number(value) if isinstance(value, Number) else lambda leaf: is_(leaf, value)
        case Affix() | AnyCase() | Wildcard():
            return _like(alternative)
        case AnythingBut(values):
            return _but(values)
        case AnythingButLike(like):
            tests = [_like(node) for node in like]
            return lambda leaf: not any(test(leaf) for test in tests)
        case Numeric(bottom, top):
            return _numeric(bottom, top)
        case Cidr(text):
            return network(text).__contains__
        case Exists(there):
            return (lambda _: True) if there else None
        case _:
            assert_never(alternative)


# ---- numbers -----------------------------------------------------------------------------------------------


def _number(number: Number) -> Test:
    """The same number; where doubles cannot tell, the same text."""
    wanted, text = number.comparable, number.text
    if wanted is None:
        return lambda leaf: type(leaf) in (int, float) and repr(leaf) == text
    return lambda leaf: comparable(leaf) == wanted


def _numeric(bottom: RangeEnd | None, top: RangeEnd | None) -> Test:
    low, high = _end(bottom, -inf), _end(top, inf)
    is_above = gt if bottom and bottom.is_open else ge
    is_below = lt if top and top.is_open else le

    def test(leaf: object) -> bool:
        number = comparable(leaf)
        return number is not None and is_above(number, low) and is_below(number, high)

    return test


def _end(bound: RangeEnd | None, otherwise: float) -> float:
    number = None if bound is None else bound.number.comparable
    return otherwise if number is None else number


def _but(values: tuple[str, ...] | tuple[Number, ...]) -> Test:
    strings = frozenset(value for value in values if isinstance(value, str))
    numbers = frozenset(value.comparable for value in values if isinstance(value, Number))
    if numbers:
        return lambda leaf: comparable(leaf) not in numbers
    return lambda leaf: not (isinstance(leaf, str) and leaf in strings)


# ---- texts -------------------------------------------------------------------------------------------------


def _like(alternative: Affix | AnyCase | Wildcard) -> Test:
    match alternative:
        case Affix("prefix", text, any_case):
            cut = text[:-1] if text.endswith(QUOTE) else None
            if not any_case:
                return _starts(text, cut)
            return _expression(_any_case(text) + ".*", *([] if cut is None else [_any_case(cut)]))
        case Affix("suffix", text, any_case):
            cut = text[1:] if text.startswith(QUOTE) else None
            if not any_case:
                return _ends(text, cut)
            return _expression(".*" + _any_case(text), *([] if cut is None else [_any_case(cut)]))
        case AnyCase(text):
            return _expression(_any_case(text))
        case Wildcard(pieces):
            return _wildcard(pieces)
    raise InternalError(f"{alternative!r} is no text")


def _starts(text: str, also: str | None) -> Test:
    return lambda leaf: isinstance(leaf, str) and (leaf.startswith(text) or leaf == also)


def _ends(text: str, also: str | None) -> Test:
    return lambda leaf: isinstance(leaf, str) and (leaf.endswith(text) or leaf == also)


def _any_case(text: str) -> str:
    """Each character in its lower or upper form, and no other (K is not the Kelvin sign)."""
    forms = ({character.lower(), character.upper()} for character in text)
    return "".join(f"(?:{'|'.join(map(re.escape, sorted(cases)))})" for cases in forms)


def _expression(*expressions: str) -> Test:
    matches = re.compile("|".join(f"(?:{expression})" for expression in expressions), re.DOTALL).fullmatch
    return lambda leaf: isinstance(leaf, str) and matches(leaf) is not None


def _wildcard(pieces: tuple[str, ...]) -> Test:
    """Greedy from the left is enough, and never slow: each piece at its first place after the one before."""
    if len(pieces) == 1:
        return _same(*pieces)
    first, *middle, last = pieces
    least = len(first) + len(last)

    def test(leaf: object) -> bool:
        if not isinstance(leaf, str) or len(leaf) < least:
            return False
        if not (leaf.startswith(first) and leaf.endswith(last)):
            return False
        position, end = len(first), len(leaf) - len(last)
        for piece in middle:
            position = leaf.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return True

    return test
