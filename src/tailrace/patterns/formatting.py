"""Rules as the text of a pattern.

Rules of this file: what it writes is read as the same rules. Names stay whole, with their dots. Called by
pattern.py.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

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
    Rule,
    Rules,
    Wildcard,
)
from tailrace.patterns.number import Number

ANY_CASE: Final = "equals-ignore-case"


def format_rules(rules: Rules) -> str:
    """The text of a pattern with these rules."""
    if len(rules) == 1:
        return _object(rules[0])
    # What all rules have goes outside: names that no object inside a $or may use are always among it.
    shared = {
        name: alternatives
        for name, alternatives in rules[0].items()
        if all(rule.get(name) == alternatives for rule in rules)
    }
    rest = [
        {name: alternatives for name, alternatives in rule.items() if name not in shared} for rule in rules
    ]
    if not all(rest):
        return _object(shared)  # one of the rules asks for nothing more
    outside = [_member(name, alternatives) for name, alternatives in shared.items()]
    return "{" + _joined([*outside, f'"$or": [{_joined(map(_object, rest))}]']) + "}"


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def _object(rule: Rule) -> str:
    return f"{{{_joined(_member(name, alternatives) for name, alternatives in rule.items())}}}"


def _member(name: str, alternatives: tuple[Alternative, ...]) -> str:
    return (
        f"{json.dumps(name)}: [{_joined(_text(_alternative(alternative)) for alternative in alternatives)}]"
    )


def _text(value: Any) -> str:
    """JSON, with numbers as they were written."""
    match value:
        case Number(text):
            return text
        case list():
            return f"[{_joined(map(_text, value))}]"
        case Mapping():
            return f"{{{_joined(f'{json.dumps(name)}: {_text(member)}' for name, member in value.items())}}}"
    return json.dumps(value)


def _alternative(alternative: Alternative) -> Any:
    match alternative:
        case Exact(value):
            return value
        case Affix(kind, text, any_case):
            return {kind: {ANY_CASE: text} if any_case else text}
        case AnyCase(text):
            return {ANY_CASE: text}
        case Wildcard():
            return {"wildcard": _wildcard(alternative)}
        case AnythingBut(values):
            return {"anything-but": list(values)}
        case AnythingButLike(like, kind):
            return {
                "anything-but": {kind: [_wildcard(e) if isinstance(e, Wildcard) else e.text for e in like]}
            }
        case Numeric():
            return {"numeric": _numeric(alternative)}
        case Cidr(text):
            return {"cidr": text}
        case Exists(there):
            return {"exists": there}
        case _:
            assert_never(alternative)


def _wildcard(wildcard: Wildcard) -> str:
    return "*".join(piece.replace("\\", "\\\\").replace("*", "\\*") for piece in wildcard.pieces)


def _numeric(numeric: Numeric) -> list[Any]:
    if numeric.bottom is not None and numeric.is_equality:
        return ["=", numeric.bottom.number]
    return [*_bound(">", numeric.bottom), *_bound("<", numeric.top)]


def _bound(operator: str, bound: RangeEnd | None) -> list[Any]:
    return [] if bound is None else [operator if bound.is_open else f"{operator}=", bound.number]
