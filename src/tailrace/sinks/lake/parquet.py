"""Rows ⇄ bytes of Parquet files, and parts of a file by its footer.

Theory of operation: the footer says where each row group lies and which keys it has, so that a group of a
sorted file is fetched by itself: two ranges of a blob, however large it is.
Rules of this file: what compresses and what decodes blocks; callers run it in a thread.
"""

import io
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from tailrace.errors import ArchiveError
from tailrace.ports import ArchiveStore
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.rows import CHANGED_AT, KEY, VERSION

GROUP_ROWS: Final = 32_768
"""Rows of a group in sorted files: scans like them large, looking for a key likes them small."""
SCAN_ROWS: Final = 131_072
"""Rows of a group in a log, which is only scanned."""
LEVEL: Final = 3
LOG_LEVEL: Final = 1
"""Of what a compaction reads soon and writes again."""
DISTINCT: Final = frozenset((KEY, VERSION, CHANGED_AT))
TAIL: Final = 65_536
"""Bytes of the end of a file that nearly always hold its footer."""
ENDING: Final = 8
"""Bytes of the footer's length and the magic word behind it."""


def parquet_bytes(rows: pa.Table, *, is_sorted: bool, keys: Collection[str] = ()) -> bytes:
    """A whole file, zstd, with statistics. The same rows give the same bytes.

    Shape:   what is another value in each row is written without a dictionary: `keys` are columns that
             mostly are.
    """
    sink = io.BytesIO()
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=LEVEL if is_sorted else LOG_LEVEL,
        row_group_size=GROUP_ROWS if is_sorted else SCAN_ROWS,
        sorting_columns=[pq.SortingColumn(rows.schema.get_field_index(KEY))] if is_sorted else None,
        use_dictionary=[name for name in rows.schema.names if name not in DISTINCT and name not in keys],
    )
    return sink.getvalue()


class JoinedRows:
    """Rows of several files → one file that is not sorted, by groups: memory has one of them beside the
    file's bytes.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = io.BytesIO()
        dictionary = [name for name in schema.names if name not in DISTINCT]
        self._writer: Any = pq.ParquetWriter(
            self._sink, schema, compression="zstd", compression_level=LEVEL, use_dictionary=dictionary
        )
        self._group: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Some more. Shape: with the columns of the schema."""
        self._group.append(rows)
        if sum(part.num_rows for part in self._group) >= SCAN_ROWS:
            self._write()

    def end(self) -> bytes:
        """The whole file."""
        self._write()
        self._writer.close()
        return self._sink.getvalue()

    def _write(self) -> None:
        if self._group:
            self._writer.write_table(pa.concat_tables(self._group), row_group_size=SCAN_ROWS)
        self._group = []


def parquet_rows(data: bytes) -> pa.Table:
    """All rows of a file."""
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)


def row_groups(data: bytes) -> Iterator[pa.Table]:
    """All rows of a file, a group at a time."""
    file = pq.ParquetFile(pa.BufferReader(data))
    for number in range(file.num_row_groups):
        yield file.read_row_group(number, use_threads=False)


async def read_file(archive: ArchiveStore, name: str) -> pa.Table:
    """All rows of a file. Raises: ArchiveError, also when it is not there."""
    return await in_thread(parquet_rows, await read_bytes(archive, name))


async def read_bytes(archive: ArchiveStore, name: str) -> bytes:
    """A whole file, not decoded. Raises: ArchiveError, also when it is not there."""
    blob = await archive.get(name)
    if blob is None:
        raise missing(name)
    return blob.data


def missing(name: str) -> ArchiveError:
    """What is raised for a file that the manifest names."""
    return ArchiveError(
        f"{name} is in the manifest and not in the archive",
        hint="restore the file, or snapshot the table anew into another place",
    )


class _Range(io.RawIOBase):
    """A file of which some ranges are here. Shape: (start, bytes) in order."""

    def __init__(self, size: int, ranges: Sequence[tuple[int, bytes]]) -> None:
        self._size = size
        self._ranges = sorted(ranges)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        place = bisect_right(self._ranges, self._at, key=lambda one: one[0]) - 1
        start, data = self._ranges[max(0, place)]
        piece = data[self._at - start : end - start]
        if self._at < start or len(piece) != end - self._at:
            raise OSError(f"bytes {self._at} to {end} were not fetched")
        self._at = end
        return piece


class GroupBounds(Struct, frozen=True):
    """A row group of a sorted file: where its bytes are, and its keys."""

    start: int
    end: int
    first: bytes
    last: bytes


class ParquetFooter:
    """What a file's footer says. Shape: `groups` in the order of their keys."""

    def __init__(self, name: str, size: int, start: int, tail: bytes) -> None:
        self.name = name
        self._size = size
        self._tail = (start, tail)
        self._metadata = pq.ParquetFile(_Range(size, [self._tail])).metadata
        place = self._metadata.schema.to_arrow_schema().get_field_index(KEY)
        self.groups = [self._bounds(number, place) for number in range(self._metadata.num_row_groups)]

    def _bounds(self, number: int, place: int) -> GroupBounds:
        group = self._metadata.row_group(number)
        columns = [group.column(column) for column in range(group.num_columns)]
        starts = [
            column.data_page_offset
            if column.dictionary_page_offset is None
            else min(column.dictionary_page_offset, column.data_page_offset)
            for column in columns
        ]
        ends = [start + column.total_compressed_size for start, column in zip(starts, columns, strict=True)]
        keys = group.column(place).statistics
        return GroupBounds(min(starts), max(ends), keys.min, keys.max)

    async def group(self, archive: ArchiveStore, number: int) -> pa.Table:
        """The rows of one group. Raises: ArchiveError."""
        bounds = self.groups[number]
        blob = await archive.get(self.name, bounds.start, bounds.end - bounds.start)
        if blob is None:
            raise missing(self.name)
        return await in_thread(self._decoded, number, (bounds.start, blob.data))

    def _decoded(self, number: int, data: tuple[int, bytes]) -> pa.Table:
        file: Any = pq.ParquetFile(_Range(self._size, [data, self._tail]), metadata=self._metadata)
        return file.read_row_group(number)


async def read_footer(archive: ArchiveStore, name: str, size: int) -> ParquetFooter:
    """A file's footer. Raises: ArchiveError, also when the file is not there."""
    length = min(size, TAIL)
    while True:
        blob = await archive.get(name, size - length, length)
        if blob is None:
            raise missing(name)
        needed = int.from_bytes(blob.data[-ENDING : -ENDING // 2], "little") + ENDING
        if needed <= length:
            return await in_thread(ParquetFooter, name, size, size - length, blob.data)
        length = min(size, needed)
