"""JSON ⇄ item: values are checked and made canonical here, once, at the border.

Rules of this file: one walk over what a client sent; it reuses the decoder's dicts, so the caller hands
them over. Wrong JSON types are SerializationExceptions, wrong values ValidationExceptions, in AWS's words.
Source: semantics §6.3, §6.5.
"""

import binascii
from collections.abc import Callable, Collection
from typing import Any, Final, NoReturn

import orjson

from tailrace.errors import CORAL, ApiError
from tailrace.values.canonical import is_plain, normalise, number_bytes
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wordings import WrongValue

NESTING: Final = 32
BOTTOMLESS: Final = -1_000_000
"""Counted from here no value is too deep: JSON of that depth is not read."""
NAME_BYTES: Final = 65_535
SHORTEST_LONG_NAME: Final = NAME_BYTES // 4
"""Fewer characters never make more bytes than a name may have."""
BOOLEAN_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
VALUE_CLASS: Final = "com.amazonaws.dynamodb.v20120810.AttributeValue"


class Checked(dict[str, Any]):
    """An item or a value that has been read already: canonical, and not to be read again."""

    __slots__ = ()


def dump_item(item: Item) -> bytes:
    """An item as the JSON bytes that are stored and answered."""
    return orjson.dumps(item)


def read_item(raw: object) -> Item:
    """An item as a client sent it, canonical. It takes over `raw`. Raises: ApiError, wrong types before wrong
    values.

    >>> read_item({"n": {"N": "1.0"}, "tags": {"SS": ["b", "a"]}})
    {'n': {'N': '1'}, 'tags': {'SS': ['a', 'b']}}
    """
    if type(raw) is not dict:
        if type(raw) is Checked:
            return raw
        _wrong_map(raw)
    try:
        for name, value in raw.items():
            # Nearly every attribute is one of these two, and then nothing is to be done.
            if type(value) is dict and len(value) == 1:
                content = value.get("S")
                if type(content) is str:
                    continue
                content = value.get("N")
                if type(content) is str and is_plain(content):
                    continue
            raw[name] = _read(value, 1)
    except ApiError:
        _check_types(raw)
        raise
    if "" in raw or max(map(len, raw), default=0) > SHORTEST_LONG_NAME:
        check_names(raw)
    return raw


def read_value(raw: object, *, any_depth: bool = False) -> AttributeValue:
    """One value as a client sent it, canonical. It takes over `raw`. Raises: ApiError, wrong types before
    wrong values.
    """
    try:
        return _read(raw, BOTTOMLESS if any_depth else 1)
    except ApiError:
        _check_types({"": raw})
        raise


def depth_of(value: AttributeValue) -> int:
    """How many levels a value has. Units: 1 for anything without elements.

    >>> depth_of({"L": [{"M": {"a": {"S": ""}}}]})
    3
    """
    for kind, content in value.items():
        if kind == "L":
            return 1 + max(map(depth_of, content), default=0)
        if kind == "M":
            return 1 + max(map(depth_of, content.values()), default=0)
    return 1


def _check_types(raw: dict[Any, Any]) -> None:
    """Something is wrong: raise the error for a wrong JSON type anywhere, which is said before any wrong
    value.
    """
    waiting: list[dict[Any, Any]] = [raw]
    while waiting:
        for value in waiting.pop().values():
            if type(value) is not dict:
                _read(value, 1)
            for kind, content in value.items():
                if kind in READERS and content is not None:
                    _check_type(kind, content)
                    if kind == "M":
                        waiting.append(content)
                    elif kind == "L":
                        waiting.append(dict(enumerate(content)))


def _check_type(kind: str, content: Any) -> None:
    """Only the JSON type, not what is inside: at the deepest level no reader goes further."""
    try:
        READERS[kind](content, NESTING)
    except ApiError as error:
        if error.code == "SerializationException":
            raise


def check_names(names: Collection[str]) -> None:
    """The border of attribute names, whatever a request says them in. Raises: ApiError. Source: semantics
    §6.3.
    """
    if "" in names:
        raise WrongValue("empty name")
    for name in names:
        if len(name) > SHORTEST_LONG_NAME and len(name.encode()) > NAME_BYTES:
            raise WrongValue("long name")


def _read(raw: object, depth: int) -> AttributeValue:
    if type(raw) is not dict:
        if type(raw) is Checked:
            return raw
        if isinstance(raw, list):
            serialization_error(f"Unrecognized collection type class {VALUE_CLASS}")
        serialization_error("Unexpected value type in payload")
    present = raw
    if len(raw) != 1:
        # Members that are null or unknown do not count.
        present = {kind: content for kind, content in raw.items() if kind in READERS and content is not None}
    for kind in present:
        reader = READERS.get(kind)
        if reader is None or present[kind] is None:
            raise WrongValue("no type")
        present[kind] = reader(present[kind], depth)
    if len(present) != 1:
        raise WrongValue("several types" if present else "no type")
    return present


# ---- wrong JSON types --------------------------------------------------------------------------------------


def serialization_error(message: str) -> NoReturn:
    """Raise the error for a JSON type that does not fit."""
    raise ApiError("SerializationException", message, prefix=CORAL)


