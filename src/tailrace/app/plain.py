"""Attribute values ⇄ plain Python: what handlers see and what they write.

Rules of this file: lossless. Numbers are Decimal, binaries bytes, sets sets, NULL is None. A float is
refused: it is not the number that was written. Called by change.py, transaction.py and the test world.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_item

SET_KINDS: Final = {str: "SS", Decimal: "NS", int: "NS", bytes: "BS"}


def to_plain(value: AttributeValue) -> Any:
    """One attribute value as a plain one.

    >>> to_plain({"L": [{"N": "1.5"}, {"NULL": True}]})
    [Decimal('1.5'), None]
    """
    for kind, content in value.items():
        match kind:
            case "S" | "BOOL":
                return content
            case "N":
                return Decimal(content)
            case "M":
                return {name: to_plain(inside) for name, inside in content.items()}
            case "L":
                return [to_plain(inside) for inside in content]
            case "NULL":
                return None
            case "B":
                return b64decode(content)
            case "SS":
                return set(content)
            case "NS":
                return {Decimal(number) for number in content}
            case "BS":
                return {b64decode(binary) for binary in content}
    raise ValueError(f"no attribute value: {value}")


def to_plain_item(item: Item) -> dict[str, Any]:
    """An item as a dictionary of plain values."""
    return {name: to_plain(value) for name, value in item.items()}


def to_attribute(value: Any) -> AttributeValue:
    """A plain value as an attribute value. Raises: SettingsError for a type that has no place in DynamoDB."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case bytes():
            return {"B": b64encode(value).decode()}
        case Mapping():
            return {"M": {str(name): to_attribute(inside) for name, inside in value.items()}}
        case list() | tuple():
            return {"L": [to_attribute(inside) for inside in value]}
        case set() | frozenset() if value:
            return _set(value)
        case float():
            raise SettingsError(
                f"{value!r} is a float, and DynamoDB's numbers are exact: write Decimal('{value!r}')"
            )
    raise SettingsError(
        f"{value!r} ({type(value).__name__}) has no DynamoDB type: use str, int, Decimal, bytes, bool, None, "
        "list, dict or a set that is not empty"
    )


def _set(values: set[Any] | frozenset[Any]) -> AttributeValue:
    kinds = {SET_KINDS.get(type(value)) for value in values}
    kind = kinds.pop()
    if kinds or kind is None:
        raise SettingsError(f"{values!r}: a set holds strings, numbers or bytes, all of one kind")
    return {kind: [b64encode(value).decode() if kind == "BS" else str(value) for value in values]}


def to_item(item: Mapping[str, Any]) -> Item:
    """A dictionary of plain values as a canonical item. Raises: SettingsError, ApiError."""
    return read_item({name: to_attribute(value) for name, value in item.items()})
