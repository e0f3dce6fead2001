"""Who reads a shard through the API, told apart by what they read: a token names a position and nobody.

Theory of operation: a read from a position belongs to the reader that stands there, of several to the one
that came last; where none stands, a reader has begun. So two readers that pass the same records are two, and
one that begins anew is a second one only while the first goes on as well: those count that have gone on since
the newest of them began.
Rules of this file: pure; it is told the time. Kept by the engine for each shard, for a minute. Stands alone
because it judges readers, and the engine answers them.
"""

from typing import Final

from msgspec import Struct

FORGET_MS: Final = 60_000
"""Who has not gone on for so long reads no more."""


class ObservedReader(Struct):
    """One reader. Units: monotonic milliseconds; `advanced_ms` 0 before it has seen a record."""

    position: int
    begun_ms: int
    seen_ms: int
    advanced_ms: int = 0


class ShardReaders:
    """Those of one shard, for the last minute."""

    __slots__ = ("_readers",)

    def __init__(self) -> None:
        self._readers: list[ObservedReader] = []

    def read(self, after: int, reached: int, now_ms: int) -> None:
        """A read from a position has come as far as another."""
        self._readers = [reader for reader in self._readers if reader.seen_ms > now_ms - FORGET_MS]
        standing = [reader for reader in self._readers if reader.position == after]
        if standing:
            reader = max(standing, key=lambda reader: reader.seen_ms)
        else:
            reader = ObservedReader(after, now_ms, now_ms)
            self._readers.append(reader)
        reader.seen_ms = now_ms
        if reached > after:
            reader.position, reader.advanced_ms = reached, now_ms

    def count(self, now_ms: int) -> int:
        """How many read it side by side."""
        going = [reader for reader in self._readers if reader.advanced_ms > now_ms - FORGET_MS]
        begun_ms = max((reader.begun_ms for reader in going), default=0)
        return sum(reader.advanced_ms >= begun_ms for reader in going)
