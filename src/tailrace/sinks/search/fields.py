"""Fields of an index: which type an attribute gets, which values fit there, and what goes to `_extra`.

Theory of operation: a search index fixes a field's type with its first value, and refuses a document whose
value is of another. So the sink gives the types itself, and dynamic mapping is off. The first value of a path
fixes its type, for good; numbers are doubles at once, whatever the first one looks like. A value that does
not fit goes to `_extra`, by its JSON pointer, as the text of its DynamoDB JSON: there it is kept, and not
searched; a text, because names inside it may be ones that no server takes. Fields
that the user's own mapping declares are taken as they are.
Rules of this file: pure. Nothing is rounded: a number that no double shows exactly is written as its digits,
which the server searches as the nearest double, and as text under `.exact`.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import orjson
from msgspec import Struct

from tailrace.columns.kinds import Kind
from tailrace.values.types import AttributeValue, Item

EXTRA: Final = "_extra"
KEY: Final = "tailrace_key"
VERSION: Final = "_version_pair"
DELETED: Final = "tailrace_deleted"
CHANGED_AT: Final = "tailrace_changed_at"
CHANGED_US: Final = "tailrace_changed_us"
SOURCES: Final = "tailrace_sources"
MISFITS: Final = "tailrace_misfits"
"""How many values of the item are in `_extra`; absent for none."""
OURS: Final[Mapping[str, Mapping[str, Any]]] = {
    KEY: {"type": "keyword"},
    VERSION: {"type": "keyword"},
    DELETED: {"type": "boolean"},
    CHANGED_AT: {"type": "date", "format": "epoch_millis"},
    CHANGED_US: {"type": "long"},
    MISFITS: {"type": "integer"},
    SOURCES: {"type": "object", "enabled": False},
    EXTRA: {"type": "object", "enabled": False},
}
"""What every document has beside its attributes."""
METADATA: Final = frozenset(
    [
        "_doc_count",
        "_feature",
        "_field_names",
        "_id",
        "_ignored",
        "_ignored_source",
        "_index",
        "_inference_fields",
        "_nested_path",
        "_primary_term",
        "_routing",
        "_seq_no",
        "_size",
        "_source",
        "_tier",
        "_tsid",
        "_type",
        "_version",
    ]
)
"""Names that a server keeps for itself, of both products and of their older versions."""
DEEPEST: Final = 20
"""`index.mapping.depth.limit`. DynamoDB nests up to 32 levels."""
LONGEST: Final = 256
"""So long a text is also a keyword, as dynamic mapping has it. Units: characters."""

NUMBER: Final = "double"
TEXT: Final = "text"
BOOLEAN: Final = "boolean"
BINARY: Final = "binary"
OBJECT: Final = "object"
OPAQUE: Final = "opaque"
"""Of a field whose content the sink does not look into: `enabled: false`, and every type not named here."""
NEW: Final[Mapping[str, Mapping[str, Any]]] = {
    NUMBER: {"type": NUMBER, "fields": {"exact": {"type": "keyword"}}},
    TEXT: {"type": TEXT, "fields": {"keyword": {"type": "keyword", "ignore_above": LONGEST}}},
    BOOLEAN: {"type": BOOLEAN},
    BINARY: {"type": BINARY},
    OBJECT: {"type": OBJECT},
}
"""What a field is declared as when its first value is seen."""
DECLARED: Final[Mapping[str, Mapping[str, Any]]] = {
    "int64": {"type": "long"},
    "decimal": NEW[NUMBER],
    "digits": NEW[NUMBER],
    "text": NEW[TEXT],
    "bool": NEW[BOOLEAN],
    "binary": NEW[BINARY],
}
"""By the kind of a column (columns/kinds.py)."""
SCALARS: Final = {"S": TEXT, "N": NUMBER, "BOOL": BOOLEAN, "B": BINARY}
LISTS: Final = {"SS": "S", "NS": "N", "BS": "B"}
TEXTS: Final = frozenset((TEXT, "keyword", "wildcard", "match_only_text", "search_as_you_type"))
NUMBERS: Final = frozenset((NUMBER, "float", "half_float", "scaled_float"))
WHOLE: Final[Mapping[str, tuple[int, int]]] = {
    "long": (-(2**63), 2**63 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-(2**7), 2**7 - 1),
    "unsigned_long": (0, 2**64 - 1),
}
OBJECTS: Final = frozenset((OBJECT, "nested"))
SAFE_DIGITS: Final = 15
"""So many digits every double shows exactly."""

Fields: TypeAlias = Mapping[str, str]
"""Types by the dotted path of a field."""


class Fitted(Struct, frozen=True):
    """An item as a document. Shape: `added` are the fields that its index does not have yet."""

    document: dict[str, Any]
    added: dict[str, str]
    misfits: int


class _Misfit(Exception):
    """A value that its field does not take."""


def fitted(item: Item, fields: Fields) -> Fitted:
    """An item's attributes as the fields of a document.

    Guarantee: nothing is lost: what is not in a field is in `_extra`, and counted.

    >>> shown = fitted({"id": {"S": "a"}, "n": {"N": "1.50"}, "when": {"S": "x"}}, {"when": "double"})
    >>> shown.document["_extra"], shown.added, shown.misfits
    ([{'pointer': '/when', 'value': '{"S":"x"}'}], {'id': 'text', 'n': 'double'}, 1)
    """
    walk = _Walk(fields)
    document = walk.members(item)
    if walk.extra:
        document[EXTRA] = [
            {"pointer": place, "value": orjson.dumps(value).decode()} for place, value in walk.extra.items()
        ]
    return Fitted(document, walk.added, len(walk.extra))


class _Walk:
    """One way through an item."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.added: dict[str, str] = {}
        self.extra: dict[str, AttributeValue] = {}

    def members(
        self, values: Mapping[str, AttributeValue], above: tuple[str, ...] = (), *, in_list: bool = False
    ) -> dict[str, Any]:
        """Attributes, or the members of a map whose names are `above`. Raises: _Misfit inside a list, where
        `_extra` could not say which element it was.
        """
        document: dict[str, Any] = {}
        prefix = "".join(f"{name}." for name in above)
        added, is_root, is_too_deep = self.added, not above, len(above) >= DEEPEST
        for name, value in values.items():
            mark = len(added)
            try:
                if is_too_deep or not may_be_field(name, is_root=is_root):
                    raise _Misfit
                document[name] = self._value(value, prefix + name, (above, name), in_list)
            except _Misfit:
                if in_list:
                    raise
                while len(added) > mark:
                    added.popitem()
                self.extra[pointer((*above, name))] = value
        return document

    def _value(
        self, value: AttributeValue, path: str, names: tuple[tuple[str, ...], str], in_list: bool
    ) -> Any:
        """One value of the field at a dotted path, whose names are those above and its own."""
        for kind, content in value.items():
            if kind == "NULL":
                return None
            if kind == "L":
                return [self._value(inside, path, names, True) for inside in content]
            if kind in LISTS:
                return [self._value({LISTS[kind]: inside}, path, names, True) for inside in content]
            there = self._fields.get(path)
            if there is None:
                there = self.added.setdefault(path, OBJECT if kind == "M" else SCALARS[kind])
            if there == OPAQUE:
                return plain(value)
            if kind != "M":
                return _scalar(kind, content, there)
            if there in OBJECTS:
                return self.members(content, (*names[0], names[1]), in_list=in_list)
        raise _Misfit


