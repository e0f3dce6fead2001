"""The words for wrong values, layer by layer. Source: AWS's answers of October 2026 (ADR 0043)."""

from typing import get_args

import pytest

from tailrace.values.wordings import CURRENT, OLDER, OVERFLOW, UNDERFLOW, Fault, WrongValue


def test_both_layers_have_words_for_every_fault() -> None:
    assert set(get_args(Fault)) == set(CURRENT) == set(OLDER)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1e126", OVERFLOW), ("1e2147483646", OVERFLOW), ("1e2147483647", UNDERFLOW),
        ("1E+2147483647", UNDERFLOW),
        ("-1e2147483647", UNDERFLOW), ("10e2147483646", UNDERFLOW), ("10e2147483645", OVERFLOW),
        ("1e2147483648", OVERFLOW),
        ("1e99999999999", OVERFLOW), ("1e" + "9" * 5_000, OVERFLOW), ("1" + "0" * 126, OVERFLOW),
        ("1e0002147483647", UNDERFLOW),
    ],
)  # fmt: skip
def test_an_exponent_past_the_largest_int_is_negative_in_the_older_layer(text: str, told: str) -> None:
    error = WrongValue("overflow", (text,))
    assert (error.told("older"), error.told("current")) == (told, OVERFLOW)


def test_only_the_older_layer_names_the_placeholder() -> None:
    error = WrongValue("null is false").behind(":v")
    assert error.told("current") == error.message == WrongValue("null is false").message
    assert (
        error.told("older") == f"ExpressionAttributeValues contains invalid value: {error.message} for key :v"
    )


@pytest.mark.parametrize(
    ("sent", "current", "older"),
    [
        (["AA==", "gA==", "AA=="], '"AA==","gA==","AA=="', "gA==, AA==, AA=="),
        (["fw==", "gA==", "fw=="], '"fw==","gA==","fw=="', "gA==, fw==, fw=="),
    ],
)
def test_the_older_layer_sorts_binaries_by_signed_bytes(sent: list[str], current: str, older: str) -> None:
    error = WrongValue("duplicate binaries", sent)
    assert f"[{current}]of type BS" in error.told("current")
    assert f"[{older}]of type BS" in error.told("older")
