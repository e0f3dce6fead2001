"""A pattern's JSON as a tree with what readers lose: numbers' texts, order and repetition of members.

Rules of this file: no meaning. Objects are `Members`, arrays lists, numbers `Number`. Called by parse.py.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tailrace.errors import PatternError
from tailrace.patterns.number import Number

MOST_DEPTH: Final = 200
"""Levels of nesting. AWS's bound of 4,096 characters allows more; an attribute of DynamoDB nests 32."""


class Members(tuple[tuple[str, Any], ...]):
    """The members of an object, in order."""

    __slots__ = ()


Tree: TypeAlias = "Members | list[Any] | Number | str | bool | None"


def read(pattern: str | bytes | Mapping[str, Any]) -> Tree:
    """The tree of a pattern. Raises: PatternError when it is no JSON, or nests too deep."""
    if not isinstance(pattern, str | bytes):
        return _tree(pattern, 0)
    try:
        tree: Tree = json.loads(
            pattern, object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=_refused
        )
    except (ValueError, RecursionError) as error:
        raise PatternError(f"Filter is not valid JSON: {error}") from error
    return _tree(tree, 0)


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _tree(value: object, depth: int) -> Tree:
    """The same for values that are decoded already, checked."""
    if depth > MOST_DEPTH:
        raise PatternError(f"Filter is nested deeper than {MOST_DEPTH} levels")
    match value:
        case None | bool() | str() | Number():
            return value
        case int() | float():
            return Number(repr(value))
        case Members():
            return Members((name, _tree(child, depth + 1)) for name, child in value)
        case Mapping():
            return Members((str(name), _tree(child, depth + 1)) for name, child in value.items())
        case list() | tuple():
            return [_tree(element, depth + 1) for element in value]
    raise PatternError(f"Filter is not valid JSON: {value!r}")
