"""The change record: a small header and, beside it, the images as the JSON bytes that are answered.

Rules of this file: a record always keeps both images, whatever the stream's view type; the view type only chooses
what an envelope shows. Images are bytes until somebody needs a value; `image` decodes them.
"""

from typing import Final, Literal, TypeAlias

import msgspec
import orjson

from tailrace.streams.sequence import SequenceNumber
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.values.types import Item

MILLISECOND: Final = 1_000
"""Units: microseconds. The embedded engine's clock, and the log's format, know no less."""

EventName: TypeAlias = Literal["INSERT", "MODIFY", "REMOVE"]
ViewType: TypeAlias = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
VIEW_TYPES: Final[tuple[ViewType, ...]] = ("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")


class ChangeRecord(msgspec.Struct, frozen=True, gc=False):
    """One change of one item.

    Shape:   `partition` is the hash of the partition key (it chooses shard and lane), `key` the order-preserving
             bytes of the whole key (it identifies the item inside its table), `keys`, `old`, `new` DynamoDB JSON; `ancestry`
             the handlers that it descends from (streams/ancestry.py), empty for what was written from outside.
             `generation` is the number of the source that it was read from (streams/version.py): the runtime sets it when it reads.
    Units:   created_us since the epoch, the only time of a change: its source knows it to within precision_us;
             size_bytes as AWS counts them for NEW_AND_OLD_IMAGES, keys_size and new_size are parts of it.
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

    @property
    def created_ms(self) -> int:
        """When it was written, in whole milliseconds since the epoch: what AWS counts ages and windows in."""
        return self.created_us // MILLISECOND

    @property
    def version(self) -> Version:
        """How new it is, beside every other change of its item."""
        return Version(self.generation, self.sequence)

    @property
    def sequence_number(self) -> SequenceNumber:
        """The sequence number with its wire form."""
        return SequenceNumber(self.sequence)


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

    Units:   size_bytes of the keys and both images together, as AWS counts them; created_ms since the epoch, as the engine's clock
             counts. Source: semantics §1.3.
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