def read_boolean(raw: object) -> bool:
    """A boolean, or a word that AWS's parser takes for one. Raises: ApiError.

    >>> read_boolean("True"), read_boolean("no")
    (True, False)
    """
    if isinstance(raw, str):
        if (boolean := BOOLEAN_WORDS.get(raw.lower())) is None:
            serialization_error("Unexpected token received from parser")
        return boolean
    if not isinstance(raw, bool):
        wrong_type(raw, "Boolean")
    return raw


def wrong_type(raw: object, wanted: str) -> NoReturn:
    """Raise the error for a scalar of another JSON type. `wanted` is the Java class, e.g. `String`."""
    match raw:
        case bool():
            serialization_error(f"{str(raw).upper()}_VALUE cannot be converted to {wanted}")
        case int():
            serialization_error(f"NUMBER_VALUE cannot be converted to {wanted}")
        case float():
            serialization_error(f"DECIMAL_VALUE cannot be converted to {wanted}")
        case str():
            serialization_error(f"STRING_VALUE cannot be converted to {wanted}")
        case list():
            serialization_error(f"Unrecognized collection type class java.lang.{wanted}")
        case _:
            serialization_error("Start of structure or map found where not expected")


def _wrong_map(raw: object) -> NoReturn:
    if isinstance(raw, list):
        serialization_error(f"Unrecognized collection type java.util.Map<java.lang.String, {VALUE_CLASS}>")
    serialization_error("Unexpected field type")


# ---- one reader a type -------------------------------------------------------------------------------------


def _string(raw: Any, depth: int) -> str:
    if type(raw) is not str:
        wrong_type(raw, "String")
    return raw


def _number(raw: Any, depth: int) -> str:
    return normalise(_string(raw, depth))


def _binary(raw: Any, depth: int) -> str:
    match raw:
        case str():
            pass
        case list():
            serialization_error("Unrecognized collection type class java.nio.ByteBuffer")
        case dict():
            serialization_error("Start of structure or map found where not expected")
        case _:
            serialization_error("only base-64-encoded strings are convertible to bytes")
    if len(raw) % 4:
        serialization_error(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(raw)}")
    try:
        canonical = binascii.b2a_base64(binascii.a2b_base64(raw, strict_mode=True), newline=False).decode()
    except (binascii.Error, ValueError):
        canonical = None
    if canonical != raw:
        serialization_error("Invalid last non-pad Base64 character dectected")  # AWS's spelling
    return raw


def _bool(raw: Any, depth: int) -> bool:
    return raw if type(raw) is bool else read_boolean(raw)


def _null(raw: Any, depth: int) -> bool:
    if _bool(raw, depth) is not True:
        raise WrongValue("null is false")
    return True


def _elements(raw: Any) -> list[Any]:
    if type(raw) is not list:
        if isinstance(raw, dict):
            serialization_error("Start of structure or map found where not expected")
        serialization_error("Unexpected field type")
    return raw


def _string_set(raw: Any, depth: int) -> list[str]:
    elements = [_string(element, depth) for element in _elements(raw)]
    if not elements:
        raise WrongValue("empty string set")
    if len(set(elements)) != len(elements):
        raise WrongValue("duplicate strings", elements)
    return sorted(elements, key=str.encode)


def _number_set(raw: Any, depth: int) -> list[str]:
    elements = [_number(element, depth) for element in _elements(raw)]
    if not elements:
        raise WrongValue("empty number set")
    if len(set(elements)) != len(elements):
        raise WrongValue("duplicate numbers")
    return sorted(elements, key=number_bytes)


def _binary_set(raw: Any, depth: int) -> list[str]:
    elements = [_binary(element, depth) for element in _elements(raw)]
    if not elements:
        raise WrongValue("empty binary set")
    if len(set(elements)) != len(elements):
        raise WrongValue("duplicate binaries", elements)
    return sorted(elements, key=binascii.a2b_base64)


def sorted_set(kind: str, elements: list[str]) -> list[str]:
    """The elements of a set in its canonical order. They are canonical and distinct.

    >>> sorted_set("NS", ["10", "9"])
    ['9', '10']
    """
    return sorted(elements, key=SET_KEYS[kind])


SET_KEYS: Final[dict[str, Callable[[str], bytes]]] = {
    "SS": str.encode, "NS": number_bytes, "BS": binascii.a2b_base64,
}  # fmt: skip


def _deeper(depth: int) -> int:
    if depth >= NESTING:
        raise WrongValue("depth")
    return depth + 1


def _list(raw: Any, depth: int) -> list[AttributeValue]:
    elements = _elements(raw)
    inside = _deeper(depth) if elements else depth
    return [_read(element, inside) for element in elements]


def _map(raw: Any, depth: int) -> Item:
    if type(raw) is not dict:
        _wrong_map(raw)
    inside = _deeper(depth) if raw else depth
    for name in raw:
        raw[name] = _read(raw[name], inside)
    if raw:
        check_names(raw)
    return raw


READERS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "S": _string, "N": _number, "B": _binary, "BOOL": _bool, "NULL": _null, "SS": _string_set,
    "NS": _number_set, "BS": _binary_set, "L": _list, "M": _map,
}  # fmt: skip
