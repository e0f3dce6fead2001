"""The change record: its sequence number, what a read of a shard comes to, and the row that the log keeps.

Rules of this file: numbers never repeat, whatever is lost; they follow the wall clock only so that a restart
cannot fall behind, and no reader may read a time out of them. Inside they are 63-bit integers, on the wire
digits. A record always keeps both images, whatever the stream's view type; the view type only chooses what an
envelope shows. Images are bytes until a caller needs a value; `image` decodes them. A log row is a small
header and, beside it, the images as the JSON bytes that are answered. Layout of the header:
docs/formats/log.md.
"""

import struct
from collections.abc import Sequence
from typing import Final, Literal, Protocol, Self, TypeAlias

import msgspec
import orjson
from msgspec import Struct

from tailrace.errors import StoreError, validation_error
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item

PREFIX: Final = "100"  # AWS's numbers have 21 to 40 digits: three of ours, then nineteen
SEQUENCE_DIGITS: Final = 19
OF_OTHERS: Final = 10**SEQUENCE_DIGITS
"""Numbers of other servers are not below it: what stands on their wire has 21 digits at least."""
CLOCK_BITS: Final = 20
BLOCK: Final = 3_600_000 << CLOCK_BITS
"""What a start reserves with one full sync: an hour of numbers, so that a replay under a driven clock syncs
rarely.
"""

MILLISECOND: Final = 1_000
"""Units: microseconds. The embedded engine's clock, and the log's format, know no less."""

EventName: TypeAlias = Literal["INSERT", "MODIFY", "REMOVE"]
ViewType: TypeAlias = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
VIEW_TYPES: Final[tuple[ViewType, ...]] = ("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")

FORMAT: Final = 1
FORMAT_BYTE: Final = bytes([FORMAT])
WITH_ANCESTRY: Final = 2
"""The format of a record that has an ancestry: its length and its text stand before the key bytes."""
ANCESTRY_BYTE: Final = bytes([WITH_ANCESTRY])
HEADER: Final = struct.Struct(">BBBxQIIIQH")
"""Format, event name, flags, created_ms, size, size of keys, size of new image, partition hash, length of the
key bytes.
"""
CREATED_AT: Final = slice(4, 12)
"""Where created_ms stands in a header of every format, data streams' included."""
LENGTH: Final = struct.Struct(">H")
EVENT_NAMES: Final[tuple[EventName, ...]] = ("INSERT", "MODIFY", "REMOVE")
BY_TTL: Final = 1


# ---- sequence numbers --------------------------------------------------------------------------------------


class SequenceNumber(int):
    """An integer with the wire's text form. A number that another server gave is its own text.

    >>> SequenceNumber(7).wire
    '1000000000000000000007'
    >>> SequenceNumber.from_wire("1000000000000000000007") == 7
    True
    >>> SequenceNumber(2900002759746085485437).wire
    '2900002759746085485437'
    """

    __slots__ = ()

    @property
    def wire(self) -> str:
        """The text clients see: a fixed prefix and nineteen digits."""
        return str(int(self)) if self >= OF_OTHERS else f"{PREFIX}{self:0{SEQUENCE_DIGITS}d}"

    @classmethod
    def from_wire(cls, text: str) -> Self:
        """The number behind a client's text. Raises: ApiError (ValidationException)."""
        digits = text.removeprefix(PREFIX)
        if (
            not text.startswith(PREFIX)
            or len(digits) != SEQUENCE_DIGITS
            or not (digits.isascii() and digits.isdigit())
        ):
            raise validation_error(f"Invalid SequenceNumber: {text}")
        return cls(digits)


def is_older_than_any(text: str) -> bool:
    """Whether a number on the wire is smaller than every number that was ever issued.

    >>> is_older_than_any("000000000000000000001"), is_older_than_any(SequenceNumber(0).wire)
    (True, False)
    """
    return text.isascii() and text.isdigit() and int(text) < int(SequenceNumber(0).wire)


def following(last: int, wall_ms: int) -> int:
    """The number after `last`: never smaller than the clock's, always greater than the last one."""
    return max(last + 1, wall_ms << CLOCK_BITS)


