"""Rows of state beside the items: leases, checkpoints, marks, dead letters, in the same group and commit.

Rules of this file: a row is a key of `/`-separated words and JSON fields (each layout carries its own "v");
conditions are all judged before anything is written. What a transaction writes to items is the engine's; one
without items, as nearly every checkpoint, is a look and a row. Made by `engine.engine`; the runtime uses
`EngineStateStore`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from tailrace.engine.committer import Committer
from tailrace.engine.documents import STATE
from tailrace.engine.query import following_prefix
from tailrace.errors import StateConflict
from tailrace.ports import Action, ItemWrite
from tailrace.rows.bounds import MOST_ROWS, bounded
from tailrace.rows.writes import Always, StateRow, Write, holds
from tailrace.tables.actions import read_parameters
from tailrace.tables.mutate import Operation

ROWS: Final = 1_000
Fields = Mapping[str, Any]


def read_write(write: ItemWrite) -> Operation:
    """One recorded write of `change.transaction` as an operation. Raises: ApiError."""
    return read_parameters(write.action, write.parameters)


class StateRows:
    """State over the committer's overlay; `write_items` writes operations, all or none, and the handlers they
    descend from.
    """

    def __init__(
        self, committer: Committer, write_items: Callable[[Sequence[Operation], str], object]
    ) -> None:
        self._committer = committer
        self._write_items = write_items

    def get(self, key: str) -> Fields | None:
        """The fields of one row as the pending group leaves them; None without a row."""
        data = self._committer.get(STATE, key.encode())
        if data is None:
            return None
        fields: Fields = orjson.loads(data)
        return fields

    def query(self, prefix: str, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key begins with the prefix and comes after `after`, in key order; at most `limit`
        of them.
        """
        return list(islice(self.rows(prefix, ROWS if limit is None else limit, after), limit))

    def rows(self, prefix: str, at_once: int, after: str = "") -> Iterator[StateRow]:
        """The same one by one, so many in memory at once. What is written meanwhile may be among them."""
        first = prefix.encode()
        last = following_prefix(first)
        if after:
            first = max(first, after.encode() + b"\0")
        while True:
            rows = self._committer.query(STATE, first, last, at_once)
            for key, data in rows:
                yield StateRow(key.decode(), orjson.loads(data))
            if len(rows) < at_once:
                return
            first = rows[-1][0] + b"\0"

    def count(self, prefix: str) -> int:
        """How many rows have keys that begin with the prefix; nothing is decoded."""
        first = prefix.encode()
        last = following_prefix(first)
        total = 0
        while rows := self._committer.query(STATE, first, last, ROWS):
            total += len(rows)
            first = rows[-1][0] + b"\0"
        return total

    def transact(self, writes: Sequence[Action]) -> None:
        """State and items in one transaction; every condition is judged before anything is written.

        Raises:  StateConflict(index) for state, ApiError (TransactionCanceledException) for items.
        """
        items = [write for write in writes if isinstance(write, ItemWrite)]
        operations = [read_write(write) for write in items]
        self.check(writes)
        if items:
            self._write_items(operations, items[0].ancestry)
        self.put(writes)

    def check(self, writes: Sequence[Action]) -> None:
        """Judge every condition. Raises: StateConflict with the index of the first that does not hold."""
        for index, write in enumerate(writes):
            if isinstance(write, ItemWrite) or isinstance(write.condition, Always):
                continue
            if not holds(write.condition, self.get(write.key)):
                raise StateConflict(f"state {write.key!r} is not as expected: {write.condition}", index=index)

    def put(self, writes: Sequence[Action]) -> None:
        """Add the rows to the group, without looking at conditions."""
        for write in writes:
            if isinstance(write, Write):
                data = None if write.fields is None else orjson.dumps(write.fields)
                self._committer.put_row(STATE, write.key.encode(), data)


class StateOwner(Protocol):
    """What the adapter needs of the engine."""

    @property
    def state(self) -> StateRows:
        """The rows of state in the same store."""


class Flushing(StateOwner, Protocol):
    """An engine whose group can be made durable here and now."""

    @property
    def committer(self) -> Committer:
        """The pending group."""


class EngineStateStore:
    """The StateStore port over an engine in this process.

    Guarantee: `transact` returns only when `flushed` did, that is, when the group it joined is durable.
    """

    def __init__(self, engine: StateOwner, flushed: Callable[[], Awaitable[None]]) -> None:
        self._rows = engine.state
        self._flushed = flushed

    async def get(self, key: str) -> StateRow | None:
        """One row."""
        fields = self._rows.get(key)
        return None if fields is None else StateRow(key, fields)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.
        """
        return self._rows.query(prefix, after, limit)

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix; nothing is decoded."""
        return self._rows.count(prefix)

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, durably, or nothing. Raises: StateConflict, StoreError, ApiError for items."""
        if len(writes) >= MOST_ROWS:  # no look at what is far from it
            bounded(writes)
        self._rows.transact(writes)
        await self._flushed()


def state_of(engine: Flushing) -> EngineStateStore:
    """The state of an engine whose turns the caller ends: what is written is durable before the next
    statement.
    """

    async def flushed() -> None:
        engine.committer.flush()

    return EngineStateStore(engine, flushed)
