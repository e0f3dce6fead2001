"""Records of data streams: how they stand in the log, and what a read of a shard comes to.

Rules of this file: pure. A log row has a small header and, beside it, the data as the bytes that were put.
Layout: docs/formats/log.md, format 3. Source: semantics §5.2.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from tailrace.errors import StoreError
from tailrace.streams.kinesis.data_shards import SECOND_MS, DataShard
from tailrace.streams.kinesis.sequence_numbers import numbered
from tailrace.streams.record import LogRow

OF_DATA_STREAM: Final = 3
DATA_HEADER: Final = struct.Struct(">BBHQ")
"""Format, flags, bytes of the partition key, created_ms: the time stands where records of tables have it."""
ENCRYPTED: Final = 1


class DataRecord(Struct, frozen=True, gc=False):
    """One record of a data stream.

    Shape:   `sequence` is the engine's own number, by which a shard is read; `sequence_number` what clients
             see.
    Units:   created_ms since the epoch.
    """

    sequence: int
    sequence_number: str
    created_ms: int
    partition_key: str
    data: bytes
    is_encrypted: bool = False


class DataPage(Struct, frozen=True):
    """What a read of a shard comes to: records after a position, and where to go on.

    Shape:   `closed`: nothing will ever follow these records; then `children` continue the shard, and only
             then. `trimmed`: records between the position and these are gone for good. `at_tip`: nothing
             durable follows them now. `millis_behind` is how far the last of them is behind the present, 0 at
             the tip.
    """

    records: Sequence[DataRecord]
    next_after: int
    closed: bool = False
    trimmed: bool = False
    at_tip: bool = False
    millis_behind: int = 0
    children: tuple[DataShard, ...] = ()


def data_log_row(
    shard: int, sequence: int, created_ms: int, partition_key: bytes, data: bytes, *, encrypted: bool = False
) -> LogRow:
    """A record as the log keeps it. Shape: `shard` is the engine's number of it, the key in UTF-8."""
    head = DATA_HEADER.pack(OF_DATA_STREAM, ENCRYPTED if encrypted else 0, len(partition_key), created_ms)
    return LogRow(shard, sequence, head + partition_key, None, data)


def read_data_rows(rows: Iterable[LogRow], shard: DataShard) -> list[DataRecord]:
    """The records of a page of log rows. Raises: StoreError for what is none of a data stream."""
    base, start, unpack = shard.numbering, DATA_HEADER.size, DATA_HEADER.unpack_from
    records: list[DataRecord] = []
    for row in rows:
        header, data = row.header, row.new
        if header[0] != OF_DATA_STREAM or data is None:
            raise StoreError(
                f"record {row.sequence} of shard {row.shard} has format {header[0]}; records of data streams "
                f"have format {OF_DATA_STREAM}",
                hint="open the data directory with the version that wrote it",
            )
        _, flags, length, created_ms = unpack(header)
        records.append(
            DataRecord(
                row.sequence,
                numbered(base, row.sequence, created_ms // SECOND_MS),
                created_ms,
                header[start : start + length].decode(),
                data,
                flags & ENCRYPTED != 0,
            )
        )
    return records
