"""Event patterns by the letter of semantics §2.11, written a second time: short and slow, for judging what predicates become.

Rules of this file: no code of the package. Only what a predicate's pattern may contain is known; anything else is an error.
"""

from typing import Any


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Whether an event fits a pattern."""
    return all(_field(asked, event, name) for name, asked in pattern.items())


def _field(asked: Any, event: Any, name: str) -> bool:
    is_there = isinstance(event, dict) and name in event
    if isinstance(asked, dict):
        assert asked, "Empty objects are not allowed"
        return matches(asked, event[name] if is_there else None)
    assert isinstance(asked, list), f"{name} must be an object or an array"
    assert asked, "Empty arrays are not allowed"
    return any(_alternative(each, is_there, event[name] if is_there else None) for each in asked)


def _alternative(asked: Any, is_there: bool, value: Any) -> bool:
    if isinstance(asked, dict):
        assert len(asked) == 1, "Only one key allowed in match expression"
        ((word, inside),) = asked.items()
        match word:
            case "exists":
                return (
                    is_there and not isinstance(value, dict)
                    if inside
                    else not is_there or isinstance(value, dict)
                )
            case "prefix":
                return isinstance(value, str) and value.startswith(inside)
            case "anything-but":
                assert inside, "nothing is excluded"
                assert len({type(each) for each in inside}) == 1, "the list is of one type"
                assert isinstance(inside[0], str | int | float), "no booleans"
                return is_there and value not in inside
        raise AssertionError(f"Unrecognized match type {word}")
    return is_there and type(value) is type(asked) and bool(value == asked)
