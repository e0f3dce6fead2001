"""What a journal keeps of a change: a row of a segment, whoever reads it.

Stands alone because writers, readers, proofs and answers about the past share it.
Rules of this file: pure; images are the JSON bytes that the stream had, both whole.
"""

from msgspec import Struct

from tailrace.journal.core.leaf import leaf_of
from tailrace.streams.version import Version


class JournalChange(Struct, frozen=True):
    """One change of an item, as it is kept for ever.

    Shape:   `key` identifies the item, as records have it; `shard` is the id of the one that had it;
             `created_us` in microseconds since 1970; `origin` says who made it ("ttl" where Time to Live
             did, else None); `ancestry` which handlers led to it, as records have it.
    """

    shard: str
    key: bytes
    version: Version
    created_us: int
    event: str
    old: bytes | None
    new: bytes | None
    origin: str | None = None
    ancestry: str | None = None

    @property
    def leaf(self) -> bytes:
        """Its leaf in the tree of its shard: 32 bytes."""
        return leaf_of(
            self.shard,
            self.key,
            self.version,
            self.created_us,
            self.event,
            self.old,
            self.new,
            self.origin,
            self.ancestry,
        )
