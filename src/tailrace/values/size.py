"""Size: what DynamoDB counts for a value and for an item.

Rules of this file: UTF-8 bytes of names and strings, the raw bytes of binaries. Source: semantics §6.3.
"""

from collections.abc import Iterable
from typing import Any, Final

from tailrace.values.types import AttributeValue, Item

LARGE_KINDS: Final = ("L", "M", "SS", "NS", "BS")


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
        total += len(name) if name.isascii() else len(name.encode())  # `_text` in place: this loop is hot
        for kind, content in value.items():
            if kind == "S":
                total += len(content) if content.isascii() else len(content.encode())
            else:
                total += _content(kind, content)
    return total


def size_shared(item: Item) -> int:
    """The same for an item in which one large value may stand at many places: it is weighed once.

    >>> shared = {"L": [{"S": "a"}]}
    >>> size_shared({"a": shared, "b": shared}) == size_bytes({"a": shared, "b": shared})
    True
    """
    weights: dict[int, int] = {}
    return sum(_text(name) + _weight(value, weights) for name, value in item.items())


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
                    known = 3 + sum(1 + _text(name) + _weight(one, weights) for name, one in content.items())
                case _:
                    known = _content(kind, content)
            weights[id(content)] = known
        return known
    return 0


def value_size(value: AttributeValue) -> int:
    """Size of one value, without its name. Units: bytes."""
    for kind, content in value.items():
        if kind == "S":
            return len(content) if content.isascii() else len(content.encode())
        return _content(kind, content)
    return 0


def _text(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _binary(text: str) -> int:
    return len(text) // 4 * 3 - text.count("=")


def _number(text: str) -> int:
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


def _elements(elements: Iterable[AttributeValue]) -> int:
    total = 0
    for element in elements:  # the commonest kinds in place: an item may have hundreds of thousands
        for kind, content in element.items():
            if kind == "S":
                total += len(content) if content.isascii() else len(content.encode())
            elif kind == "NULL" or kind == "BOOL":
                total += 1
            elif kind == "N":
                total += _number(content)
            else:
                total += _content(kind, content)
            break
    return total


def _content(kind: str, content: Any) -> int:
    if kind == "N":
        return _number(content)
    if kind == "L":
        return 3 + len(content) + _elements(content)
    if kind == "M":
        return 3 + len(content) + sum(map(_text, content)) + _elements(content.values())
    match kind:
        case "S":
            return _text(content)
        case "B":
            return _binary(content)
        case "SS":
            return sum(map(_text, content))
        case "NS":
            return sum(map(_number, content))
        case "BS":
            return sum(map(_binary, content))
        case _:
            return 1
