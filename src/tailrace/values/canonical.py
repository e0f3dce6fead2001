"""Canonical values: the one text of a number, the bytes that order keys, the bytes that DynamoDB charges for.

Rules of this file: pure functions of canonical values: keys, conditions and limits know no more of them. A
normalised number has one text: no exponent, no leading or trailing zeros, no `-0`, so equal numbers are equal
texts; plain integers, nearly all of them, never become a Decimal. Strings sort by their UTF-8 bytes, binaries
by their unsigned bytes, numbers by value; other types have no order. Sizes count UTF-8 bytes of names and
strings, the raw bytes of binaries. Source: semantics §6.3, §6.4, §6.5.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any, Final

from tailrace.values.types import AttributeValue, Item
from tailrace.values.wordings import WrongValue

DIGITS: Final = 38
LARGEST_EXPONENT: Final = 125
SMALLEST_EXPONENT: Final = -130
NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
EXACT: Final = Context(prec=400)
"""Wide enough for any sum of two numbers: 126 digits before the point, 168 after it."""
BIAS: Final = 131
"""Makes the exponent of the smallest magnitude positive."""
ZERO: Final = b"\x80"
INVERTED: Final = bytes(255 - byte for byte in range(256))
LARGE_KINDS: Final = ("L", "M", "SS", "NS", "BS")


# ---- numbers -----------------------------------------------------------------------------------------------


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


# ---- order -------------------------------------------------------------------------------------------------


def ordered_bytes(value: AttributeValue) -> bytes:
    """The order-preserving bytes of a string, number or binary (canonical).

    >>> numbers = [ordered_bytes({"N": text}) for text in ("-12", "-1.5", "9", "10")]
    >>> numbers == sorted(numbers)
    True
    """
    for kind, content in value.items():
        if kind == "S":
            return bytes(content, "utf-8")
        if kind == "N":
            return number_bytes(content)
        if kind == "B":
            return b64decode(content)
    raise ValueError(f"no order: {value}")


def number_bytes(text: str) -> bytes:
    """A normalised number: a byte for the sign, two for the exponent, one for each digit."""
    if text == "0":
        return ZERO
    negative = text[0] == "-"
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) if whole != "0" else len(digits) - len(fraction)
    magnitude = (exponent + BIAS).to_bytes(2, "big") + digits.rstrip("0").encode()
    # Of two negative numbers that with more digits is the smaller: an end mark above every digit does it.
    return b"\x7f" + magnitude.translate(INVERTED) + b"\xff" if negative else b"\x81" + magnitude


def terminated(data: bytes) -> bytes:
    """The same order, prefix-free: a zero byte inside is escaped, and the end is marked."""
    return data.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def split_terminated(data: bytes) -> tuple[bytes, bytes]:
    """What was terminated, and what stands behind it. Raises: ValueError when there is no end.

    >>> split_terminated(terminated(b"a\\x00b") + b"rest")
    (b'a\\x00b', b'rest')
    """
    end = 0
    while True:
        end = data.index(b"\x00", end)
        if data[end + 1 : end + 2] == b"\x01":
            return data[:end].replace(b"\x00\xff", b"\x00"), data[end + 2 :]
        end += 2


def value_of(kind: str, data: bytes) -> AttributeValue:
    """The value with these ordered bytes. Raises: ValueError, IndexError when they are none of this kind.

    >>> [value_of("N", number_bytes(text))["N"] for text in ("0", "-12.5", "1000", "0.001")]
    ['0', '-12.5', '1000', '0.001']
    """
    if kind == "S":
        return {"S": data.decode()}
    if kind == "B":
        return {"B": b64encode(data).decode()}
    if data == ZERO:
        return {"N": "0"}
    magnitude = data[1:]
    if data[0] == 0x7F:
        magnitude = magnitude[:-1].translate(INVERTED)
    exponent = int.from_bytes(magnitude[:2], "big") - BIAS
    digits = magnitude[2:].decode()
    if not digits.isdecimal():
        raise ValueError(f"no number: {data.hex()}")
    if exponent <= 0:
        text = f"0.{'0' * -exponent}{digits}"
    elif exponent >= len(digits):
        text = digits + "0" * (exponent - len(digits))
    else:
        text = f"{digits[:exponent]}.{digits[exponent:]}"
    return {"N": f"-{text}" if data[0] == 0x7F else text}


def compare_values(a: AttributeValue, b: AttributeValue) -> int | None:
    """-1, 0 or 1 for two strings, numbers or binaries of one type; None when they cannot be compared."""
    for kind, content in a.items():
        other = b.get(kind)
        if other is None:
            return None
        if kind == "N":
            return compare(content, other)
        if kind == "S":  # code points lie as their UTF-8 bytes do
            return 0 if content == other else 1 if content > other else -1
        if kind == "B":
            left, right = b64decode(content), b64decode(other)
            return (left > right) - (left < right)
    return None


# ---- size --------------------------------------------------------------------------------------------------


def size_bytes(item: Item) -> int:
    """Size DynamoDB counts for an item: its names and its values.

    Shape:   attribute name → attribute value, e.g. {"pk": {"S": "a"}}.
    Units:   bytes; names and strings as UTF-8.
    Raises:  nothing; the item is already canonical.

    >>> size_bytes({"pk": {"S": "a"}})
    3
    """
    total = 0
    for name, value in item.items():
        total += len(name) if name.isascii() else len(name.encode())  # `_text_size` in place: it is hot
        for kind, content in value.items():
            if kind == "S":
                total += len(content) if content.isascii() else len(content.encode())
            else:
                total += _content_size(kind, content)
    return total


def size_shared(item: Item) -> int:
    """The same for an item in which one large value may stand at many places: it is weighed once.

    >>> shared = {"L": [{"S": "a"}]}
    >>> size_shared({"a": shared, "b": shared}) == size_bytes({"a": shared, "b": shared})
    True
    """
    weights: dict[int, int] = {}
    return sum(_text_size(name) + _weight(value, weights) for name, value in item.items())


def _weight(value: AttributeValue, weights: dict[int, int]) -> int:
    for kind, content in value.items():
        if kind not in LARGE_KINDS:
            return value_size(value)
        known = weights.get(id(content))
        if known is None:
            match kind:
                case "L":
                    known = 3 + sum(1 + _weight(element, weights) for element in content)
                case "M":
                    known = 3 + sum(
                        1 + _text_size(name) + _weight(member, weights) for name, member in content.items()
                    )
                case _:
                    known = _content_size(kind, content)
            weights[id(content)] = known
        return known
    return 0


def value_size(value: AttributeValue) -> int:
    """Size of one value, without its name. Units: bytes."""
    for kind, content in value.items():
        if kind == "S":
            return len(content) if content.isascii() else len(content.encode())
        return _content_size(kind, content)
    return 0


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _binary_size(text: str) -> int:
    return len(text) // 4 * 3 - text.count("=")


def _number_size(text: str) -> int:
    if text.isdigit():
        length = len(text)
        digits_count = len(text.rstrip("0"))
        if not digits_count:
            return 1
        return 1 + (digits_count + 1) // 2 + (not digits_count & 1 and length & 1)
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = (whole + fraction).strip("0")
    if not digits:
        return 1
    exponent = len(whole) - 1 if whole != "0" else len(fraction.lstrip("0")) - len(fraction) - 1
    size = 1 + (len(digits) + 1) // 2
    return size + (len(digits) % 2 == 0 and exponent % 2 == 0) + (text[0] == "-")


def _elements_size(elements: Iterable[AttributeValue]) -> int:
    total = 0
    for element in elements:  # the commonest kinds in place: an item may have hundreds of thousands
        for kind, content in element.items():
            if kind == "S":
                total += len(content) if content.isascii() else len(content.encode())
            elif kind == "NULL" or kind == "BOOL":
                total += 1
            elif kind == "N":
                total += _number_size(content)
            else:
                total += _content_size(kind, content)
            break
    return total


def _content_size(kind: str, content: Any) -> int:
    if kind == "N":
        return _number_size(content)
    if kind == "L":
        return 3 + len(content) + _elements_size(content)
    if kind == "M":
        return 3 + len(content) + sum(map(_text_size, content)) + _elements_size(content.values())
    match kind:
        case "S":
            return _text_size(content)
        case "B":
            return _binary_size(content)
        case "SS":
            return sum(map(_text_size, content))
        case "NS":
            return sum(map(_number_size, content))
        case "BS":
            return sum(map(_binary_size, content))
        case _:
            return 1
