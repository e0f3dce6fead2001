"""Checks of members against shapes. Source of the texts: semantics §6.1."""

from typing import Any

import pytest

from tailrace.api.shapes import AttributeMap, Flag, Input, Many, String, StringMap, Whole, structure
from tailrace.api.validation import NOT_A_CLASS, compile_input, predicate
from tailrace.api.wordings import rendered
from tailrace.errors import ApiError

INNER = structure("Inner", "Name", Name=String(1, 3), Count=Whole(1, 9, "Long"))
CHECK = compile_input(
    Input(
        structure(
            "ThingInput",
            "TableName",
            TableName=String(3, 5, "[a-z]+", is_table=True),
            Kind=String(choices=("A", "B")),
            Limit=Whole(1, 10),
            On=Flag(),
            Inner=INNER,
            List=Many(INNER, 1, 2),
            Map=StringMap(Many(String(), 1, 2), 1, 2, String(2, 3)),
            Item=AttributeMap(),
            Old=Flag(),
            Capacity=String(),
        ),
        {"Old": None, "Capacity": "NONE"},
    )
)
SERIALIZATION = "SerializationException"
ONE = "1 validation error detected: "
UNFIT = "failed to satisfy constraint: "


def refused(payload: dict[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(ApiError) as failure:
        CHECK(payload)
    return failure.value.code, failure.value.message


@pytest.mark.parametrize(
    "payload",
    [
        {"TableName": "abc"},
        {"TableName": "abc", "Kind": "A", "Limit": 10, "On": False},
        {
            "TableName": "abc",
            "Inner": {"Name": "x", "Count": 3},
            "List": [{"Name": "x"}],
            "Map": {"ab": ["x"]},
        },
        {"TableName": "abc", "Item": {"a": {"S": "x"}}},
    ],
)
def test_a_good_request_passes_untouched(payload: dict[str, Any]) -> None:
    assert CHECK(payload) is payload


def test_what_the_shapes_do_not_know_is_left_out_at_any_depth() -> None:
    told = {
        "TableName": "abc",
        "Unknown": object(),
        "Inner": {"Name": "x", "Dog": 1},
        "List": [{"Name": "x", "Dog": 1}],
    }
    assert CHECK(told) == {"TableName": "abc", "Inner": {"Name": "x"}, "List": [{"Name": "x"}]}


def test_nulls_count_as_absent() -> None:
    assert CHECK({"TableName": "abc", "Kind": None}) == {"TableName": "abc"}


def test_an_arn_may_stand_for_a_table_and_is_judged_by_the_name_in_it() -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/abc"
    assert CHECK({"TableName": arn}) == {"TableName": arn}


def test_decimals_are_cut_to_integers() -> None:
    assert CHECK({"TableName": "abc", "Limit": 2.9}) == {"TableName": "abc", "Limit": 2}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("yes", True),
        ("False", False),
        ("0", False),
        ("no", False),
    ],
)
def test_words_stand_for_booleans(word: str, value: bool) -> None:
    assert CHECK({"TableName": "abc", "On": word}) == {"TableName": "abc", "On": value}


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("TableName", 1, "NUMBER_VALUE cannot be converted to String"),
        ("TableName", 1.5, "DECIMAL_VALUE cannot be converted to String"),
        ("TableName", True, "TRUE_VALUE cannot be converted to String"),
        ("TableName", False, "FALSE_VALUE cannot be converted to String"),
        ("TableName", [], "Unrecognized collection type class java.lang.String"),
        ("TableName", {}, "Start of structure or map found where not expected"),
        ("Limit", "1", "STRING_VALUE cannot be converted to Integer"),
        ("Limit", True, "TRUE_VALUE cannot be converted to Integer"),
        ("Limit", [], "Unrecognized collection type class java.lang.Integer"),
        ("On", "on", "Unexpected token received from parser"),
        ("On", 1, "NUMBER_VALUE cannot be converted to Boolean"),
        ("On", 0.5, "DECIMAL_VALUE cannot be converted to Boolean"),
        ("On", [], "Unrecognized collection type class java.lang.Boolean"),
        ("On", {}, "Start of structure or map found where not expected"),
        ("Inner", "x", "Unexpected field type"),
        ("Inner", [], "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.Inner"),
        ("List", ["x"], "Unexpected value type in payload"),
        (
            "Map",
            [],
            "Unrecognized collection type java.util.Map<java.lang.String, java.util.List<java.lang.String>>",
        ),
        ("Map", {"ab": "x"}, NOT_A_CLASS),
        ("Map", {"ab": {}}, "Start of structure or map found where not expected"),
        (
            "Item",
            [],
            "Unrecognized collection type java.util.Map<java.lang.String, "
            "com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ),
        ("Inner", {"Name": "x", "Count": "1"}, "STRING_VALUE cannot be converted to Long"),
        ("List", "x", "Unexpected field type"),
        ("List", {}, "Start of structure or map found where not expected"),
        ("Map", "x", "Unexpected field type"),
        ("Item", "x", "Unexpected field type"),
    ],
)
def test_a_wrong_type_is_a_serialization_exception(member: str, value: Any, message: str) -> None:
    assert refused({"TableName": "abc", member: value}) == (SERIALIZATION, message)


