"""Match expressions: `{"prefix": "a"}` and its like, and the words in which AWS's engine refuses them.

Rules of this file: what is wrong is refused in the order in which a reader of the text would meet it.
`exactly` is the engine's, undocumented. Called by parse.py. Source: semantics §2.11; event-ruler,
`JsonRuleCompiler`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NoReturn, TypeAlias

from tailrace.errors import PatternError
from tailrace.patterns.address import network
from tailrace.patterns.document import Members
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
from tailrace.patterns.number import Number

Dialect: TypeAlias = Literal["mapping", "event-bus"]
"""What event source mappings and pipes take, or everything that event buses do."""
ANY_CASE: Final = "equals-ignore-case"
ONE_KEY: Final = "Only one key allowed in match expression"
NO_TEXT: Final = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
NO_SCALAR: Final = "Value of anything-but must be an array or single string/number value."


def refuse(reason: str) -> NoReturn:
    """Raise the engine's words."""
    raise PatternError(reason)


def alternative(members: Members, dialect: Dialect) -> Alternative:
    """The alternative behind a match expression. Raises: PatternError."""
    if not members:
        refuse("Match expression name not found")
    name, value = members[0]
    read = OPERATORS.get(name)
    if read is None:
        refuse(f"Unrecognized match type {name}")
    node = read(value)
    if len(members) > 1:
        refuse(ONE_KEY)
    if dialect == "mapping" and (
        name in BUS_ONLY or isinstance(node, AnythingButLike)
    ):  # "Comparison operators for use in event patterns"
        match_type = f"anything-but with {node.kind}" if isinstance(node, AnythingButLike) else name
        refuse(f"Unsupported match type {match_type}: only event buses have it")
    return node


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        refuse(f"{name} match pattern must be a string")
    return value


# ---- texts -------------------------------------------------------------------------------------------------


def _exactly(value: object) -> Alternative:
    return Exact(_string("exact", value))


def _affix(kind: Literal["prefix", "suffix"], value: object) -> Alternative:
    if not isinstance(value, Members):
        return Affix(kind, _string(kind, value))
    if not value:
        refuse(f"{kind.capitalize()} expression name not found")
    name, text = value[0]
    if name != ANY_CASE:
        refuse(f"Unsupported {kind} pattern: {name}")
    node = Affix(kind, _string(ANY_CASE, text), any_case=True)
    if len(value) > 1:
        refuse(ONE_KEY)
    return node


def _any_case(value: object) -> Alternative:
    return AnyCase(_string(ANY_CASE, value))


def _wildcard(value: object) -> Wildcard:
    """The pieces between asterisks; a backslash takes an asterisk or a backslash as it is.

    The engine counts positions in the bytes of the text in its quotes.
    """
    pieces, piece, position = [""], "", 1
    text = iter(_string("wildcard", value))
    is_after_asterisk = False
    for character in text:
        if character == "\\":
            piece = next(text, "")
            if piece not in ("*", "\\"):
                refuse(f"Invalid escape character at pos {position}")
            position += 1
        elif character == "*":
            if is_after_asterisk:
                refuse(f"Consecutive wildcard characters at pos {position - 1}")
            pieces.append("")
        else:
            piece = character
        is_after_asterisk = character == "*"
        if not is_after_asterisk:
            pieces[-1] += piece
        position += len(character.encode("utf-8", "surrogatepass"))
    return Wildcard(tuple(pieces))


# ---- anything-but ------------------------------------------------------------------------------------------


def _anything_but(value: object) -> Alternative:
    match value:
        case Members():
            return _anything_but_like(value)
        case list():
            return _anything_but_list(value)
        case str():
            return AnythingBut((value,))
        case Number():
            return AnythingBut((_comparable(value),))
    refuse(NO_SCALAR)


