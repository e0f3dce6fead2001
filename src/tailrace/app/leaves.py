"""What an event pattern can ask of one leaf of a record, and both of two such questions at once.

Theory of operation: a question is a list of alternatives in AWS's own form: an exact text, `{"prefix": …}`,
`{"anything-but": […]}`, `{"exists": …}`. `both` of two of them is a list again; where no alternative can say
both exactly, the wider one stands and the answer is marked as not exact.
Rules of this file: sound: what fits both questions fits their meeting. Numbers of items are texts here.
Source: semantics §2.11.
"""

from typing import Any, Final, TypeAlias

Alternative: TypeAlias = Any
Alternatives: TypeAlias = tuple[Alternative, ...]
THERE: Final = {"exists": True}
NOT_THERE: Final = {"exists": False}
DIGITS: Final = "123456789"
PLAIN_DIGITS: Final = 20
"""Up to here, and from a millionth on, no writer uses an exponent: only then is a number's text certain."""


def matches(alternative: Alternative, value: object) -> bool:
    """Whether a value that is there fits an alternative."""
    match alternative:
        case {"prefix": str(prefix)}:
            return isinstance(value, str) and value.startswith(prefix)
        case {"anything-but": list(excluded)}:
            return value not in excluded
        case {"exists": bool(is_there)}:
            return is_there
    return bool(alternative == value and type(alternative) is type(value))


def both(left: Alternatives, right: Alternatives) -> tuple[Alternatives, bool]:
    """What fits both questions, and whether that is exact. Empty: nothing does."""
    alternatives: list[Alternative] = []
    is_exact = True
    for one in left:
        for other in right:
            met, exactly = _meet(one, other)
            is_exact &= exactly
            if met is not None and met not in alternatives:
                alternatives.append(met)
    return tuple(alternatives), is_exact


def _meet(left: Alternative, right: Alternative) -> tuple[Alternative | None, bool]:
    if left == NOT_THERE or right == NOT_THERE:
        return (NOT_THERE if left == right else None), True
    if not isinstance(left, dict):
        return (left if matches(right, left) else None), True
    if not isinstance(right, dict):
        return (right if matches(left, right) else None), True
    if left == THERE:
        return right, True
    if right == THERE:
        return left, True
    return _meet_texts(left, right)


def _meet_texts(left: dict[str, Any], right: dict[str, Any]) -> tuple[Alternative | None, bool]:
    match left, right:
        case {"prefix": one}, {"prefix": other}:
            if one.startswith(other):
                return left, True
            return (right if other.startswith(one) else None), True
        case {"anything-but": one}, {"anything-but": other}:
            return {"anything-but": one + [text for text in other if text not in one]}, True
        case {"prefix": prefix}, {"anything-but": excluded}:
            return left, not any(str(text).startswith(prefix) for text in excluded)
        case {"anything-but": excluded}, {"prefix": prefix}:
            return right, not any(str(text).startswith(prefix) for text in excluded)
    return left, False


def is_certain(number: str) -> bool:
    """Whether a normalised number has the same text wherever it comes from.

    >>> is_certain("100.5"), is_certain("0.0000001")
    (True, False)
    """
    whole, _, fraction = number.lstrip("-").partition(".")
    return len(whole) <= PLAIN_DIGITS and len(fraction) <= 6


def numeric(operator: str, bound: str) -> Alternatives | None:
    """The texts of the numbers on one side of a bound, as prefixes; None when every text may be one of them.

    Shape:   plain (`0.5`) or with an exponent (`5E-7`): both are covered.

    >>> numeric(">", "100")[:2]
    ({'prefix': '1'}, {'prefix': '2'})
    >>> numeric("<", "0")
    ({'prefix': '-'},)
    """
    is_negative, is_zero = bound.startswith("-"), bound == "0"
    is_below_one = bound.startswith("0.")
    whole = tuple({"prefix": digit} for digit in DIGITS)
    zero: Alternatives = ({"prefix": "0"},)
    match operator:
        case ">" if not is_negative:
            return whole + ({"prefix": "0."},) * (is_zero or is_below_one)
        case ">=" if not is_negative:
            return whole + (zero if is_zero else ({"prefix": "0."},) * is_below_one)
        case "<" if is_negative or is_zero:
            return ({"prefix": "-"},)
        case "<=" if is_negative:
            return ({"prefix": "-"},)
        case "<=" if is_zero:
            return ({"prefix": "-"}, "0")
    return None