def test_types_come_before_constraints() -> None:
    assert refused({"TableName": "a", "Limit": "1"})[0] == SERIALIZATION
    assert refused({"TableName": "a", "Item": {"x": {"S": 1}}})[0] == SERIALIZATION


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, f"{ONE}Value null at 'tableName' {UNFIT}Member must not be null"),
        ({"TableName": "ab"},
         f"{ONE}Value 'ab' at 'tableName' {UNFIT}Member must have length greater than or equal to 3"),
        (
            {"TableName": "ABC"},
            f"{ONE}Value 'ABC' at 'tableName' {UNFIT}Member must satisfy regular expression pattern: [a-z]+",
        ),
        ({"TableName": "abc", "Limit": 0},
         f"{ONE}Value '0' at 'limit' {UNFIT}Member must have value greater than or equal to 1"),
        ({"TableName": "abc", "Limit": 11},
         f"{ONE}Value '11' at 'limit' {UNFIT}Member must have value less than or equal to 10"),
        ({"TableName": "abc", "Kind": "C"},
         f"{ONE}Value 'C' at 'kind' {UNFIT}Member must satisfy enum value set: [A, B]"),
        (
            {"TableName": "abc", "Inner": {"Count": 0}},
            f"2 validation errors detected: Value null at 'inner.name' {UNFIT}Member must not be null; "
            f"Value '0' at 'inner.count' {UNFIT}Member must have value greater than or equal to 1",
        ),
        (
            {"TableName": "abc", "List": [{"Name": "a"}, {"Name": ""}]},
            f"{ONE}Value '' at 'list.2.member.name' {UNFIT}Member must have length greater "
            f"than or equal to 1",
        ),
        ({"TableName": "abc", "List": []},
         f"{ONE}Value '[]' at 'list' {UNFIT}Member must have length greater than or equal to 1"),
        (
            {"TableName": "abc", "Map": {"ab": ["a", "b", "c"]}},
            f"{ONE}Value '[a, b, c]' at 'map.ab.member' {UNFIT}Member must have length less "
            f"than or equal to 2",
        ),
        (
            {"TableName": "abc", "Map": {"a": ["b"]}},
            f"{ONE}Value '{{a=[b]}}' at 'map' {UNFIT}Map keys must satisfy constraint: "
            "[Member must have length less than or equal to 3, Member must have length greater than "
            "or equal to 2]",
        ),
        (
            {"TableName": "abc", "Old": True},
            "Tailrace does not emulate Old yet. `tailrace coverage` lists what it does.",
        ),
        (
            {"TableName": "abc", "Capacity": "ALL"},
            "Tailrace does not emulate Capacity=ALL yet. `tailrace coverage` lists what it does.",
        ),
    ],
)  # fmt: skip
def test_every_violated_constraint_is_told(payload: dict[str, Any], message: str) -> None:
    assert refused(payload) == ("ValidationException", message)


def test_at_most_ten_errors_are_told() -> None:
    _, message = refused({"List": [{"Name": ""}] * 12})
    assert message is not None
    assert message.startswith("10 validation errors detected: ")
    assert message.count("failed to satisfy") == 10


def test_a_harmless_value_of_what_is_not_emulated_passes() -> None:
    assert CHECK({"TableName": "abc", "Capacity": "NONE"}) == {"TableName": "abc", "Capacity": "NONE"}


def test_a_long_value_is_echoed_whole() -> None:
    _, message = refused({"TableName": "x" * 100_000})
    assert message is not None
    assert f"Value '{'x' * 100_000}' at 'tableName'" in message


def test_deep_values_are_rendered_without_end() -> None:
    value: Any = "x"
    for _ in range(5_000):
        value = [value]
    assert "…" in rendered(value)


@pytest.mark.parametrize("value", [1, "x", None, True, [], {}, 1.5])
def test_the_quick_test_never_accepts_what_the_slow_one_refuses(value: Any) -> None:
    for name, shape in {"TableName": String(3, 5, "[a-z]+"), "Limit": Whole(1, 10), "On": Flag()}.items():
        if predicate(shape)(value):
            assert CHECK({"TableName": "abc", name: value})
