"""Reading an export page by page: from any position, in bounded memory, each file checked whole.

Theory of operation: a file is read in chunks, unpacked and parsed as they come. Its count and its MD5 are
known at its end, so its last page is told only then. A file cannot be entered in its middle (gzip), so going
on inside one reads it from its beginning and tells nothing of what was done: it is checked whole all the
same. Files are independent: several may be read at once, each with `pages_of`.
Rules of this file: what reads and parses is a plain generator, moved on in a thread, page by page, so that
the loop never waits for it. Whatever cannot be read is Refused with place, file, line and the line's
beginning; nothing is passed over.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator
from hashlib import md5
from typing import Any, Final

from tailrace.errors import Refused
from tailrace.exports.core.exported import (
    BEGINNING,
    DataFile,
    ExportedItem,
    ExportPage,
    ExportPosition,
    ExportProgress,
    checked_position,
)
from tailrace.exports.core.ion import exported_of_ion, ion_values
from tailrace.exports.core.lines import exported_of_json
from tailrace.exports.core.manifest import EXPORT_AGAIN, SHOWN
from tailrace.exports.core.unpacking import lines_of, unpacked
from tailrace.exports.core.unreadable import Unreadable
from tailrace.exports.run.files import ExportFiles
from tailrace.exports.run.listing import OpenedExport
from tailrace.runtime.threads import in_thread

CHUNK: Final = 4 * 1024 * 1024
PAGE: Final = 1_000


class ExportReader:
    """One opened export. Units: page_items, the most items of a page."""

    def __init__(self, files: ExportFiles, export: OpenedExport, *, page_items: int = PAGE) -> None:
        self._files = files
        self._export = export
        self._page_items = page_items

    async def pages(self, after: ExportPosition = BEGINNING) -> AsyncIterator[ExportPage]:
        """Every page behind a position, file after file.

        Raises:  Refused for what is damaged, and for a position of another export; Unavailable where the
                 place cannot be reached: go on from the last page's position.
        """
        checked_position(after, self._export.files)
        done = self._export.files[: after.number]
        items, size = sum(file.items or 0 for file in done), sum(file.size for file in done)
        for number in range(after.number, len(self._export.files)):
            skipped = after.items if number == after.number else 0
            async for page in self.pages_of(number, skipped):
                progress = ExportProgress(
                    items + page.progress.items,
                    size + page.progress.bytes,
                    self._export.total_items,
                    self._export.total_bytes,
                )
                yield ExportPage(page.items, page.position, progress)
            items, size = progress.items, progress.bytes

    async def pages_of(self, number: int, after: int = 0) -> AsyncIterator[ExportPage]:
        """The pages of one file behind so many of its items; progress is the file's own. At least one, which
        may be empty: the last one says that the file is whole. Raises: as `pages`.
        """
        pages = self._read(number, after)
        while (page := await in_thread(next, pages, None)) is not None:
            yield page

    # ---- in a thread ---------------------------------------------------------------------------------------

    def _read(self, number: int, after: int) -> Iterator[ExportPage]:
        file = self._export.files[number]
        reading = _FileReading(self._files, file)
        items: list[ExportedItem] = []
        summary = self._export.summary
        exports = reading.items(after, None if summary is None else summary.is_full)
        for done, exported in enumerate(exports):
            if len(items) == self._page_items:
                yield reading.page(items, ExportPosition(number, after + done, file.name), after + done)
                items = []
            items.append(exported)
        reading.check()
        files = self._export.files
        following = files[number + 1].name if number + 1 < len(files) else ""
        yield reading.page(items, ExportPosition(number + 1, 0, following), reading.count)


class _FileReading:
    """One pass over a file. Shape: `count` items and `read_bytes` bytes so far."""

    def __init__(self, files: ExportFiles, file: DataFile) -> None:
        self.file = file
        self.count = 0
        self.read_bytes = 0
        self._files = files
        self._digest = md5(usedforsecurity=False)
        self._shown = f"{files.place.rstrip('/')}/{file.name}"

    def items(self, after: int, is_full: bool | None) -> Iterator[ExportedItem]:
        """Items behind so many. Raises: Refused."""
        is_ion = self.file.format == "ION"
        number = 0
        pieces = unpacked(self._chunks(), self.file.compression)
        raws: Iterator[Any] = ion_values(pieces) if is_ion else lines_of(pieces)
        try:
            for raw in raws:
                number += 1
                if not is_ion and not raw.strip():  # an empty line holds nothing
                    continue
                self.count += 1
                if self.count > after:
                    yield self._exported(raw, number, is_full)
        except Unreadable as error:
            raise Refused(
                f"{self._shown}, after {self._unit} {number}: {error}", hint=EXPORT_AGAIN
            ) from error
        if self.count < after:
            raise Refused(
                f"{self._shown}: reading was to go on behind item {after:,}, and it has {self.count:,}",
                hint="read it from the beginning, or open the export that the position was taken in",
            )

    def page(self, items: list[ExportedItem], position: ExportPosition, done: int) -> ExportPage:
        """A page behind which so many items of the file are done."""
        progress = ExportProgress(done, self.read_bytes, self.file.items, self.file.size)
        return ExportPage(tuple(items), position, progress)

    @property
    def _unit(self) -> str:
        return "value" if self.file.format == "ION" else "line"

    def _exported(self, raw: Any, number: int, is_full: bool | None) -> ExportedItem:
        try:
            if self.file.format == "ION":
                return exported_of_ion(raw, is_full)
            return exported_of_json(raw, is_full)
        except Unreadable as error:
            text = raw.decode(errors="replace") if isinstance(raw, bytes) else repr(raw)
            raise Refused(
                f"{self._shown}, {self._unit} {number}: {error}: {text[:SHOWN]}", hint=EXPORT_AGAIN
            ) from error

    def check(self) -> None:
        """Whether the file that was read to its end is the one that was exported. Raises: Refused."""
        digest = b64encode(self._digest.digest()).decode()
        if self.read_bytes != self.file.size:
            raise Refused(
                f"{self._shown} had {self.file.size:,} bytes when it was opened, and {self.read_bytes:,} "
                "were read: somebody writes it",
                hint="read it again when it is complete",
            )
        if self.file.md5 is not None and self.file.md5 != digest:
            raise Refused(
                f"{self._shown} is not the file that was exported: its MD5 is {digest}, and the manifest "
                f"says {self.file.md5}",
                hint=EXPORT_AGAIN,
            )
        if self.file.items is not None and self.file.items != self.count:
            raise Refused(
                f"{self._shown} has {self.count:,} items, and the manifest says {self.file.items:,}",
                hint=EXPORT_AGAIN,
            )

    def _chunks(self) -> Iterable[bytes]:
        while self.read_bytes < self.file.size:
            chunk = self._files.read(self.file.name, self.read_bytes, CHUNK)
            if chunk is None:
                raise Refused(f"{self._shown} is not there any more", hint=EXPORT_AGAIN)
            if not chunk:
                break
            self._digest.update(chunk)
            self.read_bytes += len(chunk)
            yield chunk
