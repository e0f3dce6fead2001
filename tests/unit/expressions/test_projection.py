"""Projections: what they keep, and every error text. Source: semantics §6.4."""

from copy import deepcopy

import pytest

from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.projection import parse_projection
from tailrace.values.types import Item
from tests.unit.expressions.refusing import given, refusal

ITEM: Item = {
    "a": {"S": "abc"}, "n": {"N": "10"},
    "m": {"M": {"k": {"N": "1"}, "q": {"S": "z"}, "nested": {"M": {"r": {"S": "y"}}}}},
    "many": {"L": [{"S": "zero"}, {"N": "1"}, {"M": {"deep": {"S": "a"}, "other": {"S": "b"}}}]},
    "name": {"S": "reserved"},
    "a.b": {"S": "dotted"},
}  # fmt: skip
PREFIX = "Invalid ProjectionExpression: "
CLASH = "with each other; must remove or rewrite one of these paths; "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {"a": {"S": "abc"}}), ("a, n", {"a": {"S": "abc"}, "n": {"N": "10"}}), ("gone", {}),
        ("a,gone", {"a": {"S": "abc"}}),
        ("m.k", {"m": {"M": {"k": {"N": "1"}}}}),
        ("m.q, m.nested.r", {"m": {"M": {"q": {"S": "z"}, "nested": {"M": {"r": {"S": "y"}}}}}}),
        ("m.gone", {}), ("m.k.deeper", {}), ("many[1]", {"many": {"L": [{"N": "1"}]}}),
        ("many[2].deep", {"many": {"L": [{"M": {"deep": {"S": "a"}}}]}}),
        ("many[2], many[0]", {"many": {"L": [{"S": "zero"}, ITEM["many"]["L"][2]]}}), ("many[9]", {}),
        ("many.k", {}), ("m[0]", {}),
        ("#name", {"name": {"S": "reserved"}}), ("#dots", {"a.b": {"S": "dotted"}}),
        ("#a", {"a": {"S": "abc"}}),
        ("m.#a", {}), (" m . k , a ", {"m": {"M": {"k": {"N": "1"}}}, "a": {"S": "abc"}}),
        ("m", {"m": ITEM["m"]}),
    ],
)  # fmt: skip
def test_a_projection_keeps_what_it_names(text: str, expected: Item) -> None:
    before = deepcopy(ITEM)
    assert parse_projection(text, given()).apply(ITEM) == expected
    assert before == ITEM


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"), (" ", "The expression can not be empty;"),
        ("a,", 'Syntax error; token: "<EOF>", near: ","'), (",a", 'Syntax error; token: ",", near: ",a"'),
        ("a b", 'Syntax error; token: "b", near: "a b"'), ("a.", 'Syntax error; token: "<EOF>", near: "."'),
        ("a[x]", 'Syntax error; token: "x", near: "[x]"'), (":s", 'Syntax error; token: ":s", near: ":s"'),
        ("a[0", 'Syntax error; token: "<EOF>", near: "0"'),
        ("size(a)", 'Syntax error; token: "(", near: "size(a"'),
        ("name", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("a.order", "Attribute name is a reserved keyword; reserved keyword: order"),
        ("#x", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("a, a", f"Two document paths overlap {CLASH}path one: [a], path two: [a]"),
        ("a.b[0], a", f"Two document paths overlap {CLASH}path one: [a, b, [0]], path two: [a]"),
        ("#a, a.c", f"Two document paths overlap {CLASH}path one: [a], path two: [a, c]"),
        ("a.b, a[0]", f"Two document paths conflict {CLASH}path one: [a, b], path two: [a, [0]]"),
        ("a.b, a[0], n, n", f"Two document paths overlap {CLASH}path one: [n], path two: [n]"),
        ("#x, name", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("a, a, #x",
         "An expression attribute name used in the document path is not defined; attribute name: #x"),
    ],
)  # fmt: skip
def test_a_wrong_projection_is_refused_in_awss_words(text: str, message: str) -> None:
    assert refusal(lambda: parse_projection(text, given())) == PREFIX + message


def test_a_projection_uses_its_names() -> None:
    placeholders = Placeholders({"#a": "a", "#b": "b"})
    parse_projection("#a", placeholders)
    assert refusal(placeholders.check_all_used) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"
    )
