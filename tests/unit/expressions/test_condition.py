"""Conditions: what they hold for, and every error text. Source: semantics §6.4."""

import pytest

from tailrace.expressions.condition import parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.values.types import Item
from tests.unit.expressions.refusing import NAMES, VALUES, given, refusal

ITEM: Item = {
    "a": {"S": "abc"}, "n": {"N": "10"}, "bin": {"B": "AAEC"}, "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "strings": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2"]}, "binaries": {"BS": ["AA=="]},
    "many": {"L": [{"S": "a"}, {"N": "1"}, {"M": {"deep": {"S": "a"}}}]},
    "m": {"M": {"k": {"N": "1"}, "name": {"S": "z"}}},
    "a.b": {"S": "dotted"}, "name": {"S": "reserved"}, "accent": {"S": "é"}, "two": {"S": "a"},
}  # fmt: skip


def holds(text: str, item: Item = ITEM) -> bool:
    return parse_condition(text, given()).matches(item)


def refused(text: str, kind: str = "ConditionExpression") -> str:
    message = refusal(lambda: parse_condition(text, given(), kind))
    assert message.startswith(f"Invalid {kind}: ")
    return message.removeprefix(f"Invalid {kind}: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two = :s", True), ("two = :t", False), ("two <> :t", True), ("two <> :s", False), ("a = :n", False),
        ("a <> :n", True),
        ("n > :m", True), ("n < :m", False), ("n >= :m", True), ("n <= :m", False), ("a > :s", True),
        ("bin > :b", True),
        ("a > :n", False), ("a < :n", False), ("strings = :ss", True), ("numbers = :ns", True),
        ("binaries = :bs", True),
        ("m.k = :n", True), ("many[1] = :n", True), ("many[2].deep = :s", True), ("many[9] = :n", False),
        ("many.k = :n", False),
        ("m[0] = :n", False), ("m.#name <> :s", True), ("#dots = :s", False), ("#dots.b = :s", False),
        ("yes = :bool", True),
        ("nothing = :null", True), (":n < n", True), (":n < :m", True), ("gone = :s", False),
        ("gone < :s", False),
        ("gone <> :s", True), ("a = gone", False), ("n BETWEEN :n AND :m", False), ("numbers > n", False),
        ("m.k BETWEEN :n AND :m", True), (":m BETWEEN m.k AND n", True), ("gone BETWEEN :n AND :m", False),
        ("two IN (:t, :s)", True), ("two IN (:t)", False), ("two IN (:n, :l)", False),
        ("gone IN (:s)", False), (":s IN (two)", True),
        ("yes <> :null", True), ("many[0] = two", True),
    ],
)  # fmt: skip
def test_comparisons_are_by_type_and_value(text: str, expected: bool) -> None:
    assert holds(text) is expected
    assert holds(f"NOT {text}") is not expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attribute_exists(a)", True), ("attribute_exists(gone)", False), ("attribute_exists(m.k)", True),
        ("attribute_exists(many[3])", False), ("attribute_not_exists(gone)", True),
        ("attribute_not_exists(m.k.x)", True),
        ("attribute_not_exists(a)", False), ("attribute_exists(#dots)", True),
        ("attribute_exists(#a.b)", False),
        ("attribute_type(n, :type)", True), ("attribute_type(a, :type)", False),
        ("attribute_type(gone, :type)", False),
        ("begins_with(a, :s)", True), ("begins_with(a, :t)", False), ("begins_with(bin, :b)", True),
        ("begins_with(n, :s)", False),
        ("begins_with(gone, :s)", False), ("begins_with(:s, two)", True), ("begins_with(a, gone)", False),
        ("contains(a, :t)", True), ("contains(two, :t)", False), ("contains(strings, :s)", True),
        ("contains(numbers, :n)", True),
        ("contains(binaries, :b)", False), ("contains(strings, :n)", False), ("contains(many, :s)", True),
        ("contains(many, :n)", True),
        ("contains(many, :t)", False), ("contains(m, :s)", False), ("contains(n, :s)", False),
        ("contains(bin, :b)", True),
        ("contains(gone, :s)", False), ("contains(:ss, two)", True),
        ("size(a) > :m", True), ("size(bin) > :m", True), ("size(strings) = :m", True),
        ("size(numbers) = :m", True),
        ("size(many) > :m", True), ("size(m) = :m", True), ("size(accent) = :n", True),
        ("size(n) >= :n", False),
        ("size(yes) >= :n", False), ("size(nothing) >= :n", False), ("size(gone) >= :n", False),
        (":m = size(strings)", True),
        ("size(a) BETWEEN :n AND n", True), ("size(:ss) = :m", True), ("size(strings) IN (:n, :m)", True),
    ],
)  # fmt: skip
def test_functions_look_at_one_value(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two = :s OR two = :t AND n = :n", True), ("(two = :s OR two = :t) AND n = :n", False),
        ("NOT two = :t AND n = :n", False), ("NOT (two = :t AND n = :n)", True),
        ("NOT two = :s OR two = :s", True),
        ("NOT NOT two = :s", True), ("not two = :t and not n = :n", True),
        ("two BETWEEN :s AND :t AND n > :m", True),
        ("two iN (:s) oR two bEtWeEn :s aNd :t", True), ("  two\n=\t:s  ", True), ("two=:s", True),
        ("(two = :s)", True),
        ("(two = :s) AND (n > :m)", True), ("((two = :s) AND (n > :m))", True),
        ("NOT (attribute_exists(gone))", True),
    ],
)  # fmt: skip
def test_comparison_binds_closer_than_not_and_or(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_types_have_the_names_of_the_wire() -> None:
    for name, value in VALUES.items():
        kind = next(iter(value))
        asked = Placeholders(None, {":kind": {"S": kind}})
        assert parse_condition("attribute_type(x, :kind)", asked).matches({"x": value}), name


def test_an_absent_item_has_no_attributes() -> None:
    assert holds("attribute_not_exists(a)", {})
    assert not holds("a = :s", {})


SYNTAX = [
    ("a", "<EOF>", "a"), ("a =", "<EOF>", "="), ("a = :s AND", "<EOF>", "AND"), (":s", "<EOF>", ":s"),
    ("a = :s extra", "extra", ":s extra"), ("a == :s", "=", "== :s"), ("_a = :s", "_", "_a"),
    ("1 = :s", "1", "1 ="),
    ("a = 1", "1", "= 1"), ("a IN ()", ")", "()"), ("a IN :s", ":s", "IN :s"),
    ("a BETWEEN :s", "<EOF>", ":s"),
    ("a BETWEEN :s OR :t", "OR", ":s OR :t"), ("a = :s)", ")", ":s)"), ("(a = :s", "<EOF>", ":s"),
    ("a = 'x'", "'", "= 'x"), ("a = \"x\"", '"', '= "x'), ("a.=:s", "=", ".=:s"),
    ("a[:s] = :s", ":s", "[:s]"),
    ("a[-1] = :s", "-", "[-1"), ("a[0 = :s", "=", "0 = :s"), ("AND a = :s", "AND", "AND a"),
    ("attribute_exists(a", "<EOF>", "a"),
    ("attribute_exists()", ")", "()"), ("a = :s;", ";", ":s;"), ("a != :s", "!", "a !="),
    ("NOT", "<EOF>", "NOT"),
    ("foo(a", "<EOF>", "a"), ("((a = :s)) AND", "<EOF>", "AND"), ("name =", "<EOF>", "="),
    ("é = :s", "é", "é ="),
]  # fmt: skip


@pytest.mark.parametrize(("text", "token", "near"), SYNTAX)
def test_a_syntax_error_shows_the_token_and_its_neighbours(text: str, token: str, near: str) -> None:
    assert refused(text) == f'Syntax error; token: "{token}", near: "{near}"'


COUNT = "Incorrect number of operands for operator or function; operator or function: "
TYPE = "Incorrect operand type for operator or function; operator or function: "
MISUSED = "The function is not allowed to be used this way in an expression; function: "
BOUNDS = "The BETWEEN operator requires "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"), (" \n", "The expression can not be empty;"),
        ("name = :s", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("a.Name = :s", "Attribute name is a reserved keyword; reserved keyword: Name"),
        ("a = #x",
         "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("a = :x", "An expression attribute value used in expression is not defined; attribute value: :x"),
        ("foo(a)", "Invalid function name; function: foo"),
        ("a = foo(a)", "Invalid function name; function: foo"),
        ("Begins_With(a, :s)", "Invalid function name; function: Begins_With"),
        ("size(a)", f"{MISUSED}size"), ("a = contains(a, :s)", f"{MISUSED}contains"),
        ("a IN (begins_with(a, :s))", f"{MISUSED}begins_with"),
        ("contains(contains(a, :s), :s)", f"{MISUSED}contains"),
        ("size(attribute_exists(a)) = :n", f"{MISUSED}attribute_exists"),
        ("a BETWEEN :s AND attribute_exists(b)", f"{MISUSED}attribute_exists"),
        ("if_not_exists(a, :s) = :s",
         "The function is not allowed in a condition expression; function: if_not_exists"),
        ("attribute_exists(a, b)", f"{COUNT}attribute_exists, number of operands: 2"),
        ("attribute_not_exists(a, b)", f"{COUNT}attribute_not_exists, number of operands: 2"),
        ("begins_with(a)", f"{COUNT}begins_with, number of operands: 1"),
        ("contains(a)", f"{COUNT}contains, number of operands: 1"),
        ("contains(a, :s, :t)", f"{COUNT}contains, number of operands: 3"),
        ("size(a, n) = :n", f"{COUNT}size, number of operands: 2"),
        ("attribute_type(a)", f"{COUNT}attribute_type, number of operands: 1"),
        ("a < :bool", f"{TYPE}<, operand type: BOOL"), ("a >= :ss", f"{TYPE}>=, operand type: SS"),
        (":map > a", f"{TYPE}>, operand type: M"), ("a <= :l", f"{TYPE}<=, operand type: L"),
        ("a BETWEEN :null AND :s", f"{TYPE}BETWEEN, operand type: NULL"),
        ("begins_with(a, :n)", f"{TYPE}begins_with, operand type: N"),
        ("size(:n) = :n", f"{TYPE}size, operand type: N"),
        ("size(:bool) = :n", f"{TYPE}size, operand type: BOOL"),
        ("attribute_type(a, :n)", f"{TYPE}attribute_type, operand type: N"),
        ("attribute_exists(:s)",
         "Operator or function requires a document path; operator or function: attribute_exists"),
        ("attribute_not_exists(size(a))",
         "Operator or function requires a document path; operator or function: attribute_not_exists"),
        ("attribute_type(size(a), :type)",
         "Operator or function requires a document path; operator or function: attribute_type"),
        ("attribute_type(a, :s)",
         "Invalid attribute type name found; type: a, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"),
        ("((a = :s))", "The expression has redundant parentheses;"),
        ("((a)) = :s", "The expression has redundant parentheses;"),
        ("n = :n AND ((a = :s))", "The expression has redundant parentheses;"),
        ("a = a", "The first operand must be distinct from the remaining operands for this operator or "
         "function; operator: =, first operand: [a]"),
        ("m.k[0] <> m.k[0]", "The first operand must be distinct from the remaining operands for this "
         "operator or function; operator: <>, first operand: [m, k, [0]]"),
        ("a IN (:s, a)", "The first operand must be distinct from the remaining operands for this operator "
         "or function; operator: IN, first operand: [a]"),
        ("#a = a", "The first operand must be distinct from the remaining operands for this operator or "
         "function; operator: =, first operand: [a]"),
        ("contains(a, a)", "The first operand must be distinct from the remaining operands for this "
         "operator or function; operator: contains, first operand: [a]"),
        ("a BETWEEN :n AND :s", f"{BOUNDS}same data type for lower and upper bounds; lower bound operand: "
         f"AttributeValue: {{N:1}}, upper bound operand: AttributeValue: {{S:a}}"),
        ("a BETWEEN :m AND :n", f"{BOUNDS}upper bound to be greater than or equal to lower bound; lower "
         f"bound operand: AttributeValue: {{N:2}}, upper bound operand: AttributeValue: {{N:1}}"),
    ],
)  # fmt: skip
def test_a_wrong_condition_is_refused_in_awss_words(text: str, message: str) -> None:
    assert refused(text) == message
    assert refused(text, "FilterExpression") == message


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("foo(a) AND ((a = :s))", "The expression has redundant parentheses;"),
        ("size(a) AND foo(a)", "Invalid function name; function: foo"),
        ("name = :s AND size(a)", f"{MISUSED}size"),
        ("a = :x AND name = :s", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("attribute_exists(a, b) AND #x = :s", f"{COUNT}attribute_exists, number of operands: 2"),
        ("#x = :s AND attribute_exists(a, b)",
         "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("begins_with(a, a, :n)", f"{COUNT}begins_with, number of operands: 3"),
        ("foo(a) AND bar(a)", "Invalid function name; function: foo"),
    ],
)  # fmt: skip
def test_of_several_errors_the_one_that_aws_reports_comes_first(text: str, first: str) -> None:
    assert refused(text) == first


def test_limits_hold_at_their_bounds() -> None:
    def many(count: int, joined: str = " OR ") -> str:
        return joined.join(["two = :s"] * count)

    # n comparisons and n - 1 operators between them
    assert holds(many(150))
    assert refused(many(151)) == "The expression contains too many operators; operator count: 301"
    assert holds(f"two IN ({', '.join([':s'] * 100)})")
    assert refused(f"two IN ({', '.join([':s'] * 101)})") == (
        "The IN operator is provided with too many operands; number of operands: 101"
    )
    assert holds("NOT " * 60 + "two = :s")
    for deep in (
        "(" * 2_000 + "two = :s" + ")" * 2_000,
        "NOT " * 1_000 + "two = :s",
        "(" * 4_000,
        "size(" * 800,
    ):
        assert refused(deep)
    text = "two = :s"
    assert holds(text + " " * (4_096 - len(text)))
    assert refused(text + " " * (4_097 - len(text))) == (
        "Expression size has exceeded the maximum allowed size; expression size: 4097"
    )


def test_a_condition_names_the_attributes_it_looks_at() -> None:
    condition = parse_condition("#a = :s AND size(m.k) > :n OR NOT attribute_exists(many[0].deep)", given())
    assert condition.attribute_names() == {"a", "m", "many"}


def test_one_text_serves_other_names_and_values() -> None:
    text = "#p = :v"
    for name, value in (("one", {"S": "x"}), ("two", {"N": "1"}), ("one", {"N": "2"})):
        condition = parse_condition(text, Placeholders({"#p": name}, {":v": value}))
        assert condition.matches({name: value})
        assert not condition.matches({"other": value})


def test_what_is_not_used_is_refused_after_all_expressions() -> None:
    placeholders = Placeholders(NAMES, {":s": VALUES[":s"], ":n": VALUES[":n"]})
    parse_condition("#a = :s", placeholders)
    assert refusal(placeholders.check_all_used) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#name, #dots}"
    )
    parse_condition("#name = :s AND attribute_exists(#dots)", placeholders)
    assert refusal(placeholders.check_all_used) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:n}"
    )
    parse_condition("n = :n", placeholders)
    placeholders.check_all_used()
    Placeholders().check_all_used()
