"""Attribute values ⇄ plain Python."""

from decimal import Decimal
from typing import Any

import pytest

from tailrace.app.plain import to_attribute, to_item, to_plain, to_plain_item
from tailrace.errors import ApiError, SettingsError

PAIRS = [
    ("text", {"S": "text"}),
    ("", {"S": ""}),
    (7, {"N": "7"}),
    (Decimal("1.50"), {"N": "1.50"}),
    (True, {"BOOL": True}),
    (False, {"BOOL": False}),
    (None, {"NULL": True}),
    (b"\x00\xff", {"B": "AP8="}),
    ([1, "a", [None]], {"L": [{"N": "1"}, {"S": "a"}, {"L": [{"NULL": True}]}]}),
    ((1,), {"L": [{"N": "1"}]}),
    ({"a": {"b": b""}}, {"M": {"a": {"M": {"b": {"B": ""}}}}}),
    ({"x"}, {"SS": ["x"]}),
    ({Decimal("1.5")}, {"NS": ["1.5"]}),
    (frozenset({b"x"}), {"BS": ["eA=="]}),
]


@pytest.mark.parametrize(("plain", "attribute"), PAIRS)
def test_a_plain_value_is_written_as_its_type(plain: Any, attribute: Any) -> None:
    assert to_attribute(plain) == attribute


@pytest.mark.parametrize(("plain", "attribute"), PAIRS)
def test_what_is_read_back_is_what_was_written(plain: Any, attribute: Any) -> None:
    expected = list(plain) if isinstance(plain, tuple) else plain
    assert to_plain(attribute) == expected
    assert type(to_plain(attribute)) is type(expected) or isinstance(plain, int | frozenset)


@pytest.mark.parametrize("value", [1.5, set(), {1, "a"}, {1.5}, object(), {"a": 2.0}, [object()], 1j])
def test_what_has_no_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(SettingsError):
        to_attribute(value)


def test_a_float_is_refused_with_the_number_to_write() -> None:
    with pytest.raises(SettingsError, match=r"Decimal\('0.1'\)"):
        to_attribute(0.1)


def test_integers_and_decimals_share_a_set() -> None:
    item = to_item({"id": "a", "numbers": {1, Decimal("2.5")}})
    assert item["numbers"] == {"NS": ["1", "2.5"]}


def test_an_item_is_canonical() -> None:
    item = to_item({"id": "a", "n": Decimal("1.500"), "s": {"b", "a"}})
    assert item == {"id": {"S": "a"}, "n": {"N": "1.5"}, "s": {"SS": ["a", "b"]}}
    assert to_plain_item(item) == {"id": "a", "n": Decimal("1.5"), "s": {"a", "b"}}


def test_a_number_beyond_38_digits_is_refused_in_awss_words() -> None:
    with pytest.raises(ApiError, match="38 significant digits"):
        to_item({"id": "a", "n": 10**39 + 1})
