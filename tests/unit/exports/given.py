"""What the tests of exports begin with: items of every kind, and reading all of an export.

Rules of this file: no test; nothing here asserts.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from tailrace.exports.core.exported import BEGINNING, ExportedItem, ExportPage, ExportPosition
from tailrace.exports.run.files import ExportFiles
from tailrace.exports.run.listing import ListedExport, OpenedExport, list_exports, open_export
from tailrace.exports.run.reading import ExportReader
from tailrace.testing.exporting import MemoryFiles
from tailrace.values.types import Item

T: Final = 1_693_685_685_463_000
"""2023-09-02T20:14:45.463Z"""
MINUTE: Final = 60_000_000
DIGITS: Final = "12345678901234567890123456789012345678"

EVERYTHING: Final[Item] = {
    "pk": {"S": "a#1"},
    "digits": {"N": DIGITS},
    "largest": {"N": "99999999999999999999999999999999999999" + "0" * 88},
    "smallest": {"N": "0." + "0" * 129 + "1"},
    "negative": {"N": "-1.5"},
    "zero": {"N": "0"},
    "empty": {"S": ""},
    "nul": {"S": "a\x00b"},
    "unicode": {"S": "ﬀ 😀 \u2028 é"},
    "binary": {"B": "AAH/"},
    "no_bytes": {"B": ""},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "null": {"NULL": True},
    "strings": {"SS": ["a", "b", "é"]},
    "numbers": {"NS": ["-1", "2.5", DIGITS]},
    "binaries": {"BS": ["", "AAH/"]},
    "list": {"L": [{"N": "1"}, {"L": []}, {"M": {}}, {"NULL": True}]},
    "map": {"M": {"inside": {"M": {"deep": {"SS": ["x"]}}}, 'q"uote\n': {"S": "'''"}}},
}


def numbered(count: int) -> list[Item]:
    """So many items, the first of which has every kind of value."""
    return [
        {**(EVERYTHING if number == 0 else {}), "pk": {"S": f"k{number:04d}"}, "n": {"N": str(number)}}
        for number in range(count)
    ]


def opened(files: ExportFiles) -> tuple[ListedExport, OpenedExport]:
    """The only export of a place."""

    async def both() -> tuple[ListedExport, OpenedExport]:
        (listed,) = await list_exports(files)
        return listed, await open_export(files, listed)

    return asyncio.run(both())


def pages_of(
    files: ExportFiles, export: OpenedExport, after: ExportPosition = BEGINNING, page_items: int = 3
) -> list[ExportPage]:
    """Every page behind a position."""

    async def read() -> list[ExportPage]:
        reader = ExportReader(files, export, page_items=page_items)
        return [page async for page in reader.pages(after)]

    return asyncio.run(read())


def all_of(blobs: Mapping[str, bytes], **chosen: Any) -> list[ExportedItem]:
    """Every item of the only export among the files."""
    files = MemoryFiles(blobs)
    return [item for page in pages_of(files, opened(files)[1], **chosen) for item in page.items]
