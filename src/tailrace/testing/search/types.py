"""Mappings of the search cluster in memory: which documents they take, and what dynamic mapping adds.

Rules of this file: what a server refuses is refused with its type of error. Where the documentation leaves
something to versions, the stricter one holds.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Any, Final

METADATA: Final = frozenset(("_id", "_index", "_source", "_type", "_routing", "_version", "_seq_no"))
TEXTS: Final = frozenset(("text", "keyword"))
WHOLE: Final = {"long": 2**63, "integer": 2**31, "short": 2**15, "byte": 2**7}
FLOATING: Final = frozenset(("double", "float"))
KNOWN: Final = frozenset((*TEXTS, *WHOLE, *FLOATING, "boolean", "binary", "date", "object", "nested"))
LONGEST_TERM: Final = 32_766
DEEPEST: Final = 20


class SearchError(Exception):
    """What a server answers instead. Shape: `kind` is its name for it."""

    def __init__(self, status: int, kind: str, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.kind = kind
        self.reason = reason
        self.cause = cause

    @property
    def members(self) -> dict[str, Any]:
        """As it stands in an answer."""
        caused = {"caused_by": {"type": "illegal_argument_exception", "reason": self.cause}}
        return {"type": self.kind, "reason": self.reason, **(caused if self.cause else {})}


def illegal(reason: str) -> SearchError:
    """An argument that is not allowed."""
    return SearchError(400, "illegal_argument_exception", reason)


def unparsed(reason: str, cause: str = "") -> SearchError:
    """A document that does not fit its mapping."""
    return SearchError(400, "mapper_parsing_exception", reason, cause)


# ---- mappings ----------------------------------------------------------------------------------------------


def merged(old: Mapping[str, Any], new: Mapping[str, Any], most_fields: int) -> dict[str, Any]:
    """A mapping with what a PUT adds. Raises: SearchError for a type that would change, and for too many."""
    whole = {**old, **{name: value for name, value in new.items() if name != "properties"}}
    whole["properties"] = _merged_properties(old.get("properties", {}), new.get("properties", {}), "", 1)
    if count(whole["properties"]) > most_fields:
        raise illegal(f"Limit of total fields [{most_fields}] has been exceeded")
    return whole


def _merged_properties(
    old: Mapping[str, Any], new: Mapping[str, Any], before: str, depth: int
) -> dict[str, Any]:
    if depth > DEEPEST and new:
        raise illegal(f"Limit of mapping depth [{DEEPEST}] has been exceeded due to object field [{before}]")
    properties = dict(old)
    for name, field in new.items():
        path = f"{before}{name}"
        if not name.strip() or "." in name:
            raise unparsed(f"name [{name}] of a field is not allowed")
        kind = field.get("type", "object")
        if kind not in KNOWN:
            raise unparsed(f"No handler for type [{kind}] declared on field [{path}]")
        there = properties.get(name)
        if there is not None and there.get("type", "object") != kind:
            have = there.get("type", "object")
            raise illegal(f"mapper [{path}] cannot be changed from type [{have}] to [{kind}]")
        known = {} if there is None else there
        properties[name] = {**known, **field}
        if "properties" in field or "properties" in known:
            properties[name]["properties"] = _merged_properties(
                known.get("properties", {}), field.get("properties", {}), f"{path}.", depth + 1
            )
    return properties


def count(properties: Mapping[str, Any]) -> int:
    """Fields, objects and sub-fields."""
    return sum(
        1 + len(field.get("fields", {})) + count(field.get("properties", {})) for field in properties.values()
    )


# ---- documents ---------------------------------------------------------------------------------------------


def check_document(document: Any, mapping: Mapping[str, Any], id: str) -> dict[str, Any]:
    """Require that a mapping takes a document. Returns: the properties that dynamic mapping adds. Raises:
    SearchError.
    """
    if not isinstance(document, dict):
        raise unparsed("failed to parse", "not an object")
    added: dict[str, Any] = {}
    _check_members(document, mapping.get("properties", {}), mapping.get("dynamic", True), "", id, added)
    return added


def _check_members(
    members: Mapping[str, Any],
    properties: Mapping[str, Any],
    dynamic: Any,
    before: str,
    id: str,
    added: dict[str, Any],
) -> None:
    for name, value in members.items():
        path = f"{before}{name}"
        if not before and name in METADATA:
            raise unparsed(f"Field [{name}] is a metadata field and cannot be added inside a document.")
        if not name.strip(". ") or name.startswith(".") or name.endswith("."):
            raise unparsed(f"field name [{name}] cannot be empty or begin or end with a dot")
        if "." in name:
            raise unparsed(f"[{path}] is spread over objects, which this cluster in memory does not do")
        field = properties.get(name)
        if field is None:
            field = _dynamic_field(value, dynamic, path, id)
            if field is None:
                continue
            added[name] = field
        inside = added.setdefault(name, {}).setdefault("properties", {}) if name in added else {}
        _check_value(value, field, path, id, inside)


def _dynamic_field(value: Any, dynamic: Any, path: str, id: str) -> dict[str, Any] | None:
    while isinstance(value, list) and value:
        value = value[0]
    if str(dynamic).lower() == "strict":
        raise SearchError(
            400,
            "strict_dynamic_mapping_exception",
            f"mapping set to strict, dynamic introduction of [{path}] within [_doc] is not allowed",
        )
    if str(dynamic).lower() == "false" or value is None or value == []:
        return None
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "long"}
        case float():
            return {"type": "float"}
        case dict():
            return {"type": "object", "properties": {}}
    return {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}


def _check_value(value: Any, field: Mapping[str, Any], path: str, id: str, added: dict[str, Any]) -> None:
    kind = field.get("type", "object")
    if kind in ("object", "nested") and field.get("enabled") is False:
        _check_names(value)
        return
    if isinstance(value, list):
        for element in value:
            _check_value(element, field, path, id, added)
        return
    if value is None:
        return
    if kind in ("object", "nested"):
        if not isinstance(value, dict):
            raise unparsed(
                f"object mapping for [{path}] tried to parse field [{path}] as object, but found a "
                "concrete value"
            )
        _check_members(value, field.get("properties", {}), field.get("dynamic", False), f"{path}.", id, added)
        return
    if isinstance(value, dict):
        raise _failed(path, kind, id, "Can't get text on a START_OBJECT")
    _check_scalar(value, kind, path, id)
    for name, sub in field.get("fields", {}).items():
        if sub["type"] == "keyword" and len(str(value)) <= sub.get("ignore_above", 2**31):
            _check_scalar(value, "keyword", f"{path}.{name}", id)


def _check_names(value: Any) -> None:
    """Names inside what is not parsed: some versions look at them all the same."""
    if isinstance(value, list):
        for element in value:
            _check_names(element)
    elif isinstance(value, dict):
        for name, inside in value.items():
            if not name.strip(". "):
                raise unparsed("field name cannot contain only whitespace or dots")
            _check_names(inside)


def _check_scalar(value: Any, kind: str, path: str, id: str) -> None:
    try:
        if kind == "keyword" and len(str(value).encode()) > LONGEST_TERM:
            raise illegal(f'Document contains at least one immense term in field="{path}"')
        if (
            kind in WHOLE
            and not -WHOLE[kind] <= int(float(value) if "." in str(value) else value) < WHOLE[kind]
        ):
            raise ValueError(f"Value [{value}] is out of range for a {kind}")
        if kind in FLOATING or kind in WHOLE:
            if isinstance(value, bool):
                raise ValueError(f"boolean [{value}] is no number")
            float(value)
        elif kind == "boolean" and value not in (True, False, "true", "false", ""):
            raise ValueError(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")
        elif kind == "binary":
            b64decode(value, validate=True)
        elif kind == "date" and not (isinstance(value, int) or str(value)[:4].isdigit()):
            raise ValueError(f"failed to parse date field [{value}]")
    except (ValueError, TypeError, Error) as error:
        raise _failed(path, kind, id, str(error)) from error


def _failed(path: str, kind: str, id: str, cause: str) -> SearchError:
    return unparsed(f"failed to parse field [{path}] of type [{kind}] in document with id '{id}'", cause)