# ---- records -----------------------------------------------------------------------------------------------


class ChangeRecord(msgspec.Struct, frozen=True, gc=False):
    """One change of one item.

    Shape:   `partition` is the hash of the partition key (it chooses shard and lane), `key` the
             order-preserving bytes of the whole key (it identifies the item inside its table), `keys`, `old`,
             `new` DynamoDB JSON; `ancestry` the handlers that it descends from (streams/ancestry.py), empty
             for what was written from outside. `generation` is the number of the source that it was read from
             (streams/version.py): the runtime sets it when it reads. `source_id` is the event id that a
             stream of another server gave it; "" where the engine makes one. `rank` is its number in the
             order of its item's changes where the source's numbers do not say it (mapping/holding.py); 0:
             they do.
    Units:   created_us since the epoch, the only time of a change: its source knows it to within
             precision_us; size_bytes as AWS counts them for NEW_AND_OLD_IMAGES, keys_size and new_size are
             parts of it.
    """

    sequence: int
    shard: int
    event_name: EventName
    created_us: int
    size_bytes: int
    partition: int
    key: bytes
    keys: bytes
    old: bytes | None = None
    new: bytes | None = None
    by_ttl: bool = False
    keys_size: int = 0
    new_size: int = 0
    ancestry: str = ""
    generation: int = FIRST_GENERATION
    precision_us: int = MILLISECOND
    source_id: str = ""
    rank: int = 0

    @property
    def created_ms(self) -> int:
        """When it was written, in whole milliseconds since the epoch: what AWS counts ages and windows in."""
        return self.created_us // MILLISECOND

    @property
    def version(self) -> Version:
        """How new it is, beside every other change of its item."""
        return Version(self.generation, self.rank or self.sequence)

    @property
    def sequence_number(self) -> SequenceNumber:
        """The sequence number with its wire form."""
        return SequenceNumber(self.sequence)


class ReadDone(Struct, frozen=True):
    """What a source answers: records after the position of the Read. `next_after` is where to go on, also
    when there are none.

    `closed`: nothing will ever follow. `trimmed`: records between the position and these are gone for good.
    """

    records: Sequence[ChangeRecord]
    next_after: int
    closed: bool = False
    trimmed: bool = False


def image(data: bytes | None) -> Item | None:
    """Decode an image; absent stays absent."""
    if data is None:
        return None
    item: Item = orjson.loads(data)
    return item


def change_record(
    *,
    sequence: int,
    shard: int,
    created_ms: int,
    partition: int,
    key: bytes,
    keys: Item,
    old: bytes | None,
    new: bytes | None,
    size_bytes: int,
    keys_size: int = 0,
    new_size: int = 0,
    by_ttl: bool = False,
    ancestry: str = "",
) -> ChangeRecord:
    """The record of a change that was decided.

    Units:   size_bytes of the keys and both images together, as AWS counts them; created_ms since the epoch,
             as the engine's clock counts. Source: semantics §1.3.
    """
    name: EventName = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    data = orjson.dumps(keys)
    return ChangeRecord(
        sequence,
        shard,
        name,
        created_ms * MILLISECOND,
        size_bytes,
        partition,
        key,
        data,
        old,
        new,
        by_ttl,
        keys_size,
        new_size,
        ancestry,
    )


# ---- the log -----------------------------------------------------------------------------------------------


class LogRow(msgspec.Struct, frozen=True, gc=False):
    """One record of one shard as the log keeps it: a header and, separately, both images."""

    shard: int
    sequence: int
    header: bytes
    old: bytes | None
    new: bytes | None


def log_row(record: ChangeRecord) -> LogRow:
    """A record as the log keeps it."""
    head = HEADER.pack(
        FORMAT,
        EVENT_NAMES.index(record.event_name),
        BY_TTL if record.by_ttl else 0,
        record.created_us // MILLISECOND,
        record.size_bytes,
        record.keys_size,
        record.new_size,
        record.partition,
        len(record.key),
    )
    if record.ancestry:
        ancestry = record.ancestry.encode()
        head = b"".join((ANCESTRY_BYTE, head[1:], LENGTH.pack(len(ancestry)), ancestry))
    return LogRow(record.shard, record.sequence, head + record.key + record.keys, record.old, record.new)


