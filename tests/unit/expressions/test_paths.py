"""Document paths: reading, keeping, clashing."""

import random
from itertools import combinations
from typing import Any

import pytest

from tailrace.errors import ApiError
from tailrace.expressions.nodes import Path
from tailrace.expressions.paths import check_apart, keep, value_at
from tests.unit.expressions.refusing import refusal

ITEM: dict[str, Any] = {
    "a": {"L": [{"S": "x"}, {"M": {"b": {"N": "1"}, "c": {"N": "2"}}}, {"S": "z"}]},
    "m": {"M": {"b": {"L": [{"S": "p"}, {"S": "q"}]}}},
    "s": {"S": "text"},
}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("s",), {"S": "text"}), (("a", 0), {"S": "x"}), (("a", 1, "c"), {"N": "2"}),
        (("m", "b", 1), {"S": "q"}),
        (("a", 3), None), (("a", "b"), None), (("m", 0), None), (("s", "x"), None), (("gone",), None),
        (("gone", "x", 0), None),
    ],
)  # fmt: skip
def test_a_path_leads_to_a_value_or_to_none(
    parts: tuple[str | int, ...], expected: dict[str, Any] | None
) -> None:
    assert value_at(ITEM, parts) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([("a", 2), ("a", 0)], {"a": {"L": [{"S": "x"}, {"S": "z"}]}}),
        ([("a", 1, "b")], {"a": {"L": [{"M": {"b": {"N": "1"}}}]}}),
        ([("a", 1, "b"), ("a", 1, "c"), ("s",)], {"a": {"L": [ITEM["a"]["L"][1]]}, "s": {"S": "text"}}),
        ([("m", "b", 1), ("m", "x")], {"m": {"M": {"b": {"L": [{"S": "q"}]}}}}),
        ([("gone",), ("s", "x"), ("a", 9)], {}),
        ([], {}),
    ],
)
def test_only_what_lies_at_the_paths_is_kept(
    paths: list[tuple[str | int, ...]], expected: dict[str, Any]
) -> None:
    assert keep(ITEM, [Path(parts) for parts in paths]) == expected


def pairwise_verdict(paths: list[Path]) -> str | None:
    """The same decision by comparing every two paths, as the words of AWS have it."""
    overlaps: dict[str, tuple[int, int]] = {}
    for second, first in sorted((second, first) for first, second in combinations(range(len(paths)), 2)):
        clash: str | None = "overlap"
        for one, two in zip(paths[first].parts, paths[second].parts, strict=False):
            if type(one) is not type(two):
                clash = "conflict"
                break
            if one != two:
                clash = None
                break
        if clash is not None:
            overlaps.setdefault(clash, (first, second))
    for clash in ("overlap", "conflict"):
        if clash in overlaps:
            first, second = overlaps[clash]
            return f"documents {clash}: {paths[first]} {paths[second]}"
    return None


def verdict(paths: list[Path]) -> str | None:
    try:
        check_apart(paths, "UpdateExpression")
    except ApiError as error:
        words = str(error.message).split()
        clash = words[words.index("paths") + 1]
        ones, twos = str(error.message).split("path one: ")[1].split(", path two: ")
        return f"documents {clash}: {ones} {twos}"
    return None


def test_clashes_are_those_of_every_two_paths() -> None:
    chance = random.Random(7)
    seen = set()
    for _ in range(2_000):
        paths = [
            Path(
                (chance.choice("ab"), *(chance.choice(["a", "b", 0, 1]) for _ in range(chance.randrange(3))))
            )
            for _ in range(chance.randrange(1, 5))
        ]
        assert verdict(paths) == pairwise_verdict(paths)
        seen.add((verdict(paths) or "apart").split(":")[0])
    assert seen == {"apart", "documents overlap", "documents conflict"}


def test_an_overlap_is_said_before_a_conflict() -> None:
    paths = [Path(("a", "b")), Path(("a", 1)), Path(("c",)), Path(("c", "d"))]
    assert refusal(lambda: check_apart(paths, "ProjectionExpression")) == (
        "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or "
        "rewrite one of these paths; path one: [c], path two: [c, d]"
    )


def test_as_many_paths_as_fit_into_a_text_are_no_work() -> None:
    check_apart([Path(("a", number)) for number in range(2_000)], "UpdateExpression")
