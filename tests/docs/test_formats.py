"""The pages of docs/formats tell the format that each kind of row is written in.

Rules of this file: the registry is what is true (rows/kinds.py); a kind without a number in its section is of
format 1, or has the layout of another one.
"""

import re
from pathlib import Path

import pytest

from tailrace.rows.kinds import KINDS, RowKind

ROOT = Path(__file__).parents[2]
LIKE = {"parked": "deadletter"}
"""Kinds that have the layout of another kind, as their sections say."""


def sections() -> dict[str, str]:
    """What the page of state rows says of each kind."""
    page = (ROOT / "docs/formats/state.md").read_text(encoding="utf-8")
    parts = re.split(r"\n(?=## `)", page)[1:]
    return {part.split("`")[1].split("/")[0]: part for part in parts}


def written_format(kind: RowKind, told: dict[str, str]) -> int:
    """The highest format that the section of a kind, or of the one that it is like, names; 1 for none."""
    return max([1, *map(int, re.findall(r"[Ff]ormats? (\d+)", told[LIKE.get(kind.name, kind.name)]))])


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.name in sections()], ids=lambda kind: kind.name
)
def test_the_page_tells_the_format_of_a_kind(kind: RowKind) -> None:
    assert written_format(kind, sections()) == kind.format


def test_every_kind_of_a_newer_format_has_a_section() -> None:
    newer = {kind.name for kind in KINDS.values() if kind.format > 1}
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/formats").glob("*.md"))
    assert {name for name in newer - sections().keys() if f"`{name}/" not in pages} == set()


def test_a_page_that_was_left_behind_is_found() -> None:
    told = sections()
    told["gap"] = re.sub(r"[Ff]ormat \d+", "it", told["gap"])
    assert written_format(KINDS["gap"], told) != KINDS["gap"].format
