"""Putting and removing at document paths: old indexes, shared parts, depth."""

from copy import deepcopy
from typing import Any

import pytest

from tailrace.expressions.nodes import Path
from tailrace.expressions.rewriting import rewrite
from tailrace.expressions.update import parse_update
from tailrace.values.wire import depth_of
from tests.unit.expressions.refusing import given, refusal

DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
    "supported limit"
)


def strings(*texts: str) -> dict[str, Any]:
    return {"L": [{"S": text} for text in texts]}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "x"}
    for _ in range(levels - 1):
        value = {"M": {"a": value}}
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SET l[2] = :s REMOVE l[3]",
            strings("x", "y", "a"),
        ),  # what is appended is not what l[3] was: nothing
        ("SET l[5] = :s REMOVE l[2]", strings("x", "y", "a")),  # nothing was at l[2] before
        ("SET l[7] = :s REMOVE l[0]", strings("y", "a")),
        ("REMOVE l[0], l[1]", strings()),
        ("SET l[0] = l[1], l[1] = l[0]", strings("y", "x")),
        ("SET l[10] = :t, l[9] = :s REMOVE l[0], l[1]", strings("a", "b")),
    ],
)
def test_elements_are_removed_by_their_old_indexes(text: str, expected: dict[str, Any]) -> None:
    assert parse_update(text, given()).apply({"l": strings("x", "y")}) == {"l": expected}


def test_removing_an_element_does_not_move_what_is_removed_inside_another() -> None:
    item = {
        "l": {"L": [{"S": "x"}, {"M": {"a": {"S": "y"}, "b": {"S": "z"}}}, {"L": [{"N": "1"}, {"N": "2"}]}]}
    }
    update = parse_update("REMOVE l[0], l[1].a, l[2][0]", given())
    assert update.apply(item) == {"l": {"L": [{"M": {"b": {"S": "z"}}}, {"L": [{"N": "2"}]}]}}


def test_a_container_is_copied_once_and_the_rest_is_shared() -> None:
    item = {"m": {"M": {"a": {"M": {}}, "b": {"L": []}}}, "o": {"M": {}}}
    before = deepcopy(item)
    after = rewrite(item, [(Path(("m", "a", "x")), {"S": "1"}), (Path(("m", "a", "y")), {"S": "2"})])
    assert after == {
        "m": {"M": {"a": {"M": {"x": {"S": "1"}, "y": {"S": "2"}}}, "b": {"L": []}}},
        "o": {"M": {}},
    }
    assert item == before
    assert after["o"] is item["o"]
    assert after["m"]["M"]["b"] is item["m"]["M"]["b"]


@pytest.mark.parametrize(
    ("text", "value_levels", "container_levels"),
    [
        ("SET m.x = :v", 31, 1),
        ("SET m.a.x = :v", 30, 2),
        ("SET m.x = b", 31, 1),
        ("SET m.x = if_not_exists(b, :v)", 31, 1),
    ],
)
def test_an_update_does_not_nest_deeper_than_32_levels(
    text: str, value_levels: int, container_levels: int
) -> None:
    def updated(levels: int) -> dict[str, Any]:
        container: dict[str, Any] = {"M": {"a": {"M": {}}}}
        item = {"m": container, "b": nested(levels)}
        return parse_update(text, given(values={":v": nested(levels)} if ":v" in text else {})).apply(item)

    after = updated(value_levels)
    assert depth_of(after["m"]) == 32 == value_levels + container_levels
    assert refusal(lambda: updated(value_levels + 1)) == DEEP
