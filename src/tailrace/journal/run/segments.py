"""Changes ⇄ bytes of segments: Parquet files that every engine reads.

Theory of operation: rows are sorted by key and version, so that what comes from a key lies together; row
groups are small, and each has a bloom filter of its keys. Sequence numbers are 24 bytes, big-endian, whose
order is that of the numbers. The columns and their types are a format: docs/formats/journal.md.
Rules of this file: what compresses and what decodes blocks; callers run it in a thread. The same rows give
the same bytes. Needs the extra `history`.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import ArchiveError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.leaf import LeafColumns, leaves_of
from tailrace.journal.core.merkle import Frontier
from tailrace.journal.core.records import origins_of
from tailrace.manifests.core.manifest import TableFile
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import GENERATION_BYTES, SEQUENCE_BYTES, Version

FORMAT: Final = b"1"
FORMAT_KEY: Final = b"tailrace_journal"
PRECISION_KEY: Final = b"tailrace_precision_us"
"""What a file's own metadata say: which form this is, and within what time its times are known."""
LEAF_BYTES: Final = 32
GROUP_ROWS: Final = 10_000
LEVEL: Final = 1
"""Of zstd, in the way of delivery."""
MERGED_LEVEL: Final = 9
"""Of zstd, beside it: once for years."""
PIECE: Final = 1_000
"""So many changes at a time are hashed and put into columns: as many as stay in the processor's cache."""
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
ENCODINGS: Final = {"old": "DELTA_BYTE_ARRAY", "new": "DELTA_BYTE_ARRAY"}
"""What an image begins with as the one before it did is left out before zstd sees it: smaller than level 5
makes it without that, in half the time.
"""
COMPRESSION: Final = {name: "NONE" if name == "leaf" else "zstd" for name in SCHEMA.names}
"""Hashes have no shorter form."""
COMPARED: Final = [name for name in SCHEMA.names if name not in ("old", "new", "leaf")]
"""Columns whose least and greatest values are told."""
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
    leaves: list[bytes] = []
    pieces = []
    for first in range(0, len(records), PIECE):
        columns = _columns_of(records[first : first + PIECE])
        some = leaves_of(shard, columns)
        leaves += some
        pieces.append(_rows(columns, pa.repeat(shard, len(some)), some))
    least, greatest = (Version(end.generation, end.sequence).packed for end in (records[0], records[-1]))
    precision_us = max([record.precision_us for record in records])
    made = _segment(pa.concat_tables(pieces).combine_chunks(), (least, greatest), precision_us)
    return replace(made, frontier=frontier.extended(leaves))


def _columns_of(records: Sequence[ChangeRecord]) -> LeafColumns:
    return LeafColumns(
        [record.key for record in records],
        [record.generation for record in records],
        [record.sequence for record in records],
        [record.created_us for record in records],
        [record.event_name for record in records],
        [record.old for record in records],
        [record.new for record in records],
        origins_of(records),
        [record.ancestry or None for record in records],
    )


def segment_of_changes(changes: Sequence[JournalChange], precision_us: int) -> EncodedSegment:
    """The segment of changes that are in no tree. Shape: at least one, in any order."""
    ordered = sorted(changes, key=lambda change: change.version)
    columns = LeafColumns(
        [change.key for change in ordered],
        [change.version.generation for change in ordered],
        [change.version.sequence for change in ordered],
        [change.created_us for change in ordered],
        [change.event for change in ordered],
        [change.old for change in ordered],
        [change.new for change in ordered],
        [change.origin for change in ordered],
        [change.ancestry for change in ordered],
    )
    rows = _rows(columns, [change.shard for change in ordered], [change.leaf for change in ordered])
    return _segment(rows, (ordered[0].version.packed, ordered[-1].version.packed), precision_us)


def _rows(columns: LeafColumns, shards: Any, leaves: list[bytes]) -> pa.Table:
    """Rows with their leaves, in the order of the columns."""
    sequences = [number.to_bytes(SEQUENCE_BYTES, "big") for number in columns.sequences]
    by_name = {
        "key": columns.keys, "generation": columns.generations, "sequence": _fixed("sequence", sequences),
        "created_us": columns.created_us, "event": columns.events, "old": columns.olds, "new": columns.news,
        "origin": columns.origins, "shard": shards, "leaf": _fixed("leaf", leaves),
        "ancestry": columns.ancestries,
    }  # fmt: skip
    return pa.table(by_name, schema=SCHEMA)


def _segment(rows: pa.Table, versions: tuple[bytes, bytes], precision_us: int) -> EncodedSegment:
    """The segment of rows that are in the order of their versions. Shape: `versions` are the least and the
    greatest.
    """
    rows = rows.take(pc.sort_indices(rows.column("key")))  # stable: a key's versions stay in their order
    data = segment_bytes(rows, precision_us)
    return EncodedSegment(data, rows.num_rows, _described(rows, *versions), precision_us)


def _fixed(name: str, values: Sequence[bytes]) -> Any:
    """A column of values that all have one size."""
    data = pa.py_buffer(b"".join(values))
    return pa.FixedSizeBinaryArray.from_buffers(SCHEMA.field(name).type, len(values), [None, data])


def described(rows: pa.Table) -> DescribedRows:
    """What the manifest says of rows that are sorted by key. Shape: at least one."""
    versions = _versions(rows)
    return _described(rows, min(versions), max(versions))


def _described(rows: pa.Table, least: bytes, greatest: bytes) -> DescribedRows:
    keys, times = rows.column("key"), pc.min_max(rows.column("created_us")).as_py()
    return DescribedRows(
        keys[0].as_py().hex(),
        keys[-1].as_py().hex(),
        least.hex(),
        greatest.hex(),
        times["min"],
        times["max"],
    )


def segment_bytes(rows: pa.Table, precision_us: int) -> bytes:
    """A whole file."""
    sink = io.BytesIO()
    with segment_writer(sink, precision_us, LEVEL) as writer:
        writer.write_table(rows, row_group_size=GROUP_ROWS)
    return sink.getvalue()


def segment_writer(sink: Any, precision_us: int, level: int) -> Any:
    """What writes a file, a row group of at most GROUP_ROWS at a time, in the order of keys and versions.
    Shape: `level` is zstd's.
    """
    metadata = {FORMAT_KEY: FORMAT, PRECISION_KEY: str(precision_us).encode()}
    sorting = [pq.SortingColumn(SCHEMA.get_field_index(name)) for name in SORTED_BY]
    return pq.ParquetWriter(
        sink,
        SCHEMA.with_metadata(metadata),
        compression=COMPRESSION,
        compression_level={name: level for name, codec in COMPRESSION.items() if codec == "zstd"},
        use_dictionary=DICTIONARY,
        column_encoding=ENCODINGS,
        write_statistics=COMPARED,
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
