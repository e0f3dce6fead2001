"""Writing an export: data files one after the other, in bounded memory, the summary last.

Theory of operation: rows come in any order and are cut into files by the bytes of their lines; one file at a
time is held, packed. The same plan and rows give the same files under the same names, so an export that was
killed is either gone on with, by the same call (what lies there already is compared, not written again), or
taken away with `discard_export`. Until its summary lies there, last of all, it does not exist for readers.
Rules of this file: through `ports.ArchiveStore` alone, which puts whole blobs and never overwrites one. Lines
are made and packed in a thread. Nothing is tried again: whoever calls knows how long to wait. Decision 83.
"""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from tailrace.errors import Refused
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.manifest import ExportSummary, summary_of
from tailrace.exports.core.plan import (
    PlannedExport,
    WrittenFile,
    billed_bytes,
    checked_plan,
    checksum_name,
    checksum_of,
    files_manifest,
    line_of,
    shown,
    summary_manifest,
    written_file,
)
from tailrace.ports import ArchiveStore, Clock
from tailrace.runtime.threads import in_thread

FILE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of lines of a file: packed they are a fifth of that, and a file is held in memory."""
BATCH_BYTES: Final = 1024 * 1024
BATCH_ITEMS: Final = 1_000
"""Of what is made lines of at once."""
LEVEL: Final = 6
GZIP_WINDOW: Final = 31
"""A window of 32 KiB behind gzip's header (16 + 15), in which zlib writes no time."""

ExportedRows: TypeAlias = AsyncIterable[ExportedItem] | Iterable[ExportedItem]
"""Of a full export its items, of which `new` alone counts; of an incremental one a change a key, with keys
and time.
"""


class ExportSource(Protocol):
    """A table's past, as exports are written of it. Units: µs since the epoch."""

    def state(self, at_us: int) -> AsyncIterator[ExportedItem]:
        """Every item as it was just before a moment, once, in any order. Raises: what a source raises."""

    def changes(self, from_us: int, to_us: int) -> AsyncIterator[ExportedItem]:
        """Of every key that was written from one moment to before another the `net_change`, once, in any
        order. Raises: what a source raises.
        """


class WritingProgress(Struct, frozen=True):
    """How far writing is. Units: bytes as they lie there, packed, of the files that are done."""

    items: int
    files: int
    bytes: int


def rows_of(source: ExportSource, plan: PlannedExport) -> AsyncIterator[ExportedItem]:
    """What an export of this plan is written of."""
    if plan.from_us is None:
        return source.state(plan.to_us)
    return source.changes(plan.from_us, plan.to_us)


async def write_export(
    archive: ArchiveStore,
    plan: PlannedExport,
    rows: ExportedRows,
    clock: Clock,
    *,
    progress: Callable[[WritingProgress], None] | None = None,
    file_bytes: int = FILE_BYTES,
) -> ExportSummary:
    """Write an export, or go on with one of the same plan, rows and `file_bytes` that was not finished.

    Shape:   `clock` says when it ended; `progress` is told after every batch and every file.
    Guarantee: when it returns, the export is there as a whole; before, it is not there for any reader. One
               that was finished already is left as it is, and no row is read.
    Raises:  Refused for a plan that no reader takes, and where something else lies under one of its names;
             ArchiveError, after which the same call goes on; SettingsError without the extra `exports` for
             ION; what `rows` raise.
    """
    writing = _Writing(archive, checked_plan(plan), progress, file_bytes)
    there = await _summary(archive, plan)
    if there is not None:
        return there
    await writing.put(plan.started, b"")
    async for batch, billed in _batches(plan, rows, min(file_bytes, BATCH_BYTES)):
        await writing.add(batch, billed)
    return await writing.finish(clock)


async def discard_export(archive: ArchiveStore, plan: PlannedExport) -> int:
    """Take away what is there of an export that was not finished. Repeatable. Returns: how many files.

    Guarantee: until everything else is gone, `_started` says that something was begun.
    Raises:  Refused for one that is finished, ArchiveError.
    """
    if await archive.get(plan.summary, 0, 1) is not None:
        raise Refused(f"export {plan.export_id} of {plan.table_arn} is finished, and is left as it is")
    own = list(await archive.list(f"{plan.folder}/"))
    there = {*own, *await archive.list(f"{plan.data_folder}/")}
    data = [name for name in map(plan.data_file, range(len(there))) if name in there]
    # Data files from the last one on, and `_started` at the end: what a kill leaves, the next call finds.
    others = sorted(set(own) - set(data), key=lambda name: name == plan.started)
    for name in (*reversed(data), *others):
        await archive.delete(name)
    return len(data) + len(others)


