"""Tokens → nodes: precedence, what is a syntax error, limits, and faults that need no values."""

from typing import Any

import pytest

from tailrace.expressions.nodes import (
    Action,
    And,
    Arithmetic,
    Between,
    Compare,
    FunctionCall,
    In,
    Node,
    Not,
    Operand,
    Or,
    Path,
    Value,
)
from tailrace.expressions.parser import parse_condition_text, parse_projection_text, parse_update_text
from tests.unit.expressions.refusing import refusal


def path(*parts: str | int) -> Path:
    return Path(parts)


def equal(name: str) -> Compare:
    return Compare("=", path(name), Value(f":{name}"))


A, B, C, D = (equal(name) for name in "abcd")
EXISTS = FunctionCall("attribute_exists", (path("a"),))


def node(text: str) -> Node:
    return parse_condition_text(text, "ConditionExpression").node


def actions(text: str) -> tuple[Action, ...]:
    return parse_update_text(text).actions


def refused(text: str) -> str:
    return refusal(lambda: node(text)).removeprefix("Invalid ConditionExpression: ")


def refused_update(text: str) -> str:
    return refusal(lambda: actions(text)).removeprefix("Invalid UpdateExpression: ")


# ---- conditions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = :a", A),
        ("(a = :a)", A),
        ("(a) = (:a)", A),
        ("a = :a AND b = :b", And((A, B))),
        ("a = :a OR b = :b AND c = :c", Or((A, And((B, C))))),
        ("a = :a AND b = :b OR c = :c", Or((And((A, B)), C))),
        ("(a = :a OR b = :b) AND c = :c", And((Or((A, B)), C))),
        ("a = :a AND (b = :b AND c = :c) AND d = :d", And((A, B, C, D))),
        ("NOT a = :a AND b = :b", And((Not(A), B))),
        ("NOT (a = :a AND b = :b)", Not(And((A, B)))),
        ("NOT NOT a = :a", Not(Not(A))),
        ("NOT (a) = :a", Not(A)),
        ("a = :a OR NOT b = :b OR c = :c", Or((A, Not(B), C))),
        ("not a = :a Or b = :b aNd c = :c", Or((Not(A), And((B, C))))),
        ("a < :a", Compare("<", path("a"), Value(":a"))),
        (":a >= a", Compare(">=", Value(":a"), path("a"))),
        ("a <> b", Compare("<>", path("a"), path("b"))),
        ("a BETWEEN :a AND :b AND b = :b", And((Between(path("a"), Value(":a"), Value(":b")), B))),
        ("a between b and c", Between(path("a"), path("b"), path("c"))),
        ("a IN (:a)", In(path("a"), (Value(":a"),))),
        (
            "(a) IN (:a, (b), size(c))",
            In(path("a"), (Value(":a"), path("b"), FunctionCall("size", (path("c"),)))),
        ),
        ("attribute_exists(a)", EXISTS),
        ("(attribute_exists(a))", EXISTS),
        ("attribute_exists((a))", EXISTS),
        (
            "size(a) = size(b)",
            Compare("=", FunctionCall("size", (path("a"),)), FunctionCall("size", (path("b"),))),
        ),
        ("(size(a)) = :a", Compare("=", FunctionCall("size", (path("a"),)), Value(":a"))),
        ("#a.b[0][1].c = :a", Compare("=", path("#a", "b", 0, 1, "c"), Value(":a"))),
    ],
)
def test_conditions_bind_as_they_should(text: str, expected: Node) -> None:
    assert node(text) == expected


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("a", "<EOF>", "a"),
        ("a =", "<EOF>", "="),
        ("a = :a b", "b", ":a b"),
        ("a = :a AND", "<EOF>", "AND"),
        ("= :a", "=", "= :a"),
        ("a = = :a", "=", "= = :a"),
        ("a = :a = :b", "=", ":a = :b"),
        ("(a = :a) = :b", "=", ") = :b"),
        ("a AND b = :b", "AND", "a AND b"),
        ("(a AND b = :b)", "AND", "a AND b"),
        ("a = :a)", ")", ":a)"),
        ("(a = :a", "<EOF>", ":a"),
        ("()", ")", "()"),
        ("a = (:a", "<EOF>", ":a"),
        ("a BETWEEN :a", "<EOF>", ":a"),
        ("a BETWEEN :a OR :b", "OR", ":a OR :b"),
        ("a IN :a", ":a", "IN :a"),
        ("a IN ()", ")", "()"),
        ("a IN (:a", "<EOF>", ":a"),
        ("attribute_exists(a", "<EOF>", "a"),
        ("attribute_exists()", ")", "()"),
        ("VALUE 1", "1", "VALUE 1"),
        ("1 = :a", "1", "1 ="),
        ("a.1 = :a", "1", ".1 ="),
        ("a[b] = :a", "b", "[b]"),
        ("a[1 = :a", "=", "1 = :a"),
        ("a.and = :a", "and", ".and ="),
        ("not = :a", "=", "not = :a"),
        ("a = :a + :b", "+", ":a + :b"),
        ("NOT", "<EOF>", "NOT"),
        ("a NOT = :a", "NOT", "a NOT ="),
    ],
)
def test_a_syntax_error_shows_the_token_and_what_is_near(text: str, token: str, near: str) -> None:
    assert refused(text) == f'Syntax error; token: "{token}", near: "{near}"'


