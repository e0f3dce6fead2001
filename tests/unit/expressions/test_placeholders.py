"""What a request gives for its expressions: limits, what is undefined, what is unused."""

from typing import Any

import pytest

from tailrace.expressions.placeholders import PLACEHOLDERS_BYTES, Placeholders
from tests.unit.expressions.refusing import refusal


def test_what_is_used_is_noted_only_when_all_of_it_is_defined() -> None:
    placeholders = Placeholders({"#a": "a", "#b": "b"}, {":v": {"S": ""}})
    assert not placeholders.use(["#a", "#gone"], [":v"])
    assert not placeholders.use(["#a"], [":v", ":gone"])
    assert refusal(placeholders.check_all_used) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"
    )
    assert placeholders.use(["#b", "#a"], [":v"])
    placeholders.check_all_used()


def test_names_that_are_not_defined_are_left_out_of_what_is_chosen() -> None:
    assert Placeholders({"#a": "x"}).chosen(["#b", "#a"]) == (("#a", "x"),)


@pytest.mark.parametrize("member", ["ExpressionAttributeNames", "ExpressionAttributeValues"])
def test_a_placeholder_has_at_most_255_bytes(member: str) -> None:
    def given(length: int) -> Placeholders:
        if member == "ExpressionAttributeNames":
            return Placeholders({"#" + "a" * (length - 1): "a"})
        return Placeholders(None, {":" + "a" * (length - 1): {"S": "a"}})

    given(255)
    message = refusal(lambda: given(256))
    assert message.startswith(f'{member} contains invalid key: Syntax error; key: "')


@pytest.mark.parametrize(
    ("names", "values", "size"),
    [
        (None, lambda count: {":v": {"S": "a" * count}}, 2),
        (None, lambda count: {":v": {"L": [{"S": "é" * (count // 2)}, {"S": "a" * (count % 2)}]}}, 2 + 3 + 2),
        ({"#n": "é"}, lambda count: {":v": {"S": "a" * count}}, 2 + 2 + 2),
    ],
)
def test_all_placeholders_together_have_at_most_two_megabytes(names: Any, values: Any, size: int) -> None:
    Placeholders(names, values(PLACEHOLDERS_BYTES - size))
    message = refusal(lambda: Placeholders(names, values(PLACEHOLDERS_BYTES - size + 1)))
    assert message.endswith(f"has exceeded the maximum allowed size; size: {PLACEHOLDERS_BYTES + 1}")