async def _summary(archive: ArchiveStore, plan: PlannedExport) -> ExportSummary | None:
    """The summary of this very export; None: it is not finished. Raises: Refused for another one's."""
    blob = await archive.get(plan.summary)
    if blob is None:
        return None
    there = summary_of(blob.data, plan.summary)
    if there != plan.finished(there.item_count, there.billed_bytes):
        raise Refused(
            f"{plan.summary} is there, of {there.table_arn} ({there.times}), and this export would be of "
            f"{plan.table_arn} ({plan.finished(0, 0).times})",
            hint="begin it under a new id",
        )
    return there


async def _batches(
    plan: PlannedExport, rows: ExportedRows, most_bytes: int
) -> AsyncIterator[tuple[list[ExportedItem], int]]:
    """Rows as the export shows them, in lists that end by their size or their number, so that the same rows
    give the same lists; and what is billed for each list. Raises: InternalError for what cannot be shown.
    """
    batch: list[ExportedItem] = []
    billed = 0
    async for row in _one_by_one(rows):
        exported = shown(plan, row)
        batch.append(exported)
        billed += billed_bytes(exported)
        if billed >= most_bytes or len(batch) == BATCH_ITEMS:
            yield batch, billed
            batch, billed = [], 0
    if batch:
        yield batch, billed


async def _one_by_one(rows: ExportedRows) -> AsyncIterator[ExportedItem]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
        return
    for row in rows:
        yield row


class _Writing:
    """An export on its way: files that lie there, and the one that is filled."""

    def __init__(
        self,
        archive: ArchiveStore,
        plan: PlannedExport,
        progress: Callable[[WritingProgress], None] | None,
        file_bytes: int,
    ) -> None:
        self._archive = archive
        self._plan = plan
        self._progress = progress
        self._file_bytes = file_bytes
        self._files: list[WrittenFile] = []
        self._packed = _PackedLines(plan)
        self._items = 0
        self._bytes = 0
        self._billed = 0

    async def add(self, batch: list[ExportedItem], billed: int) -> None:
        """Write the next rows. Raises: ArchiveError; Refused; SettingsError for ION without its extra."""
        await in_thread(self._packed.add, batch)
        self._items += len(batch)
        self._billed += billed
        if self._packed.line_bytes >= self._file_bytes:
            await self._end_file()
        self._tell()

    async def finish(self, clock: Clock) -> ExportSummary:
        """Write what is left, then both manifests. Raises: as `add`."""
        if self._packed.items or not self._files:  # DynamoDB writes a file without items, too
            await self._end_file()
            self._tell()
        plan = self._plan
        listed = files_manifest(plan, self._files)
        await self.put(plan.files, listed)
        await self.put(checksum_name(plan.files), checksum_of(listed))
        ended_us = clock.now().wall_ms * 1_000
        summary = summary_manifest(plan, self._items, self._billed, ended_us)
        await self._replace(checksum_name(plan.summary), checksum_of(summary))
        await self.put(plan.summary, summary)
        return plan.finished(self._items, self._billed)

    async def put(self, name: str, data: bytes) -> None:
        """Write a file, unless it lies there already. Raises: Refused where another one does."""
        if await self._archive.put_if_absent(name, data) is not None:
            return
        held = await self._archive.get(name)
        if held is None or held.data != data:
            raise Refused(
                f"{name} is there, and is not what export {self._plan.export_id} would have there: it was "
                "begun with other rows, or by another program",
                hint="begin the export under a new id",
            )

    async def _replace(self, name: str, data: bytes) -> None:
        """Write the checksum of the summary, which says when the export ended: of an earlier try it is of
        another time, and its summary was not written.
        """
        held = await self._archive.get(name)
        if held is None or held.tag is None:
            await self.put(name, data)
        elif held.data != data and await self._archive.compare_and_put(name, data, held.tag) is None:
            raise Refused(
                f"{name} was changed meanwhile: export {self._plan.export_id} is written by two at once",
                hint="let one of them end, and look at what is there: tailrace export ls PLACE",
            )

    async def _end_file(self) -> None:
        packed, self._packed = self._packed, _PackedLines(self._plan)
        data = await in_thread(packed.end)
        name = self._plan.data_file(len(self._files))
        await self.put(name, data)
        self._files.append(written_file(name, packed.items, data))
        self._bytes += len(data)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(WritingProgress(self._items, len(self._files), self._bytes))


class _PackedLines:
    """A data file that is filled. Units: line_bytes before they are packed."""

    def __init__(self, plan: PlannedExport) -> None:
        self.items = 0
        self.line_bytes = 0
        self._format = plan.format
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        self._pieces: list[bytes] = []

    def add(self, batch: list[ExportedItem]) -> None:
        """Pack lines of these rows. Raises: SettingsError for ION without its extra."""
        lines = b"".join([line_of(self._format, row) for row in batch])
        self._pieces.append(self._packer.compress(lines))
        self.items += len(batch)
        self.line_bytes += len(lines)

    def end(self) -> bytes:
        """The whole file."""
        return b"".join((*self._pieces, self._packer.flush()))
