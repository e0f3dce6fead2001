"""Numbers: 38 significant digits, as text.

Rules of this file: a normalised number has one text: no exponent, no leading or trailing zeros, no `-0`, so
equal numbers are equal texts. Plain integers, nearly all of them, never become a Decimal. Source: semantics
§6.3, §6.5.
"""

import re
from decimal import Context, Decimal
from typing import Final

from tailrace.values.wordings import WrongValue

DIGITS: Final = 38
LARGEST_EXPONENT: Final = 125
SMALLEST_EXPONENT: Final = -130
NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
EXACT: Final = Context(prec=400)
"""Wide enough for any sum of two numbers: 126 digits before the point, 168 after it."""


def is_plain(text: str) -> bool:
    """Whether a text is an integer in its normalised form already."""
    digits = text[1:] if text[:1] == "-" else text
    return (
        len(digits) <= DIGITS and digits.isdigit() and digits.isascii() and (digits[0] != "0" or text == "0")
    )


def normalise(text: str) -> str:
    """The one text of a number. Raises: ApiError.

    >>> normalise("1.0"), normalise("1E2"), normalise("-0.50"), normalise("-0")
    ('1', '100', '-0.5', '0')
    """
    if is_plain(text):
        return text
    if NUMBER.fullmatch(text) is None:
        raise WrongValue("no number", (text,))
    negative, digits, exponent = _parts(text)
    if not digits:
        return "0"
    magnitude = exponent + len(digits) - 1
    if magnitude > LARGEST_EXPONENT:
        raise WrongValue("overflow", (text,))
    if magnitude < SMALLEST_EXPONENT:
        raise WrongValue("underflow")
    if len(digits) > DIGITS:
        raise WrongValue("digits")
    return ("-" if negative else "") + _plain(digits, exponent)


def _parts(text: str) -> tuple[bool, str, int]:
    """Sign, digits without zeros around them, and the exponent of the last digit."""
    mantissa, _, power = text.lower().partition("e")
    size = power.lstrip("+-").lstrip("0")
    # Beyond a thousand an exponent is out of any range: its digits are not worth converting.
    exponent = (int(size or "0") if len(size) < 6 else 99_999) * (-1 if power.startswith("-") else 1)
    whole, _, fraction = mantissa.lstrip("+-").partition(".")
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    return mantissa.startswith("-"), stripped, exponent - len(fraction) + len(digits) - len(stripped)


def _plain(digits: str, exponent: int) -> str:
    if exponent >= 0:
        return digits + "0" * exponent
    if -exponent < len(digits):
        return f"{digits[:exponent]}.{digits[exponent:]}"
    return "0." + "0" * (-exponent - len(digits)) + digits


def add(a: str, b: str) -> str:
    """The sum of two normalised numbers, normalised. Raises: ApiError when it has no place in a Number.

    >>> add("0.1", "0.2")
    '0.3'
    """
    if "." in a or "." in b:
        return normalise(str(EXACT.add(Decimal(a), Decimal(b))))
    return normalise(str(int(a) + int(b)))


def subtract(a: str, b: str) -> str:
    """The difference of two normalised numbers, normalised. Raises: ApiError when it has no place in a
    Number.
    """
    if "." in a or "." in b:
        return normalise(str(EXACT.subtract(Decimal(a), Decimal(b))))
    return normalise(str(int(a) - int(b)))


def compare(a: str, b: str) -> int:
    """-1, 0 or 1: how two normalised numbers lie.

    >>> compare("10", "9.5"), compare("-1", "0")
    (1, -1)
    """
    if a == b:
        return 0
    if "." in a or "." in b:
        return -1 if Decimal(a) < Decimal(b) else 1
    return -1 if int(a) < int(b) else 1
