"""Changes ⇄ bytes of segments: Parquet files that every engine reads.

Theory of operation: rows are sorted by key and version, so that what comes from a key lies together; row
groups are small, and each has a bloom filter of its keys. Sequence numbers are 24 bytes, big-endian, whose
order is that of the numbers. The columns and their types are a format: docs/formats/journal.md.
Rules of this file: what compresses and what decodes blocks; callers run it in a thread. The same rows give
the same bytes. Needs the extra `history`.
"""

import io
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import ArchiveError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.leaf import LeafRow, leaves_of
from tailrace.journal.core.merkle import Frontier
from tailrace.journal.core.records import origin_of
from tailrace.manifests.core.manifest import TableFile
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import GENERATION_BYTES, SEQUENCE_BYTES, Version

FORMAT: Final = b"1"
FORMAT_KEY: Final = b"tailrace_journal"
PRECISION_KEY: Final = b"tailrace_precision_us"
"""What a file's own metadata say: which form this is, and within what time its times are known."""
LEAF_BYTES: Final = 32
GROUP_ROWS: Final = 10_000
LEVEL: Final = 6
"""Of zstd: a fifteenth smaller than its default, for as little more of the processor."""
FALSE_POSITIVES: Final = 0.01
SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),
        pa.field("generation", pa.int64(), nullable=False),
        pa.field("sequence", pa.binary(SEQUENCE_BYTES), nullable=False),
        pa.field("created_us", pa.int64(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("old", pa.binary()),
        pa.field("new", pa.binary()),
        pa.field("origin", pa.string()),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("leaf", pa.binary(LEAF_BYTES), nullable=False),
        pa.field("ancestry", pa.string()),
    ]
)
DICTIONARY: Final = ["generation", "event", "origin", "shard", "ancestry"]
"""Columns with few values."""
ROW: Final = (
    "key", "generation", "sequence", "created_us", "event", "old", "new", "origin", "ancestry", "shard",
    "leaf",
)  # fmt: skip
"""A row as it is sorted."""
SORTED_BY: Final = ("key", "generation", "sequence")


NO_TREE: Final = Frontier()


class DescribedRows(Struct, frozen=True):
    """What the manifest says of rows. Shape: keys and versions in hex. Units: microseconds."""

    first: str
    last: str
    first_version: str
    last_version: str
    from_us: int
    until_us: int

    def file(self, name: str, part: str, rows: int, size: int, precision_us: int) -> TableFile:
        """The same of the file that has them."""
        return TableFile(
            name, part, rows, size, self.first, self.last, self.first_version, self.last_version,
            self.from_us, self.until_us, precision_us,
        )  # fmt: skip


class EncodedSegment(Struct, frozen=True):
    """A segment that can be written: its bytes, and what the manifest says of it. Shape: `frontier` is the
    shard's tree after it, where it is of one.
    """

    data: bytes
    rows: int
    described: DescribedRows
    precision_us: int
    frontier: Frontier = NO_TREE

    def file(self, name: str, part: str) -> TableFile:
        """What the manifest says of it."""
        return self.described.file(name, part, self.rows, len(self.data), self.precision_us)


def encoded_segment(records: Sequence[ChangeRecord], shard: str, frontier: Frontier) -> EncodedSegment:
    """The segment of changes of one shard. Shape: at least one, in sequence; `frontier` is the shard's tree
    before them.
    """
    rows: list[LeafRow] = [
        (
            record.key, record.generation, record.sequence.to_bytes(SEQUENCE_BYTES, "big"),
            record.created_us, record.event_name, record.old, record.new, origin_of(record),
            record.ancestry or None,
        )
        for record in records
    ]  # fmt: skip
    leaves = leaves_of(shard, rows)
    precision_us = max(record.precision_us for record in records)
    made = _segment([(*row, shard, leaf) for row, leaf in zip(rows, leaves, strict=True)], precision_us)
    return replace(made, frontier=frontier.extended(leaves))


def segment_of_changes(changes: Sequence[JournalChange], precision_us: int) -> EncodedSegment:
    """The segment of changes that are in no tree. Shape: at least one, in any order."""
    rows = [
        (
            change.key, change.version.generation, _packed(change), change.created_us, change.event,
            change.old, change.new, change.origin, change.ancestry, change.shard, change.leaf,
        )
        for change in sorted(changes, key=lambda change: change.version)
    ]  # fmt: skip
    return _segment(rows, precision_us)


