"""The streams of an app's tables, as views of a fleet ask for them.

Rules of this file: it only chooses. An account has the streams of other apps too, which nobody here may be
allowed to describe. Stands alone because the log of an endpoint knows no app. Made by compose_fleet.py and
cli/far.py.
"""

from collections.abc import Iterable

from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.runtime.paced_log import FarLogReader


class AppLog:
    """A `LogReader` of some tables."""

    def __init__(self, log: FarLogReader, tables: Iterable[str]) -> None:
        self._log = log
        self._tables = list(tables)

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams of a table, or of all of the app's. Raises: SourceError."""
        if table is not None:
            return await self._log.streams(table)
        return [stream for name in self._tables for stream in await self._log.streams(name)]

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream. Raises: SourceError."""
        return await self._log.shards(stream)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError."""
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
