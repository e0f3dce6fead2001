"""Shards: a range of partition hashes, open for a while, then closed and continued by its children.

Rules of this file: pure layouts and transitions of a stream's lineage.
"""

from typing import Final

import msgspec

HASH_BITS: Final = 64
HASHES: Final = 1 << HASH_BITS


class Shard(msgspec.Struct, frozen=True):
    """One shard of one stream.

    Shape:   hashes `first <= partition <= last` belong to it; `number` is the engine's own, unique in a data
             directory; `ending` is None while it is open.
    Units:   created_ms, closed_ms since the epoch; starting, ending are sequence numbers.
    """

    shard_id: str
    number: int
    first: int
    last: int
    starting: int
    created_ms: int
    parent_id: str | None = None
    ending: int | None = None
    closed_ms: int | None = None

    @property
    def is_closed(self) -> bool:
        """Whether no record will ever be added."""
        return self.ending is not None
