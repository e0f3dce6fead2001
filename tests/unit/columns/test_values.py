"""Facts of values in columns: all digits, all bytes, U+0000 too."""

from decimal import Decimal

import pytest

from tailrace.columns.kinds import kind_of
from tailrace.columns.values import (
    column_value,
    extra_text,
    json_text,
    json_without_nul,
    with_nul,
    without_nul,
)
from tailrace.values.canonical import normalise


@pytest.mark.parametrize("text", ["9" * 38 + "E-130", "1E-130", "9.9E125", "1" * 38, "-" + "9" * 38 + "E-38"])
def test_a_number_keeps_all_digits_in_its_column_and_in_json(text: str) -> None:
    number = {"N": normalise(text)}
    value = column_value(number, kind_of(number).family)
    assert Decimal(str(value)) == Decimal(text)
    assert json_text(number) == number["N"]
    assert json_text({"NS": [number["N"]]}) == f"[{number['N']}]"


def test_json_is_plain() -> None:
    value = {
        "M": {
            "l": {"L": [{"NULL": True}, {"BOOL": False}]},
            "b": {"BS": ["AA==", "AQ=="]},
            "s": {"S": 'a"\0'},
        }
    }
    assert json_text(value) == '{"l":[null,false],"b":["AA==","AQ=="],"s":"a\\"\\u0000"}'


def test_a_value_of_another_type_is_no_value_of_a_column() -> None:
    with pytest.raises(KeyError):
        column_value({"S": "1"}, "int64")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        ("a", "a"),
        ("\0", "␀0"),
        ("␀", "␀␀"),
        ("␀0", "␀␀0"),
        ("\0␀\0", "␀0␀␀␀0"),
        ("0\\u0000", "0\\u0000"),
    ],
)
def test_a_text_is_escaped_only_where_it_must_be(text: str, written: str) -> None:
    assert without_nul(text) == written
    assert with_nul(written) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [("a\0", '"a␀0"'), ("\\u0000", '"\\\\u0000"'), ("\\\0", '"\\\\␀0"'), ("␀", '"␀␀"'), ("a", '"a"')],
)
def test_json_is_escaped_in_its_strings(text: str, written: str) -> None:
    assert json_without_nul(json_text({"S": text})) == written


def test_what_is_left_is_dynamodb_json() -> None:
    assert extra_text({"a": {"B": "AA=="}, "b": {"SS": ["x"]}}) == '{"a":{"B":"AA=="},"b":{"SS":["x"]}}'
