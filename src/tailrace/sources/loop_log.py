"""A log that belongs to an event loop, asked from any other, such as the one beside a thread of a handler.

Theory of operation: an engine belongs to the loop of its process, and so does the budget of a worker's reads.
A question of the past is awaited in a loop beside them, or in that very one. A caller that stands in the way
of the loop, for it blocks the loop's own thread until it has its answer, would wait for itself: that is said.
Rules of this file: it only hands over. Stands alone because what it hands over to knows of no other loop.
Made by compose.py and compose_fleet.py.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from tailrace.errors import SourceError
from tailrace.ports import LogReader, ReadDone, Shard, StreamRef
from tailrace.runtime.beside import WAITING

T = TypeVar("T")
BLOCKED: Final = (
    "it is asked by a coroutine that blocks its event loop meanwhile: await app.async_history and its like"
)


class LoopLog:
    """A `LogReader` over one of this loop. Made on that loop."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams of a table, or of all. Raises: SourceError."""
        return await self._there(self._log.streams(table))

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream. Raises: SourceError."""
        return await self._there(self._log.shards(stream))

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError, StoreError."""
        return await self._there(self._log.read(shard, after, limit))

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record was written that is not durable yet."""
        return await self._there(self._log.pending_since(shard))

    async def _there(self, asked: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await asked
        if WAITING.get() == self._thread or not self._loop.is_running():
            asked.close()
            raise SourceError(BLOCKED if self._loop.is_running() else "what had it has ended")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))
