"""Text → tokens, and how a syntax error shows the place."""

import pytest

from tailrace.expressions.tokens import Token, tokenize
from tests.unit.expressions.refusing import refusal

KIND = "UpdateExpression"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("SET a=:b", ["SET", "a", "=", ":b"]),
        ("a<>:b", ["a", "<>", ":b"]),
        ("a<=b", ["a", "<=", "b"]),
        ("a< =b", ["a", "<", "=", "b"]),
        ("#a.b[10]", ["#a", ".", "b", "[", "10", "]"]),
        (":a-:b", [":a", "-", ":b"]),
        ("a+:b_1", ["a", "+", ":b_1"]),
        ("\n a\t,\r\nb \n", ["a", ",", "b"]),
        ("#0 :0", ["#0", ":0"]),
        ("a1_B", ["a1_B"]),
    ],
)
def test_a_text_is_cut_into_tokens(text: str, expected: list[str]) -> None:
    assert [token.text for token in tokenize(text, KIND)] == [*expected, "<EOF>"]


def test_tokens_know_their_kind_and_their_place() -> None:
    assert tokenize(" ab = :c", KIND) == [
        Token("name", "ab", 1, 3),
        Token("sign", "=", 4, 5),
        Token("value", ":c", 6, 8),
        Token("end", "<EOF>", 8, 8),
    ]


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_nothing_is_no_expression(text: str) -> None:
    assert (
        refusal(lambda: tokenize(text, KIND)) == "Invalid UpdateExpression: The expression can not be empty;"
    )


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("SET _123 = :v", "_", "SET _123"),
        ("a = !b", "!", "= !b"),
        ("$", "$", "$"),
        ("a = '", "'", "= '"),
        ("a = # b", "#", "= # b"),
        ("a = é", "é", "= é"),
        ("a = : ", ":", "= :"),
    ],
)
def test_a_character_that_begins_no_token_is_shown_with_its_neighbours(
    text: str, token: str, near: str
) -> None:
    expected = f'Invalid {KIND}: Syntax error; token: "{token}", near: "{near}"'
    assert refusal(lambda: tokenize(text, KIND)) == expected


def test_an_expression_has_at_most_4096_bytes() -> None:
    assert tokenize("a" * 4_096, KIND)[0].text == "a" * 4_096
    assert tokenize("a" + " " * 4_095, KIND)[0].text == "a"
    for text in ("a" * 4_097, "é" * 2_048 + "a"):
        reason = "Expression size has exceeded the maximum allowed size;"
        assert refusal(lambda text=text: tokenize(text, KIND)) == f"Invalid UpdateExpression: {reason}"
        told = refusal(lambda text=text: tokenize(text, "FilterExpression"))
        assert told == f"Invalid FilterExpression: {reason} expression size: 4097"
