"""Fields of an index: what fits, what goes to `_extra`, and that no server would refuse the rest.

Rules of this file: whether a server takes a document is asked of the cluster in memory, which knows nothing
of the sink.
"""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.sinks.search.fields import (
    DEEPEST,
    OURS,
    Fields,
    fields_of,
    fitted,
    mapping_of,
    number,
)
from tailrace.testing.search.types import check_document, merged
from tailrace.values.types import Item


def read(document: Any) -> Any:
    """A document as it is sent and read, numbers exact."""
    import json

    return json.loads(orjson.dumps(document), parse_float=Decimal)


@pytest.mark.parametrize(
    ("value", "shown", "kind"),
    [
        ({"S": "tea"}, "tea", "text"),
        ({"N": "10.50"}, Decimal("10.50"), "double"),
        ({"N": "9007199254740993"}, "9007199254740993", "double"),
        ({"N": "9007199254740992"}, 9007199254740992, "double"),
        ({"N": "0." + "1" * 38}, "0." + "1" * 38, "double"),
        ({"N": "1" + "0" * 125}, 10**125, "double"),
        ({"BOOL": False}, False, "boolean"),
        ({"B": "AAE="}, "AAE=", "binary"),
        ({"SS": ["a", "b"]}, ["a", "b"], "text"),
        ({"NS": ["1", "2.5"]}, [1, Decimal("2.5")], "double"),
        ({"BS": ["AAE="]}, ["AAE="], "binary"),
        ({"L": [{"L": [{"N": "1"}]}, {"NULL": True}]}, [[1], None], "double"),
    ],
)
def test_a_value_has_a_field(value: Any, shown: Any, kind: str) -> None:
    result = fitted({"a": value}, {})
    assert read(result.document) == {"a": shown}
    assert result.added == {"a": kind}


@pytest.mark.parametrize("value", [{"NULL": True}, {"L": []}])
def test_what_says_no_type_gives_none(value: Any) -> None:
    result = fitted({"a": value}, {})
    assert result.added == {}
    assert result.misfits == 0


def test_a_map_is_an_object_with_fields_of_its_own() -> None:
    result = fitted({"to": {"M": {"zip": {"S": "1"}, "geo": {"M": {"lat": {"N": "1"}}}}}}, {})
    assert result.document == {"to": {"zip": "1", "geo": {"lat": 1}}}
    assert result.added == {"to": "object", "to.zip": "text", "to.geo": "object", "to.geo.lat": "double"}


@pytest.mark.parametrize(
    ("item", "fields", "pointer"),
    [
        ({"a": {"S": "x"}}, {"a": "double"}, "/a"),
        ({"a": {"N": "1"}}, {"a": "text"}, "/a"),
        ({"a": {"M": {}}}, {"a": "text"}, "/a"),
        ({"a": {"S": "x"}}, {"a": "object"}, "/a"),
        ({"a": {"BOOL": True}}, {"a": "text"}, "/a"),
        ({"a": {"N": "1.5"}}, {"a": "long"}, "/a"),
        ({"a": {"N": str(2**63)}}, {"a": "long"}, "/a"),
        ({"a": {"L": [{"N": "1"}, {"S": "x"}]}}, {}, "/a"),
        ({"a": {"L": [{"M": {"b": {"N": "1"}}}, {"M": {"b": {"S": "x"}}}]}}, {}, "/a"),
        ({"a": {"M": {"b": {"S": "x"}}}}, {"a": "object", "a.b": "double"}, "/a/b"),
        ({"a.b": {"S": "x"}}, {}, "/a.b"),
        ({"a/b": {"S": "x"}}, {"a/b": "double"}, "/a~1b"),
        ({"": {"S": "x"}}, {}, "/"),
        ({"_id": {"S": "x"}}, {}, "/_id"),
        ({"tailrace_deleted": {"BOOL": True}}, {}, "/tailrace_deleted"),
    ],
)
def test_what_does_not_fit_is_kept_beside_the_fields(item: Item, fields: Fields, pointer: str) -> None:
    result = fitted(item, fields)
    value = item
    for name in pointer.split("/")[1:]:
        value = value[name.replace("~1", "/")]
        value = value["M"] if "M" in value and pointer.count("/") > 1 else value  # type: ignore[assignment]
    assert result.document["_extra"] == [{"pointer": pointer, "value": orjson.dumps(value).decode()}]
    assert result.misfits == 1
    assert not set(result.added) - {"a"}