def _scalar(kind: str, content: Any, there: str) -> Any:
    if kind == "N":
        if there in NUMBERS:
            return number(content)
        if (bounds := WHOLE.get(there)) is not None and "." not in content:
            whole = int(Decimal(content))
            if bounds[0] <= whole <= bounds[1] and whole == Decimal(content):
                return whole
    elif (kind == "S" and there in TEXTS) or SCALARS[kind] == there:
        return content
    raise _Misfit


def number(text: str) -> Any:
    """A number of DynamoDB as JSON: a number if a double shows it exactly, else its digits as a text.

    >>> number("12"), orjson.dumps(number("0.1")), number("12345678901234567890")
    (12, b'0.1', '12345678901234567890')
    """
    if len(text) <= SAFE_DIGITS and text.lstrip("-").isdigit():
        return int(text)
    exact = Decimal(text)
    if Decimal(repr(float(exact))) != exact:
        return text
    return orjson.Fragment(text)


def plain(value: AttributeValue) -> Any:
    """A value as JSON, without regard to any field."""
    for kind, content in value.items():
        if kind == "NULL":
            return None
        if kind == "M":
            return {name: plain(inside) for name, inside in content.items()}
        if kind == "L":
            return [plain(inside) for inside in content]
        if kind == "NS":
            return [number(inside) for inside in content]
        return number(content) if kind == "N" else content
    raise ValueError(f"no attribute value: {value}")


def may_be_field(name: str, *, is_root: bool) -> bool:
    """Whether a server takes a name for a field as it stands, and we do not use it ourselves.

    >>> [may_be_field(name, is_root=True) for name in ("id", "a.b", "", " ", "_id", "tailrace_key")]
    [True, False, False, False, False, False]
    """
    return "." not in name and bool(name.strip()) and not (is_root and (name in METADATA or name in OURS))


def pointer(path: Iterable[str]) -> str:
    """Where a value stands in an item, unmistakably. Source: RFC 6901.

    >>> pointer(["a.b", "c/d"])
    '/a.b/c~1d'
    """
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


# ---- mappings ----------------------------------------------------------------------------------------------


def fields_of(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a mapping, as a server answers it, without ours.

    >>> fields_of({"properties": {"a": {"properties": {"b": {"type": "long"}}}, "c": {"type": "date"}}})
    {'a': 'object', 'a.b': 'long', 'c': 'opaque'}
    """
    fields: dict[str, str] = {}
    _read(mapping.get("properties", {}), "", fields)
    return {path: kind for path, kind in fields.items() if path not in OURS}


def _read(properties: Mapping[str, Any], before: str, fields: dict[str, str]) -> None:
    for name, field in properties.items():
        path, kind = before + name, field.get("type", OBJECT)
        is_known = kind in TEXTS | NUMBERS | OBJECTS or kind in WHOLE or kind in NEW
        fields[path] = kind if is_known and field.get("enabled", True) else OPAQUE
        _read(field.get("properties", {}), f"{path}.", fields)


def declared_mapping(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """What an `Item` class says of its fields: whole numbers have all 64 bits. What may be of several types
    gets its field with its first value.

    >>> from tailrace.columns.kinds import INT64
    >>> declared_mapping({"n": INT64})
    {'properties': {'n': {'type': 'long'}}}
    """
    properties = {
        name: dict(DECLARED[kind.family])
        for name, kind in kinds.items()
        if kind.family in DECLARED and may_be_field(name, is_root=True)
    }
    return {"properties": properties}


def mapping_of(added: Fields) -> dict[str, Any]:
    """What declares fields. Shape: a member comes after its object.

    >>> mapping_of({"a": "object", "a.b": "boolean"})
    {'properties': {'a': {'type': 'object', 'properties': {'b': {'type': 'boolean'}}}}}
    """
    mapping: dict[str, Any] = {}
    for path, kind in added.items():
        *objects, name = path.split(".")
        place = mapping
        for above in objects:
            place = place.setdefault("properties", {}).setdefault(above, {})
        place.setdefault("properties", {})[name] = dict(NEW[kind])
    return mapping
