"""What is wrong with an attribute value, and AWS's words for it: one table a layer of words.

Theory of operation: the readers say what is wrong as data, a fault and its parts; AWS tells the same fault in
other words to other operations. `CURRENT` is what most of them say since 2026, `OLDER` what the rest still
says.
Rules of this file: words only; which operation speaks which layer is `api.wordings`' business.
Source: AWS's answers as captured in October 2026 (ADR 0043); semantics §6.5.
"""

import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from tailrace.errors import VALIDATION, ApiError

Fault: TypeAlias = Literal[
    "no type",
    "several types",
    "null is false",
    "empty string set",
    "empty number set",
    "empty binary set",
    "duplicate strings",
    "duplicate numbers",
    "duplicate binaries",
    "no number",
    "digits",
    "overflow",
    "underflow",
    "depth",
    "empty name",
    "long name",
]
Layer: TypeAlias = Literal["current", "older"]
Words: TypeAlias = Callable[[Sequence[str]], str]

INVALID: Final = "One or more parameter values were invalid: "
EMPTY: Final = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL: Final = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
    "supported datatypes"
)
TOO_DEEP: Final = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
    "supported limit"
)
MANY_DIGITS: Final = "Attempting to store more than 38 significant digits in a Number"
OVERFLOW: Final = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW: Final = (
    "Number underflow. Attempting to store a number with magnitude smaller than supported range"
)
NOT_NUMERIC: Final = "The parameter cannot be converted to a numeric value"
LARGEST_INT: Final = 2**31 - 1
LONGEST_INT: Final = 10
"""Units: digits."""
NUMERIC: Final[frozenset[Fault]] = frozenset({"no number", "digits", "overflow", "underflow"})
DUPLICATES: Final[frozenset[Fault]] = frozenset(
    {"duplicate strings", "duplicate numbers", "duplicate binaries"}
)


class WrongValue(ApiError):
    """A value that no item may have, an attribute's name of a wrong length included.

    Shape:   `parts` are the texts that the words show: the number, or the elements of the set as they were
             sent. `placeholder` is the `:v` that it stands behind, empty for a value of an item, a key or a
             legacy parameter. The message is that of the current layer.
    """

    def __init__(self, fault: Fault, parts: Sequence[str] = (), placeholder: str = "") -> None:
        super().__init__("ValidationException", CURRENT[fault](parts), prefix=VALIDATION)
        self.fault: Fault = fault
        self.parts = parts
        self.placeholder = placeholder

    def behind(self, placeholder: str) -> "WrongValue":
        """The same value where it stands in ExpressionAttributeValues."""
        return WrongValue(self.fault, self.parts, placeholder)

    def told(self, layer: Layer) -> str:
        """AWS's words.

        >>> WrongValue("digits", (), ":v").told("current")
        'Attempting to store more than 38 significant digits in a Number'
        """
        if layer == "current":
            return CURRENT[self.fault](self.parts)
        text = OLDER[self.fault](self.parts)
        if self.placeholder:
            return f"ExpressionAttributeValues contains invalid value: {text} for key {self.placeholder}"
        return text


def _fixed(text: str) -> Words:
    return lambda _: text


def _quoted(elements: Sequence[str]) -> str:
    return ", ".join(f'"{element}"' for element in sorted(elements, key=str.encode))


def _older_number(parts: Sequence[str]) -> str:
    return f"{NOT_NUMERIC}: {parts[0]}" if parts[0] else NOT_NUMERIC


def _older_overflow(parts: Sequence[str]) -> str:
    """Java's exponent of the first digit is an int: just past the largest one it is negative.

    >>> _older_overflow(("1e2147483647",)) == UNDERFLOW, _older_overflow(("1e2147483646",)) == OVERFLOW
    (True, True)
    """
    mantissa, _, power = "".join(parts).lower().partition("e")
    size = power.lstrip("+").lstrip("0")
    if not size.isdigit() or len(size) > LONGEST_INT or int(size) > LARGEST_INT:
        return OVERFLOW
    digits = len(mantissa.lstrip("+-").lstrip("0").partition(".")[0])
    return UNDERFLOW if int(size) + digits > LARGEST_INT else OVERFLOW


def _signed_bytes(element: str) -> tuple[int, ...]:
    """How Java compares buffers: a byte of 128 or more is negative."""
    return tuple(byte - 256 if byte > 127 else byte for byte in binascii.a2b_base64(element))


CURRENT: Final[Mapping[Fault, Words]] = {
    "no type": _fixed(EMPTY),
    "several types": _fixed(SEVERAL),
    "null is false": _fixed(f"{INVALID}Null attribute value types must have the value of true"),
    "empty string set": _fixed(f"{INVALID}An string set  may not be empty"),
    "empty number set": _fixed(f"{INVALID}An number set  may not be empty"),
    "empty binary set": _fixed(f"{INVALID}Binary sets should not be empty"),
    "duplicate strings": lambda sent: f"{INVALID}Input collection [{_quoted(sent)}] contains duplicates.",
    "duplicate numbers": _fixed(f"{INVALID}Input collection contains duplicates."),
    "duplicate binaries": lambda sent: (
        INVALID
        + "Input collection ["
        + ",".join(f'"{element}"' for element in sent)
        + "]of type BS contains duplicates."
    ),
    "no number": lambda parts: f"{NOT_NUMERIC}: {parts[0]}",
    "digits": _fixed(MANY_DIGITS),
    "overflow": _fixed(OVERFLOW),
    "underflow": _fixed(UNDERFLOW),
    "depth": _fixed(TOO_DEEP),
    "empty name": _fixed("Empty attribute name"),
    "long name": _fixed(f"{INVALID}Attribute name is too large, must be less than 65536 bytes"),
}
OLDER: Final[Mapping[Fault, Words]] = {
    **CURRENT,
    "duplicate strings": lambda sent: f"{INVALID}Input collection [{', '.join(sent)}] contains duplicates.",
    "duplicate numbers": _fixed("Input collection contains duplicates"),
    "duplicate binaries": lambda sent: (
        f"{INVALID}Input collection [{', '.join(sorted(sent, key=_signed_bytes))}]of type BS "
        "contains duplicates."
    ),
    "no number": _older_number,
    "overflow": _older_overflow,
}
