"""Files of a place as exports are read from it: one level of names, and bytes of one file.

Stands alone because the adapters (sources/export_files.py) and the memory of tests implement it, and both
readers use it.
Rules of this file: declarations only. A call blocks; the room calls it in a thread.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class FolderEntries(Struct, frozen=True):
    """What is directly in a folder. Shape: names without their folder. Units: sizes in bytes."""

    folders: tuple[str, ...]
    files: Mapping[str, int]


class ExportFiles(Protocol):
    """Where exports lie.

    Shape:   names are relative to the place, with `/`; "" is the place itself, and a name may begin with
             `../`, for incremental exports keep their data beside their own folder. `place` is how people
             call it.
    Raises:  Unavailable where the place cannot be reached; Refused where it may not be read.
    """

    @property
    def place(self) -> str:
        """As it was typed."""

    def entries(self, folder: str) -> FolderEntries:
        """What is in a folder; nothing for one that is not there. Blocks. Repeatable."""

    def read(self, name: str, start: int, length: int) -> bytes | None:
        """Bytes of a file, fewer at its end; None: there is no such file. Blocks. Repeatable."""
