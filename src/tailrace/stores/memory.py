"""Stores in memory: the reference implementation of both ports, for tests and simulation.

Rules of this file: as simple as the contract allows. What `stores.sqlite` does must not differ, which the
contract checks show.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tailrace.errors import SettingsError, StateConflict, StoreError
from tailrace.ports import Action, Commit, ItemWrite, LogRow
from tailrace.rows.bounds import bounded
from tailrace.rows.writes import StateRow, Write, holds
from tailrace.stores.row_keys import following


class MemoryStore:
    """Rows and logs in dictionaries beside sorted lists of their keys."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[bytes, bytes]] = {}
        self._keys: dict[int, list[bytes]] = {}
        self._log: dict[int, list[LogRow]] = {}

    def copy(self) -> "MemoryStore":
        """Another store with the same content: what is durable at this moment, for a world that goes another
        way from here.
        """
        made = MemoryStore()
        made._rows = {table: dict(rows) for table, rows in self._rows.items()}
        made._keys = {table: list(keys) for table, keys in self._keys.items()}
        made._log = {shard: list(rows) for shard, rows in self._log.items()}
        return made

    def get(self, table: int, key: bytes) -> bytes | None:
        """The value of one row."""
        rows = self._rows.get(table)
        return None if rows is None else rows.get(key)

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last."""
        keys = self._keys.get(table, [])
        start = bisect_left(keys, first)
        end = len(keys) if last is None else bisect_left(keys, last)
        chosen = (
            keys[max(start, end - limit) : end][::-1] if reverse else keys[start : min(end, start + limit)]
        )
        rows = self._rows.get(table, {})
        return [(key, rows[key]) for key in chosen] if start < end else []

    def commit(self, commit: Commit) -> None:
        """All of it or nothing. Raises: StoreError for a record that is there already."""
        self._refuse_repeated(commit.log)
        for row in commit.rows:
            self._put(row.table, row.key, row.value)
        for record in commit.log:
            log = self._log.setdefault(record.shard, [])
            if not log or log[-1].sequence < record.sequence:
                log.append(record)
            else:
                insort(log, record, key=_sequence)
        for trim in commit.trims:
            log = self._log.get(trim.shard, [])
            del log[: bisect_right(log, trim.through, key=_sequence)]

    def _refuse_repeated(self, records: Sequence[LogRow]) -> None:
        """A shard's number is used once; this is all that can fail, so it is asked before anything is
        written.
        """
        seen: set[tuple[int, int]] = set()
        for record in records:
            place = (record.shard, record.sequence)
            if place in seen or self._has(*place):
                raise StoreError(f"shard {record.shard} already has a record {record.sequence}")
            seen.add(place)

    def _has(self, shard: int, sequence: int) -> bool:
        log = self._log.get(shard)
        if not log or log[-1].sequence < sequence:
            return False
        place = bisect_left(log, sequence, key=_sequence)
        return place < len(log) and log[place].sequence == sequence

    def _put(self, table: int, key: bytes, value: bytes | None) -> None:
        rows = self._rows.setdefault(table, {})
        keys = self._keys.setdefault(table, [])
        if value is None:
            if rows.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
        else:
            if key not in rows:
                insort(keys, key)
            rows[key] = value

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        """At most `limit` records of a shard with sequence > after, or < after and descending."""
        log = self._log.get(shard, [])
        if reverse:
            end = bisect_left(log, after, key=_sequence)
            return log[max(0, end - limit) : end][::-1]
        start = bisect_right(log, after, key=_sequence)
        return log[start : start + limit]

    def standing(self) -> "StandingMemory":
        """The rows as they are now."""
        return StandingMemory(self.copy())

    def close(self) -> None:
        """Rows stay: a test may open the store again."""


def _sequence(row: LogRow) -> int:
    return row.sequence


class StandingMemory:
    """The port StandingRows over a copy."""

    def __init__(self, copied: MemoryStore) -> None:
        self._copied = copied

    def query(self, table: int, first: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key."""
        return self._copied.query(table, first, None, limit)

    def close(self) -> None:
        """Nothing is to be given back."""


class MemoryStateStore:
    """State rows in a dictionary beside a sorted list of their keys."""

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}  # as JSON, so that no caller can change what was written
        self._keys: list[str] = []

    async def get(self, key: str) -> StateRow | None:
        """One row."""
        fields = self._fields(key)
        return None if fields is None else StateRow(key, fields)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.
        """
        begin, end = self._range(prefix)
        if after > prefix:
            begin = max(begin, bisect_right(self._keys, after))
        keys = self._keys[begin : end if limit is None else min(end, begin + limit)]
        return [StateRow(key, orjson.loads(self._rows[key])) for key in keys]

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix."""
        begin, end = self._range(prefix)
        return end - begin

    def _range(self, prefix: str) -> tuple[int, int]:
        behind = following(prefix)
        end = len(self._keys) if behind is None else bisect_left(self._keys, behind)
        return bisect_left(self._keys, prefix), end

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it or nothing. Raises: StateConflict; SettingsError for a write to a table, which has no
        place here.
        """
        bounded(writes)
        for index, write in enumerate(writes):
            if isinstance(write, ItemWrite):
                raise SettingsError("this state store has no tables: a transaction needs the embedded engine")
            if not holds(write.condition, self._fields(write.key)):
                raise StateConflict(f"{write.key} is not as expected: {write.condition}", index=index)
        for write in writes:
            if isinstance(write, Write):
                self._put(write)

    def _put(self, write: Write) -> None:
        if write.fields is None:
            if self._rows.pop(write.key, None) is not None:
                del self._keys[bisect_left(self._keys, write.key)]
            return
        if write.key not in self._rows:
            insort(self._keys, write.key)
        self._rows[write.key] = orjson.dumps(write.fields)

    def _fields(self, key: str) -> Mapping[str, Any] | None:
        data = self._rows.get(key)
        if data is None:
            return None
        fields: Mapping[str, Any] = orjson.loads(data)
        return fields