REDUNDANT = "The expression has redundant parentheses;"
MISUSED = "The function is not allowed to be used this way in an expression; function: "
RESERVED = "Attribute name is a reserved keyword; reserved keyword: "
UNKNOWN = "Invalid function name; function: "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("((a = :a))", REDUNDANT),
        ("((a)) = :a", REDUNDANT),
        ("a = ((:a))", REDUNDANT),
        ("(((a = :a) AND b = :b))", REDUNDANT),
        ("NOT ((a = :a))", REDUNDANT),
        ("attribute_exists(((a)))", REDUNDANT),
        ("foo(a)", UNKNOWN + "foo"),
        ("SIZE(a) = :a", UNKNOWN + "SIZE"),
        ("a = foo(b)", UNKNOWN + "foo"),
        (
            "if_not_exists(a, b) = :a",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
        ("size(a)", MISUSED + "size"),
        ("(size(a))", MISUSED + "size"),
        ("NOT size(a) AND b = :b", MISUSED + "size"),
        ("attribute_exists(a) = :a", MISUSED + "attribute_exists"),
        ("a = attribute_exists(a)", MISUSED + "attribute_exists"),
        ("a IN (:a, contains(a, :a))", MISUSED + "contains"),
        ("a BETWEEN :a AND begins_with(a, :a)", MISUSED + "begins_with"),
        ("contains(a, attribute_exists(b))", MISUSED + "attribute_exists"),
        ("status = :a", RESERVED + "status"),
        ("a.Status = :a", RESERVED + "Status"),
        ("attribute_exists(abort)", RESERVED + "abort"),
        ("a = zone", RESERVED + "zone"),
    ],
)
def test_what_is_wrong_with_the_text_alone_is_said(text: str, reason: str) -> None:
    assert refused(text) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("status = :a AND foo(a) AND size(a) AND ((a = :a)", 'Syntax error; token: "<EOF>", near: ")"'),
        ("status = :a AND size(a) AND foo(a) AND ((a = :a))", REDUNDANT),
        ("status = :a AND size(a) AND foo(a)", UNKNOWN + "foo"),
        ("status = :a AND size(a)", MISUSED + "size"),
        ("status = :a AND action = :b", RESERVED + "status"),
    ],
)
def test_faults_are_said_in_their_order_and_not_in_the_order_of_the_text(text: str, reason: str) -> None:
    assert refused(text) == reason


@pytest.mark.parametrize(
    "text",
    ["(a = :a) AND (b = :b)", "((a = :a) AND b = :b)", "(a = :a AND (b = :b))", "a IN ((b))",
     "attribute_exists((a))", "((a) = :a)", "(NOT (a = :a))"],
)  # fmt: skip
def test_parentheses_around_different_things_are_not_redundant(text: str) -> None:
    node(text)