@pytest.mark.parametrize(("text", "shown"), [(str(2**63 - 1), 2**63 - 1), (str(-(2**63)), -(2**63))])
def test_a_declared_whole_number_holds_all_its_bits(text: str, shown: int) -> None:
    assert fitted({"a": {"N": text}}, {"a": "long"}).document == {"a": shown}


def test_what_the_user_declares_otherwise_is_not_looked_into() -> None:
    fields = fields_of(
        {"properties": {"a": {"type": "object", "enabled": False}, "b": {"type": "flat_object"}}}
    )
    item = {name: {"M": {"x.y": {"N": "1"}, "z": {"L": [{"S": "a"}, {"N": "2"}]}}} for name in "ab"}
    result = fitted(item, fields)
    assert result.document == {name: {"x.y": 1, "z": ["a", 2]} for name in "ab"}
    assert (result.added, result.misfits) == ({}, 0)


def nested(levels: int) -> Item:
    value: Any = {"S": "x"}
    for _ in range(levels - 1):
        value = {"M": {"a": value}}
    return {"a": value}


def test_what_is_nested_deeper_than_a_server_takes_is_kept_beside() -> None:
    assert fitted(nested(DEEPEST), {}).misfits == 0
    assert fitted(nested(DEEPEST + 1), {}).misfits == 1
    merged({}, mapping_of(fitted(nested(DEEPEST + 1), {}).added), 1_000)


# ---- for any items -----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "id", "x.y", "", " ", "_id", "_extra", "tailrace_key", "é", "p/q", "p~q"])
DIGITS = st.integers(-(10**38) + 1, 10**38 - 1)
NUMBERS = st.one_of(
    st.integers(-1000, 1000).map(str),
    DIGITS.map(str),
    st.builds(lambda digits, shift: f"{Decimal(digits).scaleb(-shift):f}", DIGITS, st.integers(0, 80)),
)
VALUES = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text(max_size=5)),
        st.builds(lambda text: {"N": text}, NUMBERS),
        st.builds(lambda told: {"BOOL": told}, st.booleans()),
        st.just({"NULL": True}),
        st.just({"B": "AAE="}),
        st.just({"SS": ["a", "b"]}),
        st.builds(lambda texts: {"NS": texts}, st.lists(NUMBERS, min_size=1, max_size=3)),
    ),
    lambda inside: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inside, max_size=3)),
        st.builds(lambda members: {"M": members}, st.dictionaries(NAMES, inside, max_size=3)),
    ),
    max_leaves=8,
)
ITEMS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=5)


@given(ITEMS)
def test_no_server_refuses_a_document_after_its_fields_were_declared(items: list[Item]) -> None:
    mapping = merged({}, {"dynamic": False, "properties": OURS}, 10_000)
    for item in items:
        result = fitted(item, fields_of(mapping))
        mapping = merged(mapping, mapping_of(result.added), 10_000)
        document = orjson.loads(orjson.dumps(result.document))
        assert check_document(document, mapping, "a") == {}
        assert set(result.added.items()) <= set(fields_of(mapping).items())


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_attribute_is_a_field_or_beside_the_fields(item: Item) -> None:
    document = read(fitted(item, {}).document)
    beside = [entry["pointer"] for entry in document.pop("_extra", [])]
    for name in item:
        escaped = "/" + name.replace("~", "~0").replace("/", "~1")
        assert (name in document) != (escaped in beside)


@given(NUMBERS)
def test_a_number_is_shown_exactly(text: str) -> None:
    shown = read([number(text)])[0]
    assert Decimal(shown) == Decimal(text)
    if not isinstance(shown, str):
        assert Decimal(repr(float(shown))) == Decimal(text)