def _anything_but_list(values: list[Any]) -> AnythingBut:
    texts = tuple(value for value in values if isinstance(value, str))
    numbers = tuple(_comparable(value) for value in values if isinstance(value, Number))
    if len(texts) + len(numbers) < len(values):
        refuse("Inside anything but list, start|null|boolean is not supported.")
    if texts and numbers:
        refuse(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    return AnythingBut(numbers or texts)


def _anything_but_like(members: Members) -> AnythingButLike:
    if not members:
        refuse("Anything-But expression name not found")
    name, value = members[0]
    match name:
        case "prefix" | "suffix":
            node = AnythingButLike(tuple(Affix(name, text) for text in _affixes(value)), name)
        case "equals-ignore-case":
            node = AnythingButLike(tuple(map(AnyCase, _texts(value, NO_TEXT))), name)
        case "wildcard":
            texts = _texts(value, "wildcard match pattern must be a string")
            node = AnythingButLike(tuple(map(_wildcard, texts)), name)
        case _:
            refuse(f"Unsupported anything-but pattern: {name}")
    if len(members) > 1:
        refuse(ONE_KEY)
    return node


def _affixes(value: object) -> list[str]:
    if isinstance(value, Members):
        refuse(NO_SCALAR)
    texts = _texts(value, "prefix/suffix match pattern must be a string")
    if not (texts and all(texts)):
        refuse("Null prefix/suffix not allowed")
    return texts


def _texts(value: object, reason: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str)]
    if len(texts) < len(values):
        refuse(reason)
    return texts


# ---- numbers, addresses, presence --------------------------------------------------------------------------


def _comparable(number: Number) -> Number:
    if number.comparable is None:
        refuse(f"Cannot compare number : {number.text}")
    return number


def _words(values: list[Any], index: int) -> str:
    """How the engine prints the token at a place."""
    match values[index] if index < len(values) else "]":
        case Number(text) | str(text):
            return text
        case list():
            return "["
        case Members():
            return "{"
        case other:
            return "null" if other is None else str(other).lower()


def _number(values: list[Any], index: int, operator: str) -> Number:
    value = values[index] if index < len(values) else None
    if not isinstance(value, Number):
        refuse(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    return _comparable(value)


def _numeric(value: object) -> Numeric:
    if not isinstance(value, list):
        refuse("Value of numeric must be an array.")
    operator = value[0] if value else None
    if not isinstance(operator, str):
        refuse(f"Invalid member in numeric match: {_words(value, 0)}")
    if operator not in ("=", "<", "<=", ">", ">="):
        refuse(f"Unrecognized numeric range operator: {operator}")
    first = RangeEnd(_number(value, 1, operator), is_open=operator in ("<", ">"))
    if len(value) == 2:
        above, below = operator in (">", ">=", "="), operator in ("<", "<=", "=")
        return Numeric(first if above else None, first if below else None)
    if operator not in (">", ">="):
        refuse("Too many elements in numeric expression")
    return _range(value, first)


def _range(value: list[Any], bottom: RangeEnd) -> Numeric:
    operator = value[2]
    if not isinstance(operator, str):
        refuse(f"Bad value in numeric range: {_words(value, 2)}")
    if operator not in ("<", "<="):
        refuse(f"Bad numeric range operator: {operator}")
    top = RangeEnd(_number(value, 3, operator), is_open=operator == "<")
    if len(value) > 4:
        refuse("Too many terms in numeric range expression")
    low, high = bottom.number.comparable, top.number.comparable
    if low is None or high is None or low >= high:
        refuse("Bottom must be less than top")
    return Numeric(bottom, top)


def _cidr(value: object) -> Cidr:
    text = _string("prefix", value)  # the engine says prefix here too
    network(text)
    return Cidr(text)


def _exists(value: object) -> Exists:
    if not isinstance(value, bool):
        refuse("exists match pattern must be either true or false.")
    return Exists(value)


OPERATORS: Final[Mapping[str, Callable[[object], Alternative]]] = {
    "exactly": _exactly,
    "prefix": lambda value: _affix("prefix", value),
    "suffix": lambda value: _affix("suffix", value),
    ANY_CASE: _any_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
}
BUS_ONLY: Final = frozenset(("exactly", "wildcard", "cidr"))
