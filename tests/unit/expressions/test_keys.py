"""Key conditions: what a key allows, and every error text. Source: semantics §6.6."""

import pytest

from tailrace.expressions.keys import KeyCondition, SortCondition, parse_key_condition
from tailrace.expressions.placeholders import Placeholders
from tests.unit.expressions.refusing import NAMES, VALUES, given, refusal

S, T, N, M, B = (VALUES[name] for name in (":s", ":t", ":n", ":m", ":b"))
NAMED = {**NAMES, "#pk": "pk", "#sk": "sk"}


def asked(text: str, range_name: str | None = "sk") -> KeyCondition:
    return parse_key_condition(
        text, Placeholders(NAMED, VALUES), ("pk",), () if range_name is None else (range_name,)
    )


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("pk = :s", None), (":s = pk", None), ("(pk = :s)", None), ("#pk = :s", None),
        ("pk = :s AND sk = :n", SortCondition("=", N)), ("sk = :n AND pk = :s", SortCondition("=", N)),
        ("(pk = :s) AND (sk < :n)", SortCondition("<", N)),
        ("((pk = :s) and sk <= :n)", SortCondition("<=", N)),
        ("pk = :s AND #sk > :n", SortCondition(">", N)), ("pk = :s AND sk >= :n", SortCondition(">=", N)),
        ("pk = :s AND :n < sk", SortCondition(">", N)), ("pk = :s AND :n >= sk", SortCondition("<=", N)),
        ("pk = :s AND sk BETWEEN :n AND :m", SortCondition("BETWEEN", N, M)),
        ("pk = :s AND sk BETWEEN :n AND :n", SortCondition("BETWEEN", N, N)),
        ("sk BETWEEN :s AND :t AND pk = :s", SortCondition("BETWEEN", S, T)),
        ("pk = :s AND begins_with(sk, :t)", SortCondition("begins_with", T)),
        ("pk = :s AND begins_with(sk, :b)", SortCondition("begins_with", B)),
    ],
)  # fmt: skip
def test_a_key_condition_is_a_partition_and_perhaps_a_range(text: str, sort: SortCondition | None) -> None:
    assert asked(text) == KeyCondition(S, sort)


INVALID = "Invalid KeyConditionExpression: "
OPERATOR = "Invalid operator used in KeyConditionExpression: "
CONDITION = "Invalid condition in KeyConditionExpression: "
MISSED = "Query condition missed key schema element: "
UNSUPPORTED = "Query key condition not supported"
ONE_EACH = "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"
NESTED = "KeyConditionExpressions cannot contain nested operations"
DEEP = "KeyConditionExpressions cannot have conditions on nested attributes"
LENGTH = "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"{INVALID}The expression can not be empty;"),
        ("pk", f'{INVALID}Syntax error; token: "<EOF>", near: "pk"'),
        ("pk = :s AND", f'{INVALID}Syntax error; token: "<EOF>", near: "AND"'),
        ("pk = :x",
         f"{INVALID}An expression attribute value used in expression is not defined; attribute value: :x"),
        ("#x = :s", f"{INVALID}An expression attribute name used in the document path is not defined; "
         f"attribute name: #x"),
        ("pk = :s AND hash = :n", f"{INVALID}Attribute name is a reserved keyword; reserved keyword: hash"),
        ("((pk = :s))", f"{INVALID}The expression has redundant parentheses;"),
        ("foo(pk, :s)", f"{INVALID}Invalid function name; function: foo"),
        ("pk = :s OR sk = :n", f"{OPERATOR}OR"), ("NOT pk = :s", f"{OPERATOR}NOT"),
        ("pk = :s AND NOT sk = :n", f"{OPERATOR}NOT"),
        ("pk IN (:s)", f"{OPERATOR}IN"), ("pk = :s AND sk <> :n", f"{OPERATOR}<>"),
        ("attribute_exists(pk)", f"{OPERATOR}attribute_exists"),
        ("pk = :s AND contains(sk, :t)", f"{OPERATOR}contains"),
        ("attribute_not_exists(pk)", f"{OPERATOR}attribute_not_exists"),
        ("attribute_type(pk, :type)", f"{OPERATOR}attribute_type"),
        ("sk = :n", f"{MISSED}pk"), ("begins_with(sk, :s)", f"{MISSED}pk"),
        ("pk = :s AND extra = :n", f"{MISSED}sk"),
        ("pk > :s", UNSUPPORTED), ("pk BETWEEN :s AND :t", UNSUPPORTED),
        ("begins_with(pk, :s) AND sk = :n", UNSUPPORTED),
        ("pk = :s AND pk = :t", ONE_EACH), ("pk = :s AND sk > :n AND sk < :m", ONE_EACH),
        ("pk = :s AND sk = :n AND extra = :n", LENGTH),
        ("size(pk) = :n", NESTED), ("pk = :s AND sk > size(extra)", NESTED), ("pk.a = :s", DEEP),
        ("pk[0] = :s", DEEP), ("pk = :s AND sk.a = :s", DEEP),
        ("pk = sk", f"{CONDITION}Multiple attribute names used in one condition"),
        (":s = :t", f"{CONDITION}No key attribute specified"),
        ("pk = :s AND :n BETWEEN sk AND :m",
         f"{CONDITION}BETWEEN operator must have the key attribute as its first operand"),
        ("pk = :s AND sk BETWEEN :n AND extra", f"{CONDITION}Multiple attribute names used in one condition"),
        ("pk = :s AND sk BETWEEN :m AND :n",
         f"{INVALID}The BETWEEN operator requires upper bound to be greater than or equal to lower "
         f"bound; lower bound operand: AttributeValue: {{N:2}}, upper bound "
         f"operand: AttributeValue: {{N:1}}"),
    ],
)  # fmt: skip
def test_a_wrong_key_condition_is_refused_in_awss_words(text: str, message: str) -> None:
    assert refusal(lambda: asked(text)) == message


def test_a_table_without_a_range_key_takes_one_condition() -> None:
    assert asked("pk = :s", None) == KeyCondition(S)
    assert refusal(lambda: asked("pk = :s AND sk = :n", None)) == UNSUPPORTED


def test_a_key_condition_uses_its_placeholders() -> None:
    placeholders = given({"#pk": "pk"}, {":s": S, ":n": N})
    parse_key_condition("#pk = :s", placeholders, ("pk",), ("sk",))
    assert refusal(placeholders.check_all_used) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:n}"
    )
