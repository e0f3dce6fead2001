"""The picture and the table of the rooms, drawn from the import contracts and the
first sentences of packages.

Rules of this file: nothing about a room is said here; what a layer may import, the contract says, and what a
room is, its own docstring. `python -m tests.docs.rooms` rewrites docs/rooms.svg and the table in
docs/architecture.md; test_rooms.py compares them.
"""

import ast
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "architecture.md"
PICTURE: Final = ROOT / "docs" / "rooms.svg"
TABLE: Final = re.compile(r"(?<=<!-- rooms -->\n).*?(?=<!-- end of rooms -->)", re.DOTALL)
WIDTH: Final = 960
ROW: Final = 40
GAP: Final = 6
MARGIN: Final = 12
PURE, EDGE = "#dcefe2", "#e3e9f4"


@dataclass(frozen=True, slots=True)
class Room:
    """One package or module of the layers. Shape: `name` below `tailrace`; `is_pure` when the contract says
    that nothing in it touches the world.
    """

    name: str
    says: str
    is_pure: bool


def layers(contracts: Sequence[dict[str, Any]]) -> list[list[Room]]:
    """The rooms of every layer, the highest first, as the contracts have them."""
    (ordered,) = [one for one in contracts if one["name"] == "Layers of the architecture"]
    (pure,) = [one for one in contracts if one["name"] == "What decides touches nothing"]
    names = [[name.strip(" ()") for name in layer.split("|")] for layer in ordered["layers"]]
    return [
        [Room(name, _says(name), f"tailrace.{name}" in pure["source_modules"]) for name in row]
        for row in names
    ]


def contracts() -> list[dict[str, Any]]:
    """The import contracts of the project."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts: list[dict[str, Any]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    return contracts


def _says(name: str) -> str:
    place = ROOT / "src" / "tailrace" / name.replace(".", "/")
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]


def picture(rows: Sequence[Sequence[Room]]) -> str:
    """One box a room, one row a layer: a room may import what stands in the rows below its own."""
    height = 2 * MARGIN + len(rows) * (ROW + GAP) - GAP
    boxes = [box for number, row in enumerate(rows) for box in _row(row, MARGIN + number * (ROW + GAP))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" font-family="ui-sans-serif, system-ui, '
            f'sans-serif" font-size="15" role="img">',
            "<title>The rooms of Tailrace: each imports only what stands below it</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *boxes,
            "</svg>",
            "",
        ]
    )


def _row(row: Sequence[Room], top: int) -> list[str]:
    width = (WIDTH - 2 * MARGIN - (len(row) - 1) * GAP) / len(row)
    drawn: list[str] = []
    for number, room in enumerate(row):
        left = MARGIN + number * (width + GAP)
        drawn += [
            f'<g><title>{escape(room.says)}</title><rect x="{left:.1f}" y="{top}" '
            f'width="{width:.1f}" height="{ROW}" rx="5" fill="{PURE if room.is_pure else EDGE}" '
            f'stroke="#9aa5b8"/>',
            f'<text x="{left + width / 2:.1f}" y="{top + ROW / 2 + 5:.1f}" text-anchor="middle" '
            f'fill="#1b2430">'
            f"{escape(room.name)}{' ◆' if room.is_pure else ''}</text></g>",
        ]
    return drawn


def table(rows: Sequence[Sequence[Room]]) -> str:
    """The same in words."""
    lines = ["", "| room | what lives there |", "|---|---|"]
    lines += [
        f"| `{room.name}`{' ◆' if room.is_pure else ''} | {room.says.replace('|', chr(92) + '|')} |"
        for row in rows
        for room in row
    ]
    return "\n".join([*lines, "", ""])


def page(rows: Sequence[Sequence[Room]], written: str) -> str:
    """The page with the table as it should be."""
    return TABLE.sub(lambda _: table(rows), written)


def main() -> None:
    """Rewrite both."""
    rows = layers(contracts())
    PICTURE.write_text(picture(rows), encoding="utf-8")
    PAGE.write_text(page(rows, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