class DecidedWrite(Protocol):
    """What a record tells of a write that was decided, besides its images."""

    @property
    def keys(self) -> Item:
        """The key attributes."""

    @property
    def key_bytes(self) -> bytes:
        """The same in the order of keys."""

    @property
    def partition(self) -> int:
        """The hash of the partition key."""

    @property
    def size(self) -> int:
        """What the new item weighs, 0 without one."""


def decided_row(
    shard: int,
    sequence: int,
    created_ms: int,
    write: DecidedWrite,
    old: bytes | None,
    new: bytes | None,
    old_size: int,
    *,
    by_ttl: bool = False,
    ancestry: str = "",
) -> LogRow:
    """The row of a change that was decided. Units: bytes, as AWS counts an item."""
    keys_size = size_bytes(write.keys)
    return log_row(
        change_record(
            sequence=sequence,
            shard=shard,
            created_ms=created_ms,
            partition=write.partition,
            key=write.key_bytes,
            keys=write.keys,
            old=old,
            new=new,
            size_bytes=keys_size + old_size + write.size,
            keys_size=keys_size,
            new_size=write.size,
            by_ttl=by_ttl,
            ancestry=ancestry,
        )
    )


def read_log_row(row: LogRow) -> ChangeRecord:
    """The record of a log row. Raises: StoreError for a format that this version does not know, or a damaged
    row.
    """
    header, ancestry = row.header, ""
    if header[:1] != FORMAT_BYTE:
        ancestry, header = _split_ancestry(row)
    try:
        _, name, flags, created_ms, size, keys_size, new_size, partition, length = HEADER.unpack_from(header)
        event_name = EVENT_NAMES[name]
    except (struct.error, IndexError) as error:
        raise StoreError(
            f"record {row.sequence} of shard {row.shard} is damaged: {error}",
            hint="stop tailrace, keep a copy of the directory, and start with another --data",
        ) from error
    end = HEADER.size + length
    return ChangeRecord(
        row.sequence,
        row.shard,
        event_name,
        created_ms * MILLISECOND,
        size,
        partition,
        header[HEADER.size : end],
        header[end:],
        row.old,
        row.new,
        bool(flags & BY_TTL),
        keys_size,
        new_size,
        ancestry,
    )


def read_log_rows(rows: Sequence[LogRow]) -> list[ChangeRecord]:
    """The records of a page of log rows, as `read_log_row` gives them. Raises: StoreError."""
    records: list[ChangeRecord] = []
    add, unpack, start, names = records.append, HEADER.unpack_from, HEADER.size, EVENT_NAMES
    try:
        # As `read_log_row`, without a call for each: the page is an eighth of what its delivery costs.
        for row in rows:
            header = row.header
            known, name, flags, created_ms, size, keys_size, new_size, partition, length = unpack(header)
            if known != FORMAT:
                add(read_log_row(row))
                continue
            end = start + length
            add(
                ChangeRecord(
                    row.sequence,
                    row.shard,
                    names[name],
                    created_ms * MILLISECOND,
                    size,
                    partition,
                    header[start:end],
                    header[end:],
                    row.old,
                    row.new,
                    flags & BY_TTL != 0,
                    keys_size,
                    new_size,
                )
            )
    except (struct.error, IndexError):
        return [read_log_row(row) for row in rows]  # says which one is damaged
    return records


def _split_ancestry(row: LogRow) -> tuple[str, bytes]:
    """The ancestry of a header that has one, and the header without it. Raises: StoreError for another
    format.
    """
    header = row.header
    if header[:1] != ANCESTRY_BYTE:
        raise StoreError(
            f"record {row.sequence} of shard {row.shard} has format {int.from_bytes(header[:1])}; "
            f"this version of tailrace reads formats {FORMAT} and {WITH_ANCESTRY}",
            hint="open the data directory with the version that wrote it",
        )
    start = HEADER.size + LENGTH.size
    end = start + int.from_bytes(header[HEADER.size : start])
    return header[start:end].decode(errors="replace"), header[: HEADER.size] + header[end:]
