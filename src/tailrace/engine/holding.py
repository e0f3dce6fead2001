"""Records past their horizon that stay until an archive has them: the second of two horizons.

Theory of operation: clients of the API see 24 hours of a stream, to the millisecond, whatever is held. A
table with an archive in this process keeps what has passed that until the archiver says that it has it, up to
a bound in bytes; beyond the bound the oldest goes, and the archiver, which finds it gone, names the gap. What
is held is weighed once, when it passes the horizon.
Rules of this file: numbers alone; it reads and removes nothing. Nothing of it is durable: an app says what it
archives whenever it begins, before housekeeping looks, and an archiver says how far it is when it takes its
shards. Asked by reading.py, lineage.py and expiry.py. Decision 77.
"""

from collections.abc import Callable

from tailrace.streams.shards import HashedShard


class Holds:
    """What archives of this process still need."""

    def __init__(self) -> None:
        self.are_any = False
        """Whether a table has an archive here."""
        self._most: dict[str, int] = {}
        self._archived: dict[tuple[str, str], int] = {}
        self._weighed: dict[int, tuple[str, int, int]] = {}
        """Shard → its table, through which record it is weighed, and the bytes."""

    def hold(self, table: str, most_bytes: int) -> None:
        """A table, by what rows call it, has an archive: keep up to so many bytes for it."""
        self._most[table] = most_bytes
        self.are_any = True

    def release(self, table: str) -> None:
        """It has none any more."""
        self._most.pop(table, None)
        self.are_any = bool(self._most)

    def archived(self, stream: str, shard_id: str, through: int) -> None:
        """The archive has a shard through this record. Shape: `stream` is its label."""
        place = (stream, shard_id)
        self._archived[place] = max(through, self._archived.get(place, 0))

    def is_of(self, table: str) -> bool:
        """Whether this table has one."""
        return table in self._most

    def through(self, stream: str, shard: HashedShard) -> int:
        """The last record that nobody waits for any more, as far as it was said; 0: none is known."""
        return self._archived.get((stream, shard.shard_id), 0)

    def is_held(
        self, table: str, stream: str, shard: HashedShard, last: Callable[[HashedShard], int]
    ) -> bool:
        """Whether a shard has records that an archive still needs. Shape: `last` gives its last one, 0: none
        is left.
        """
        return self.is_of(table) and last(shard) > self.through(stream, shard)

    # ---- how much ------------------------------------------------------------------------------------------

    def weighed_through(self, shard: int) -> int:
        """Through which record the held ones of a shard are weighed."""
        return self._weighed[shard][1] if shard in self._weighed else 0

    def weigh(self, table: str, shard: int, through: int, size: int) -> None:
        """More of a shard is held: so many bytes, through this record."""
        before = self._weighed[shard][2] if shard in self._weighed else 0
        self._weighed[shard] = (table, through, before + size)

    def lighten(self, shard: int, size: int) -> None:
        """So many bytes of a shard are removed."""
        if shard in self._weighed:
            table, through, held = self._weighed[shard]
            self._weighed[shard] = (table, through, max(0, held - size))

    def forget_shard(self, shard: int) -> None:
        """Nothing of a shard is left."""
        self._weighed.pop(shard, None)

    def held_bytes(self, table: str) -> int:
        """How many bytes of a table are past the horizon and here."""
        return sum(size for of, _, size in self._weighed.values() if of == table)

    def excess(self, table: str) -> int:
        """How many bytes more are held than may be; 0: none."""
        return max(0, self.held_bytes(table) - self._most.get(table, 0))
