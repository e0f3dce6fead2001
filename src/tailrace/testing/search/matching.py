"""Searches of the cluster in memory: which documents match, in which order, and what of them is shown.

Rules of this file: only what sinks, their tests and the pages of docs ask; anything else is refused in words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tailrace.testing.search.types import SearchError, illegal


def matches(
    query: Mapping[str, Any], document: Mapping[str, Any], id: str, mapping: Mapping[str, Any]
) -> bool:
    """Whether a query matches a document. Raises: SearchError for a query that is not known."""
    if len(query) != 1:
        raise SearchError(400, "parsing_exception", f"a query has one name, not {sorted(query)}")
    ((kind, about),) = query.items()
    match kind:
        case "match_all":
            return True
        case "ids":
            return id in about["values"]
        case "bool":
            return _bool(about, document, id, mapping)
        case "exists":
            return any(value is not None for value in values(document, about["field"], mapping))
        case "term" | "match" | "terms":
            ((path, wanted),) = about.items()
            if isinstance(wanted, dict):
                wanted = wanted.get("value", wanted.get("query"))
            options: list[Any] = list(wanted) if kind == "terms" else [wanted]
            there = values(document, path, mapping, analysed=True)
            return any(_same(value, option) for value in there for option in options)
        case "range":
            ((path, bounds),) = about.items()
            return any(
                _between(value, bounds) for value in values(document, path, mapping) if value is not None
            )
    raise SearchError(400, "parsing_exception", f"unknown query [{kind}]")


def _bool(about: Mapping[str, Any], document: Mapping[str, Any], id: str, mapping: Mapping[str, Any]) -> bool:
    def of(name: str) -> list[bool]:
        queries = about.get(name, [])
        queries = queries if isinstance(queries, list) else [queries]
        return [matches(query, document, id, mapping) for query in queries]

    should = of("should")
    needed = [*of("filter"), *of("must"), *(not one for one in of("must_not"))]
    return all(needed) and (any(should) or not should or "filter" in about or "must" in about)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    return bool(value == wanted)


def _between(value: Any, bounds: Mapping[str, Any]) -> bool:
    tests = {
        "gt": lambda bound: value > bound,
        "gte": lambda bound: value >= bound,
        "lt": lambda bound: value < bound,
        "lte": lambda bound: value <= bound,
    }
    return all(tests[name](bound) for name, bound in bounds.items())


def values(
    document: Mapping[str, Any], path: str, mapping: Mapping[str, Any], *, analysed: bool = False
) -> list[Any]:
    """What a field of a document was indexed as: nothing where its mapping does not know it."""
    places: list[Any] = [document]
    field: Mapping[str, Any] = mapping
    names = path.split(".")
    while names:
        inside = field.get("properties", {}).get(names[0])
        if inside is None:
            sub = field.get("fields", {}).get(".".join(names))
            if sub is None:
                return []
            limit = sub.get("ignore_above", 2**31)
            return [text for text in map(_text, places) if len(text) <= limit]
        if inside.get("enabled") is False or inside.get("index") is False:
            return []
        name, field = names.pop(0), inside
        places = list(_flat(place[name] for place in places if isinstance(place, dict) and name in place))
    kind = field.get("type")
    if kind in ("double", "float"):
        return [None if place is None else float(place) for place in places]
    if kind in ("long", "integer", "short", "byte"):
        return [None if place is None else int(place) for place in places]
    if kind == "text" and analysed:
        return [word for place in places if place is not None for word in _words(str(place))]
    return places


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(text: str) -> list[str]:
    """As the standard analyser parts it, nearly."""
    words = "".join(character.lower() if character.isalnum() else " " for character in text).split()
    return [*words, text]


def _flat(places: Iterable[Any]) -> Iterable[Any]:
    for place in places:
        if isinstance(place, list):
            yield from _flat(place)
        else:
            yield place


# ---- order and what is shown -------------------------------------------------------------------------------


def sort_key(sort: Sequence[Any], document: Mapping[str, Any], mapping: Mapping[str, Any]) -> list[Any]:
    """The values by which a hit is sorted; all ascending. Raises: SearchError."""
    keys = []
    for clause in sort:
        ((path, order),) = clause.items() if isinstance(clause, dict) else ((clause, "asc"),)
        if (order if isinstance(order, str) else order.get("order", "asc")) != "asc":
            raise illegal("this cluster in memory sorts in ascending order only")
        there = values(document, path, mapping)
        if not there:
            raise illegal(f"No mapping found for [{path}] in order to sort on, or no value")
        keys.append(min(there))
    return keys


def shown(document: Mapping[str, Any], wanted: Any) -> dict[str, Any] | None:
    """What `_source` asks for of a document."""
    if wanted is False:
        return None
    if wanted in (True, None):
        return dict(document)
    names = wanted if isinstance(wanted, list) else [wanted]
    return {name: value for name, value in document.items() if name in names}
