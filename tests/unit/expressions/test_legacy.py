"""Legacy parameters become the nodes of the same expression. Texts: tests/conformance/test_legacy.py."""

from typing import Any

import pytest

from tailrace.expressions.condition import parse_condition
from tailrace.expressions.keys import KeyCondition, SortCondition
from tailrace.expressions.legacy import (
    read_attributes_to_get,
    read_expected,
    read_filter,
    read_key_conditions,
    read_updates,
)
from tailrace.expressions.nodes import Action, FunctionCall, Path, Value
from tailrace.expressions.placeholders import Placeholders

ONE = {"N": "1"}
TWO = {"N": "2"}


def said(operator: str, *values: Any) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (said("EQ", ONE), "a = :0"),
        (said("BETWEEN", ONE, TWO), "a BETWEEN :0 AND :1"),
        (said("IN", ONE, TWO), "a IN (:0, :1)"),
        (said("NULL"), "attribute_not_exists(a)"),
        (said("NOT_CONTAINS", ONE), "attribute_exists(a) AND NOT contains(a, :0)"),
    ],
)
def test_a_filter_is_the_node_of_its_expression(condition: dict[str, Any], text: str) -> None:
    legacy = read_filter({"a": condition}, None, "ScanFilter")
    values = {f":{index}": value for index, value in enumerate(condition["AttributeValueList"])}
    expression = parse_condition(text, Placeholders(None, values))
    assert legacy is not None
    assert legacy.prepared.parsed.node == expression.prepared.parsed.node
    assert legacy.values == values
    assert legacy.member == "ScanFilter"


def test_a_name_is_taken_as_it_is() -> None:
    legacy = read_expected({"a.b[0]": {"Exists": False}}, None)
    assert legacy is not None
    assert legacy.prepared.parsed.node == FunctionCall("attribute_not_exists", (Path(("a.b[0]",)),))
    assert legacy.attribute_names() == {"a.b[0]"}


HOLD_WHEN_ABSENT = {"NE", "NULL"}
"""What holds for an attribute that is not there. Everything else is false of it. Source: AWS, as captured."""


@pytest.mark.parametrize(
    "operator",
    [
        "EQ",
        "LE",
        "LT",
        "GE",
        "GT",
        "NE",
        "NULL",
        "NOT_NULL",
        "CONTAINS",
        "NOT_CONTAINS",
        "BEGINS_WITH",
        "IN",
        "BETWEEN",
    ],
)
def test_a_legacy_comparison_with_an_absent_attribute_is_false_but_for_ne_and_null(operator: str) -> None:
    text = {"S": "x"}
    operands = {"NULL": [], "NOT_NULL": [], "BETWEEN": [text, text]}.get(operator, [text])
    held = operator in HOLD_WHEN_ABSENT
    told = {"a": said(operator, *operands)}
    for condition in (read_filter(told, None, "ScanFilter"), read_expected(told, None)):
        assert condition is not None
        assert condition.matches({}) is held
        assert condition.matches({"b": {"S": "x"}}) is held


def test_nothing_stated_is_no_condition_and_no_update() -> None:
    assert read_expected({}, None) is None
    assert read_filter({}, None, "QueryFilter") is None
    assert read_updates({}) is None


def test_key_conditions_are_matched_with_the_keys_in_any_order() -> None:
    given = {"sk": said("BETWEEN", ONE, TWO), "pk": said("EQ", TWO)}
    assert read_key_conditions(given, ("pk",), ("sk",)) == KeyCondition(
        TWO, SortCondition("BETWEEN", ONE, TWO)
    )


def test_updates_are_actions_of_an_update_expression() -> None:
    update = read_updates(
        {"a": {"Value": ONE}, "b": {"Action": "DELETE"}, "c": {"Action": "ADD", "Value": TWO}}
    )
    assert update is not None
    assert update.prepared.parsed.actions == (
        Action("SET", Path(("a",)), Value(":0")),
        Action("REMOVE", Path(("b",))),
        Action("ADD", Path(("c",)), Value(":1")),
    )


def test_attributes_to_get_are_paths_of_one_name() -> None:
    assert read_attributes_to_get(["a.b", "c"]).apply({"a.b": ONE, "c": TWO, "d": ONE}) == {
        "a.b": ONE,
        "c": TWO,
    }
