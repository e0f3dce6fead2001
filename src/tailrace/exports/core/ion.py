"""Data files in Amazon Ion, text or binary: values as DynamoDB writes them, one after the other; and lines of
text, written.

Theory of operation: Ion knows fewer kinds of values than DynamoDB and says the rest by annotations: a set is
a list annotated `$dynamodb_SS`, `$dynamodb_NS` or `$dynamodb_BS`. Numbers are decimals, which are exact; a
binary float is not, and is refused. A member of an item becomes DynamoDB JSON and goes through the same check
as a line of JSON.
Rules of this file: pure; the parser is amazon.ion's (extra `exports`), fed from chunks, so that a file is
never held whole. Source: analytics §2.1.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from tailrace.errors import SettingsError
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.lines import MICROS, exported_of
from tailrace.exports.core.unreadable import Unreadable
from tailrace.values.types import AttributeValue, Item

SETS: Final = {"$dynamodb_SS": "SS", "$dynamodb_NS": "NS", "$dynamodb_BS": "BS"}
IMAGES: Final = frozenset(("Item", "Keys", "NewImage", "OldImage"))
RECORD: Final = "Record"
"""Changes of an incremental export have been described inside a member of this name, and without it."""


def ion_values(chunks: Iterable[bytes]) -> Iterator[object]:
    """Every value at the top, as amazon.ion has it.

    Raises:  Unreadable, once the values before are told; SettingsError without the extra.
    """
    try:
        from amazon.ion import simpleion
        from amazon.ion.exceptions import IonException

    except ModuleNotFoundError as error:
        raise _without_extra() from error
    models = simpleion.IonPyValueModel
    bare = models.MAY_BE_BARE | models.STRUCT_AS_STD_DICT
    try:
        yield from simpleion.load(_Chunks(chunks), single_value=False, parse_eagerly=False, value_model=bare)
    except (IonException, ArithmeticError, UnicodeError, RecursionError) as error:
        raise Unreadable(f"no Ion ({error})") from error


def _without_extra() -> SettingsError:
    return SettingsError(
        "exports in ION need the extra `exports`", hint="pip install '.[exports]' in the checkout"
    )


class _Chunks:
    """Chunks as the parser reads them: like a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes; none at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        part = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(part) :]
        return bytes(part)


def exported_of_ion(value: object, is_full: bool | None) -> ExportedItem:
    """What a value says. Shape: `is_full` as of `exported_of_json`. Raises: Unreadable."""
    return exported_of(_members(value), is_full)


def _members(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping) and set(value) == {RECORD}:
        value = value[RECORD]
    if not isinstance(value, Mapping):
        raise Unreadable(f"no struct, but {_kind(value)}")
    return {
        str(name): _image(inside) if name in IMAGES else _metadata(inside) for name, inside in value.items()
    }


def _image(value: object) -> Any:
    if not isinstance(value, Mapping):
        raise Unreadable(f"no struct of attributes, but {_kind(value)}")
    return {str(name): attribute_of(inside) for name, inside in value.items()}


def _metadata(value: object) -> Any:
    """Metadata as JSON would say it: its numbers are integers."""
    if isinstance(value, Mapping):
        return {str(name): _metadata(inside) for name, inside in value.items()}
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def attribute_of(value: Any) -> AttributeValue:
    """DynamoDB JSON of an attribute's value in Ion. Raises: Unreadable for what DynamoDB never writes."""
    annotations = getattr(value, "ion_annotations", ())
    if annotations:
        return _set(value, [annotation.text for annotation in annotations])
    match value:
        case bool():
            return {"BOOL": bool(value)}
        case str() if _kind(value) in ("str", "string"):
            return {"S": str(value)}
        case int() | Decimal():
            return {"N": _number(value)}
        case bytes() if _kind(value) in ("bytes", "blob"):
            return {"B": b64encode(value).decode()}
        case list():
            return {"L": [attribute_of(element) for element in value]}
        case Mapping():
            return {"M": {str(name): attribute_of(inside) for name, inside in value.items()}}
    if value is None or type(value).__name__ == "IonPyNull":
        return {"NULL": True}
    raise Unreadable(f"a {_kind(value)}, which DynamoDB does not have: {value!r}")


def _set(value: Any, annotations: list[str]) -> AttributeValue:
    kind = SETS.get(annotations[0]) if len(annotations) == 1 else None
    if kind is None or not isinstance(value, list):
        raise Unreadable(f"a {_kind(value)} annotated {'::'.join(map(str, annotations))}")
    elements = [attribute_of(element) for element in value]
    if any(kind[0] not in element for element in elements):
        raise Unreadable(f"a set {annotations[0]} with other elements than {kind[0]}")
    return {kind: [element[kind[0]] for element in elements]}


def _number(value: int | Decimal) -> str:
    """Digits and exponent; Ion's negative zero is the zero that DynamoDB has."""
    return str(int(value)) if isinstance(value, int) else str(Decimal(value))


def _kind(value: object) -> str:
    ion_type = getattr(value, "ion_type", None)
    return type(value).__name__ if ion_type is None else str(ion_type.name).lower()


# ---- written -----------------------------------------------------------------------------------------------


def ion_of(exported: ExportedItem) -> bytes:
    """The line of an item or a change, without its end. Guarantee: read again it is the same.

    Raises:  SettingsError without the extra.
    """
    try:
        from amazon.ion import simpleion
    except ModuleNotFoundError as error:
        raise _without_extra() from error
    text = simpleion.dumps(ion_members(exported), binary=False, omit_version_marker=True)
    return f"$ion_1_0 {text}".encode()


def ion_members(exported: ExportedItem) -> dict[str, Any]:
    """The members of a line, as amazon.ion writes them."""
    if exported.keys is None:
        return {"Item": _ion_item(exported.new or {})}
    members: dict[str, Any] = {
        "Metadata": {MICROS: Decimal(exported.written_us or 0)},
        "Keys": _ion_item(exported.keys),
    }
    for name, image in (("NewImage", exported.new), ("OldImage", exported.old)):
        if image is not None:
            members[name] = _ion_item(image)
    return members


def _ion_item(item: Item) -> dict[str, Any]:
    return {name: _ion_value(value) for name, value in item.items()}


def _ion_value(value: AttributeValue) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return Decimal(content)
        case "B":
            return b64decode(content)
        case "NULL":
            return None
        case "L":
            return [_ion_value(element) for element in content]
        case "M":
            return _ion_item(content)
        case "SS" | "NS" | "BS":
            return _ion_set(kind, content)
    return content


def _ion_set(kind: str, content: list[str]) -> Any:
    from amazon.ion.core import IonType
    from amazon.ion.simple_types import IonPyList

    elements = [_ion_value({kind[0]: element}) for element in content]
    return IonPyList.from_value(IonType.LIST, elements, annotations=(f"$dynamodb_{kind}",))