def test_300_operators_are_the_limit_of_a_condition() -> None:
    names = [f"{first}{second}" for first in "fghklmpqrvwxy" for second in "fghklmpqrvwxy0123456789"]
    assert len(names) >= 151
    leaves = [f"{name}=:v" for name in names]
    assert isinstance(node(" AND ".join(leaves[:150])), And)  # 150 comparisons and 149 conjunctions
    assert (
        refused(" AND ".join(leaves[:151]))
        == "The expression contains too many operators; operator count: 301"
    )


def test_conditions_may_be_as_deep_as_their_operators_allow() -> None:
    condition = node("NOT " * 299 + "a=:a")
    depth = 0
    while isinstance(condition, Not):
        condition, depth = condition.condition, depth + 1
    assert (condition, depth) == (A, 299)
    assert refused("NOT " * 300 + "a=:a") == "The expression contains too many operators; operator count: 301"
    in_parentheses = "(a=:a AND " * 149 + "b=:b" + ")" * 149
    assert isinstance(node(in_parentheses), And)


def test_a_thousand_parentheses_are_no_stack_overflow() -> None:
    assert refused("(" * 1_000 + "a=:a" + ")" * 1_000) == REDUNDANT
    assert "Syntax error" in refused("(" * 4_000)
    assert "nested too deeply" in refused("a = " + "(" * 1_000 + ":a" + ")" * 1_000)
    assert "nested too deeply" in refused("size(" * 700)


def test_in_takes_100_operands() -> None:
    operands = [f":v{number}" for number in range(101)]
    assert isinstance(node(f"a IN ({', '.join(operands[:100])})"), In)
    assert refused(f"a IN ({', '.join(operands)})") == (
        "The IN operator is provided with too many operands; number of operands: 101"
    )


def test_a_path_has_32_parts() -> None:
    assert node("a" + ".b" * 31 + " = :a") == Compare("=", path("a", *["b"] * 31), Value(":a"))
    assert refused("a" + "[0]" * 32 + " = :a") == (
        "The document path has too many nesting elements; nesting levels: 33"
    )


def test_names_are_put_in_where_they_are_known() -> None:
    parsed = parse_condition_text("#x.#y = :v AND z = :w", "FilterExpression", (("#x", "a.b"),))
    assert parsed.node == And(
        (Compare("=", path("a.b", "#y"), Value(":v")), Compare("=", path("z"), Value(":w")))
    )
    assert (parsed.names, parsed.values) == (("#x", "#y"), (":v", ":w"))
    assert parsed.top_level_names == {"a.b", "z"}


def test_the_leaves_of_a_condition_are_in_the_order_of_the_text() -> None:
    parsed = parse_condition_text("NOT (a = :a OR attribute_exists(a)) AND b = :b", "ConditionExpression")
    assert parsed.leaves == (A, EXISTS, B)