def _segment(rows: list[tuple[Any, ...]], precision_us: int) -> EncodedSegment:
    """The segment of rows with their leaves, by version. Shape: columns as of ROW."""
    first, last = (row[1].to_bytes(GENERATION_BYTES, "big") + row[2] for row in (rows[0], rows[-1]))
    rows.sort(key=itemgetter(0))  # inside of a key they stay as they are
    columns = dict(zip(ROW, zip(*rows, strict=True), strict=True))
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    times = columns["created_us"]
    told = DescribedRows(rows[0][0].hex(), rows[-1][0].hex(), first.hex(), last.hex(), min(times), max(times))
    return EncodedSegment(segment_bytes(table, precision_us), len(rows), told, precision_us)


def _packed(change: JournalChange) -> bytes:
    return change.version.sequence.to_bytes(SEQUENCE_BYTES, "big")


def described(rows: pa.Table) -> DescribedRows:
    """What the manifest says of rows that are sorted by key. Shape: at least one."""
    keys, times = rows.column("key"), pc.min_max(rows.column("created_us")).as_py()
    versions = _versions(rows)
    return DescribedRows(
        keys[0].as_py().hex(),
        keys[-1].as_py().hex(),
        min(versions).hex(),
        max(versions).hex(),
        times["min"],
        times["max"],
    )


def segment_bytes(rows: pa.Table, precision_us: int) -> bytes:
    """A whole file."""
    sink = io.BytesIO()
    with segment_writer(sink, precision_us) as writer:
        writer.write_table(rows, row_group_size=GROUP_ROWS)
    return sink.getvalue()


def segment_writer(sink: Any, precision_us: int) -> Any:
    """What writes a file, a row group of at most GROUP_ROWS at a time, in the order of keys and versions."""
    metadata = {FORMAT_KEY: FORMAT, PRECISION_KEY: str(precision_us).encode()}
    sorting = [pq.SortingColumn(SCHEMA.get_field_index(name)) for name in SORTED_BY]
    return pq.ParquetWriter(
        sink,
        SCHEMA.with_metadata(metadata),
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=DICTIONARY,
        write_page_index=True,
        write_page_checksum=True,
        sorting_columns=sorting,
        bloom_filter_options={"key": {"ndv": GROUP_ROWS, "fpp": FALSE_POSITIVES}},
    )


def segment_rows(name: str, data: bytes) -> pa.Table:
    """All rows of a segment, in the order of keys and versions. Raises: ArchiveError for what is none."""
    file = opened_segment(name, pa.BufferReader(data))
    try:
        return file.read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise ArchiveError(f"{name} is damaged: {error}", hint="restore it from a backup") from error


def row_change(row: Mapping[str, Any]) -> JournalChange:
    """A row of a segment, as pyarrow's dictionaries have it."""
    version = Version(row["generation"], int.from_bytes(row["sequence"], "big"))
    return JournalChange(
        row["shard"],
        row["key"],
        version,
        row["created_us"],
        row["event"],
        row["old"],
        row["new"],
        row["origin"],
        row["ancestry"],
    )


def opened_segment(name: str, source: Any) -> Any:
    """A segment as pyarrow reads it. Raises: ArchiveError for what is none."""
    try:
        file = pq.ParquetFile(source, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise ArchiveError(f"{name} is damaged: {error}", hint="restore it from a backup") from error
    form = (file.schema_arrow.metadata or {}).get(FORMAT_KEY)
    if form != FORMAT:
        raise ArchiveError(
            f"{name} has format {'none' if form is None else form.decode(errors='replace')}, and this "
            f"version of tailrace reads format {FORMAT.decode()}",
            hint="run the version that wrote it",
        )
    return file


def precision_of(file: Any) -> int:
    """Within what time a segment's times are known, in microseconds."""
    return int((file.schema_arrow.metadata or {}).get(PRECISION_KEY, b"0"))


def _versions(rows: pa.Table) -> list[bytes]:
    generations, sequences = rows.column("generation").to_pylist(), rows.column("sequence").to_pylist()
    return [
        generation.to_bytes(GENERATION_BYTES, "big") + sequence
        for generation, sequence in zip(generations, sequences, strict=True)
    ]
