"""The picture and the table of docs/architecture.md are those of the import contracts, and the
files of docs/changing.md exist.
"""

import re
from xml.etree import ElementTree

from tests.docs import rooms


def test_the_picture_is_drawn_from_the_contracts() -> None:
    drawn = rooms.picture(rooms.layers(rooms.contracts()))
    assert rooms.PICTURE.read_text(encoding="utf-8") == drawn, "redraw it: python -m tests.docs.rooms"


def test_the_table_has_every_room_with_its_first_sentence() -> None:
    written = rooms.PAGE.read_text(encoding="utf-8")
    assert rooms.TABLE.search(written) is not None
    assert written == rooms.page(rooms.layers(rooms.contracts()), written), (
        "rewrite it: python -m tests.docs.rooms"
    )


def test_every_room_says_what_it_is() -> None:
    assert [room.name for row in rooms.layers(rooms.contracts()) for room in row if not room.says] == []


def test_a_picture_that_lacks_a_room_is_another_one() -> None:
    rows = rooms.layers(rooms.contracts())
    assert rooms.picture([row[:-1] or row for row in rows]) != rooms.picture(rows)


def test_the_picture_has_one_box_a_room_and_no_two_overlap() -> None:
    rows = rooms.layers(rooms.contracts())
    name = "{http://www.w3.org/2000/svg}"
    boxes = [
        tuple(float(box.attrib[side]) for side in ("x", "y", "width", "height"))
        for group in ElementTree.fromstring(rooms.picture(rows)).iter(f"{name}g")
        for box in group.iter(f"{name}rect")
    ]
    assert len(boxes) == sum(map(len, rows))
    for place, (left, top, width, height) in enumerate(boxes):
        assert left >= 0
        assert left + width <= rooms.WIDTH
        for x, y, w, h in boxes[place + 1 :]:
            assert x >= left + width or left >= x + w or y >= top + height or top >= y + h


def test_every_file_that_a_change_is_sent_to_is_there() -> None:
    text = (rooms.ROOT / "docs" / "changing.md").read_text(encoding="utf-8")
    files = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(files) >= 15
    assert [file for file in files if not (rooms.ROOT / file).exists()] == []


def test_every_file_that_a_page_names_is_there() -> None:
    pages = [page for page in (rooms.ROOT / "docs").rglob("*.md") if "evidence" not in page.parts]
    named = {
        (page.name, file)
        for page in pages
        for file in re.findall(
            r"\b(?:tests|src|bench|examples)/[\w/-]+\.py", page.read_text(encoding="utf-8")
        )
    }
    assert len(named) >= 50
    assert sorted(name for name in named if not (rooms.ROOT / name[1]).exists()) == []
