"""Telling that a stream or the state cannot be reached, and that it can again: for a worker whose both are
elsewhere.

Theory of operation: machines and services ask again by themselves, for ever, and say nothing: an outage of
some seconds is nobody's business. So what is asked is watched here, at the ports: the first failure of a kind
is told with the command that helps, then one a minute while it lasts, and once that it is over.
Rules of this file: an answer and an error go through as they are. Made by compose_fleet.py. Stands alone
because several ports are watched by it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from tailrace.errors import LeaseHeld, LeaseLost, PortError, StateConflict
from tailrace.ports import (
    Action,
    Clock,
    ItemsPage,
    ReadDone,
    Shard,
    Source,
    StateStore,
    StreamRef,
    TableItems,
)
from tailrace.rows.writes import StateRow
from tailrace.runtime.sight import Sight

LOG: Final = logging.getLogger("tailrace.worker")
AGAIN_MS: Final = 60_000
"""How often an outage is told while it lasts."""
REACHED: Final = ("state", "stream", "items")
"""The kinds of what is reached."""
NO_OUTAGE: Final = (StateConflict, LeaseHeld, LeaseLost)
"""Answers, although they are raised."""


class Outages:
    """What cannot be reached now. Shape: `failing` has the words of the last failure, by what failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_ms: dict[str, int] = {}
        self._since_ms: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self.failing: dict[str, str] = {}

    @contextmanager
    def watched(self, what: str, kind: str = "") -> Iterator[None]:
        """Around one question. Shape: `kind` is what is told together. Raises: what it raises."""
        self._kinds[what] = kind
        try:
            yield
        except NO_OUTAGE:
            self._is_well(what)
            raise
        except PortError as error:
            self._failed(what, error)
            raise
        self._is_well(what)

    def _failed(self, what: str, error: PortError) -> None:
        words, now_ms = str(error.args[0]), self._clock.now().monotonic_ms
        self.failing[what] = words
        self._since_ms.setdefault(what, now_ms)
        due_ms = self._told_ms.get(what)
        if due_ms is None or due_ms <= now_ms:
            self._told_ms[what] = now_ms + AGAIN_MS
            LOG.warning("%s: %s; it is tried again", what, words, extra={"hint": error.hint})

    def away_ms(self, kind: str) -> int:
        """For how long something of a kind could not be reached; 0: the last question of each was
        answered.
        """
        now_ms = self._clock.now().monotonic_ms
        away = [now_ms - since_ms for what, since_ms in self._since_ms.items() if self._kinds[what] == kind]
        return max(away, default=0)

    def _is_well(self, what: str) -> None:
        self._since_ms.pop(what, None)
        if self.failing.pop(what, None) is not None:
            self._told_ms.pop(what, None)
            LOG.info("%s: it can be reached again", what)


class WatchedSource:
    """A `Source` whose outages are told, and that `sight` is told of what was listed."""

    def __init__(self, source: Source, outages: Outages, table: str, sight: Sight | None = None) -> None:
        self._source = source
        self._outages = outages
        self._table = table
        self._sight = sight
        self._present = ""
        self._what = f"the stream of table {table}"

    async def stream(self) -> StreamRef:
        """The present stream. Raises: SourceError."""
        self._present = ""
        with self._outages.watched(self._what, "stream"):
            stream = await self._source.stream()
        if self._sight is not None:
            self._present = stream.label
        return stream

    async def earlier(self) -> list[StreamRef]:
        """Streams that have ended. Raises: SourceError."""
        with self._outages.watched(self._what, "stream"):
            earlier = await self._source.earlier()
        if self._sight is not None:
            labels = {self._present, *(stream.label for stream in earlier)} - {""}
            self._sight.present(self._table, labels)
        return earlier

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard. Raises: SourceError."""
        with self._outages.watched(self._what, "stream"):
            shards = await self._source.shards(stream)
        if self._sight is not None:
            self._sight.listed(self._table, self._present if stream is None else stream.label)
        return shards

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError."""
        with self._outages.watched(self._what, "stream"):
            return await self._source.read(shard, after, limit)


class WatchedItems:
    """A `TableItems` whose outages are told."""

    def __init__(self, items: TableItems, outages: Outages) -> None:
        self._items = items
        self._outages = outages

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items. Raises: SourceError."""
        with self._outages.watched(f"the items of table {table}", "items"):
            return await self._items.page(table, after, limit, segment)


class WatchedState:
    """A `StateStore` whose outages are told."""

    def __init__(self, state: StateStore, outages: Outages, target: str) -> None:
        self._state = state
        self._outages = outages
        self._what = f"the state in {target}"

    async def get(self, key: str) -> StateRow | None:
        """One row. Raises: StoreError."""
        with self._outages.watched(self._what, "state"):
            return await self._state.get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Rows in key order. Raises: StoreError."""
        with self._outages.watched(self._what, "state"):
            return await self._state.query(prefix, after=after, limit=limit)

    async def count(self, prefix: str) -> int:
        """How many rows. Raises: StoreError."""
        with self._outages.watched(self._what, "state"):
            return await self._state.count(prefix)

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, or nothing. Raises: StateConflict, StoreError."""
        with self._outages.watched(self._what, "state"):
            await self._state.transact(writes)