# ---- updates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET a = :a", [("SET", path("a"), Value(":a"))]),
        ("set a = b, c = :c", [("SET", path("a"), path("b")), ("SET", path("c"), Value(":c"))]),
        ("SET a = a + :a", [("SET", path("a"), Arithmetic("+", path("a"), Value(":a")))]),
        ("SET a = :a-:b", [("SET", path("a"), Arithmetic("-", Value(":a"), Value(":b")))]),
        ("SET a = (b + :b)", [("SET", path("a"), Arithmetic("+", path("b"), Value(":b")))]),
        ("SET a = (b) + (:b)", [("SET", path("a"), Arithmetic("+", path("b"), Value(":b")))]),
        (
            "SET a = list_append(if_not_exists(a, :l), :m)",
            [("SET", path("a"), FunctionCall("list_append",
                (FunctionCall("if_not_exists", (path("a"), Value(":l"))), Value(":m"))))],
        ),
        ("REMOVE a, b[1].c", [("REMOVE", path("a"), None), ("REMOVE", path("b", 1, "c"), None)]),
        ("ADD a :a, b.c :b", [("ADD", path("a"), Value(":a")), ("ADD", path("b", "c"), Value(":b"))]),
        ("DELETE a :a", [("DELETE", path("a"), Value(":a"))]),
        (
            "Remove a DELETE b :b Add c :c Set d = :d",
            [("REMOVE", path("a"), None), ("DELETE", path("b"), Value(":b")), ("ADD", path("c"), Value(":c")),
             ("SET", path("d"), Value(":d"))],
        ),
    ],
)  # fmt: skip
def test_updates_have_their_actions_in_order(
    text: str, expected: list[tuple[str, Path, Operand | None]]
) -> None:
    assert actions(text) == tuple(Action(*fields) for fields in expected)


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("a = :a", "a", "a ="),
        ("SET", "<EOF>", "SET"),
        ("SET a", "<EOF>", "a"),
        ("SET a = ", "<EOF>", "="),
        ("SET a = :a,", "<EOF>", ","),
        ("SET a = :a b = :b", "b", ":a b ="),
        ("SET a :a", ":a", "a :a"),
        ("SET a = :a + :b + :c", "+", ":b + :c"),
        ("SET a = (:a + :b) + :c", "+", ") + :c"),
        ("SET a = :a + (:b + :c)", "+", ":b + :c"),
        ("SET a = list_append(:a + :b, c)", "+", ":a + :b"),
        ("SET a = :a * :b", "*", ":a * :b"),
        ("SET a <> :a", "<>", "a <> :a"),
        ("ADD a b", "b", "a b"),
        ("ADD a = :a", "=", "a = :a"),
        ("REMOVE a :a", ":a", "a :a"),
        ("SET set = :a", "set", "SET set ="),
        ("SET a = (:a", "<EOF>", ":a"),
    ],
)
def test_a_syntax_error_of_an_update_shows_its_place(text: str, token: str, near: str) -> None:
    assert refused_update(text) == f'Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SET a = :a SET b = :b", 'The "SET" section can only be used once in an update expression;'),
        ("remove a REMOVE b", 'The "REMOVE" section can only be used once in an update expression;'),
        ("SET a = foo(b)", UNKNOWN + "foo"),
        ("SET a = ((:a))", REDUNDANT),
        ("SET a = ((b + :b))", REDUNDANT),
        ("REMOVE status", RESERVED + "status"),
        ("SET a.b = data", RESERVED + "data"),
        ("SET a = foo(data) SET b = ((:b))", REDUNDANT),
        ("SET a = foo(data) SET b = :b", RESERVED + "data"),
        ("SET a = foo(b) SET b = :b", UNKNOWN + "foo"),
    ],
)
def test_what_is_wrong_with_an_update_is_said_in_its_order(text: str, reason: str) -> None:
    assert refused_update(text) == reason


def test_a_condition_function_in_an_update_is_kept_for_later() -> None:
    misuse = parse_update_text("SET a = size(b), c = contains(d, :d)").misuse
    assert misuse == "The function is not allowed in an update expression; function: size"


def test_300_operators_are_the_limit_of_an_update() -> None:
    names = [f"{first}{second}" for first in "fghklmpqrvwxyz" for second in "fghklmpqrvwxyz0123456789"][:301]
    text = "SET " + ",".join(f"{name}=:v+:w" for name in names[:300])
    assert len(actions(text)) == 300
    text = "SET " + ",".join(f"{name}=:v+:w" for name in names)
    assert refused_update(text) == "The expression contains too many operators; operator count: 301"
    assert len(actions("SET " + ",".join(f"{name}=:v" for name in names))) == 301


# ---- projections -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [("a",)]),
        ("a, b.c[0], #d", [("a",), ("b", "c", 0), ("#d",)]),
        ("set_of, nothing", [("set_of",), ("nothing",)]),
    ],
)
def test_projections_are_paths(text: str, expected: list[tuple[Any, ...]]) -> None:
    assert [path.parts for path in parse_projection_text(text).paths] == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,", 'Syntax error; token: "<EOF>", near: ","'),
        ("a b", 'Syntax error; token: "b", near: "a b"'),
        (":a", 'Syntax error; token: ":a", near: ":a"'),
        ("size(a)", 'Syntax error; token: "(", near: "size(a"'),
        ("a, and", RESERVED + "and"),
        ("a, name", RESERVED + "name"),
    ],
)
def test_projections_are_nothing_else(text: str, reason: str) -> None:
    assert refusal(lambda: parse_projection_text(text)) == f"Invalid ProjectionExpression: {reason}"
