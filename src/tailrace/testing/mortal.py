"""The store of a world's engine, which can end: users of a killed engine, or of a closed world, are told so.

Rules of this file: until its end it is the memory store and nothing else. Made by world.py, which follows it
with a copy of what was durable. Stands alone because it is a store, and a world ends it.
"""

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow
from tailrace.stores.memory import MemoryStore, StandingMemory


class MortalStore(MemoryStore):
    """A memory store that refuses everything once it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = ""

    def end(self, words: str) -> None:
        """Refuse from now on, in these words."""
        self._ended = words

    def successor(self) -> "MortalStore":
        """Another one with the same content, which lives."""
        copied, made = self.copy(), MortalStore()
        made._rows, made._keys, made._log = copied._rows, copied._keys, copied._log
        return made

    def _check(self) -> None:
        if self._ended:
            raise StoreError(self._ended)

    def get(self, table: int, key: bytes) -> bytes | None:
        """The value of one row. Raises: StoreError after the end."""
        self._check()
        return super().get(table, key)

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last. Raises: StoreError after the end."""
        self._check()
        return super().query(table, first, last, limit, reverse=reverse)

    def commit(self, commit: Commit) -> None:
        """All of it or nothing. Raises: StoreError, also after the end."""
        self._check()
        super().commit(commit)

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        """At most `limit` records of a shard with sequence > after. Raises: StoreError after the end."""
        self._check()
        return super().read_log(shard, after, limit, reverse=reverse)

    def standing(self) -> StandingMemory:
        """The rows as they are now. Raises: StoreError after the end."""
        self._check()
        return super().standing()
