"""A log at another server, asked at the pace that the readers of the same process keep: how far handlers are,
whose windows are over, what no worker reads.

Theory of operation: a read of a record costs one of the five that a second of its shard has, whether or not
a reader is at it; a page of a listing costs one of the descriptions that all streams of a process share. So
each call waits for its moment, and is counted in it; it waits for no change.
Rules of this file: nothing is kept, what is answered is as of now; nothing is repeated. Made by
compose_fleet.py. Stands alone because views from afar, of which nothing goes on, ask the log itself.
"""

from typing import Protocol

from tailrace.ports import Clock, LogReader, ReadDone, Shard, StreamRef
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.polling import ShardPage
from tailrace.streams.shards import in_order


class FarLogReader(LogReader, Protocol):
    """A log at another server, which can also be read from now on. Raises: SourceError."""

    async def server_ms(self, table: str) -> int:
        """The server's own time."""

    async def skip_to_now(self, stream: StreamRef, shard: Shard) -> None:
        """Let the next read of a shard from its oldest record begin behind its newest."""


class PagedLog(FarLogReader, Protocol):
    """One whose shards are listed a page at a time. Raises: SourceError."""

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        """A page of the listing, behind the shard `start`."""


class PacedLog:
    """A `LogReader` within the budget of a process, over one that keeps to none."""

    def __init__(self, log: PagedLog, clock: Clock, pacer: Pacer) -> None:
        self._log = log
        self._clock = clock
        self._pacer = pacer

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams of a table, or of all. Raises: SourceError."""
        await self._wait(self._pacer.describes.book(self._now_ms()))
        return await self._log.streams(table)

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream. Raises: SourceError."""
        shards: list[Shard] = []
        start = ""
        while True:
            await self._wait(self._pacer.describes.book(self._now_ms()))
            page = await self._log.shard_page(stream, start)
            shards += page.shards
            start = page.following
            if not start:
                return in_order(shards)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError."""
        await self._wait(self._pacer.book_aside(shard.place, self._now_ms()))
        return await self._log.read(shard, after, limit)

    async def server_ms(self, table: str) -> int:
        """The server's own time. Units: since the epoch, to the second. Raises: SourceError."""
        return await self._log.server_ms(table)

    async def skip_to_now(self, stream: StreamRef, shard: Shard) -> None:
        """Let the next read of a shard from its beginning begin behind its newest. Raises: SourceError."""
        await self._log.skip_to_now(stream, shard)

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record was written that is not durable yet."""
        return await self._log.pending_since(shard)

    def _now_ms(self) -> int:
        return self._clock.now().monotonic_ms

    async def _wait(self, until_ms: int) -> None:
        if until_ms > self._now_ms():
            await self._clock.sleep_until(until_ms)
