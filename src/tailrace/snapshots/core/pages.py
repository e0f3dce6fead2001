"""What is read of a table, page by page, and the records that it becomes.

Rules of this file: pure values. A row of a scan is an INSERT with the version that the snapshot gives it; of
an incremental export a MODIFY or a REMOVE. Made by the adapters of `snapshots.run.scanning.TableScan` and
of `snapshots.run.exporting.ExportedTables`, used by their runner.
Stands alone because adapters and runner share it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.snapshots.core.snapshot import Part, PartFilter
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.values.types import Item


class Piece(Struct, frozen=True):
    """What one reader reads in order: a partition (its key as JSON text, in DynamoDB's form), or a segment
    (number, how many) of a parallel scan; neither: the whole table. `filter` leaves out items of it.
    """

    partition: str = ""
    segment: tuple[int, int] | None = None
    filter: PartFilter | None = None


class ScannedItem(Struct, frozen=True):
    """One item as it was read.

    Shape:   `key` and `partition` as records of the table have them; `image` None says that it is gone.
             `replaces`: what an incremental export says, which another row of the same reading came before.
             `version` of its last change, where the source tells it.
    Units:   `written_us` since the epoch, when it was written, 0 where only the page tells a time.
    """

    key: bytes
    partition: int
    keys: Item
    image: Item | None
    size_bytes: int = 0
    written_us: int = 0
    replaces: bool = False
    version: Version | None = None


class ScannedPage(Struct, frozen=True):
    """One page.

    Shape:   `position` is the stream's exact position that it is as of, None: the source does not tell.
             `after` is what the next page is asked with, and may be kept as JSON; None at the end.
    Units:   read units that it used, as DynamoDB counts them.
    """

    items: Sequence[ScannedItem]
    position: int | None
    after: Mapping[str, Any] | None
    read_units: float = 0.0


SEGMENT_BYTES: Final = 1 << 30
MOST_SEGMENTS: Final = 8


def segments_of(size_bytes: int) -> int:
    """Into how many segments a table of this size is divided: one a gigabyte, eight at most.

    >>> segments_of(0), segments_of(SEGMENT_BYTES), segments_of(SEGMENT_BYTES + 1), segments_of(1 << 50)
    (1, 1, 2, 8)
    """
    return min(MOST_SEGMENTS, max(1, -(-size_bytes // SEGMENT_BYTES)))


def pieces(part: Part, segments: int) -> tuple[Piece, ...]:
    """What is read beside each other. Shape: `segments` how many of a whole table.

    >>> pieces(Part(), 2)[1].segment, pieces(Part(('{"S":"a"}',)), 2)[0].partition
    ((1, 2), '{"S":"a"}')
    """
    if part.partitions:
        return tuple(Piece(partition, filter=part.filter) for partition in part.partitions)
    if part.segment is not None or segments <= 1:
        return (Piece(segment=part.segment, filter=part.filter),)
    return tuple(Piece(segment=(place, segments), filter=part.filter) for place in range(segments))


def scan_record(item: ScannedItem, version: Version, created_us: int) -> ChangeRecord:
    """An item as the change that brings it to a sink. Units: created_us since the epoch, where the item does
    not tell when it was written.

    Guarantee: a deletion is as old as its arrival, however long ago it was: what is read beside it, by a
               worker that does not know that it is late, must not outlive it.
    """
    keys = orjson.dumps(item.keys)
    return ChangeRecord(
        version.sequence,
        0,
        "REMOVE" if item.image is None else "MODIFY" if item.replaces else "INSERT",
        created_us if item.image is None else item.written_us or created_us,
        item.size_bytes,
        item.partition,
        item.key,
        keys,
        None,
        None if item.image is None else orjson.dumps(item.image),
        new_size=item.size_bytes,
        generation=version.generation,
    )
