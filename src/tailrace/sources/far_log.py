"""The streams of an app's tables, as views of a fleet ask for them.

Rules of this file: it only chooses. An account has the streams of other apps too, which nobody here may be
allowed to describe. Stands alone because the log of an endpoint knows no app. Made by compose_fleet.py and
cli/far.py.
"""

from collections.abc import Iterable

from tailrace.ports import LogReader, ReadDone, Shard, StreamRef


class AppLog:
    """A `LogReader` of some tables."""

    def __init__(self, log: LogReader, tables: Iterable[str]) -> None:
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

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record was written that is not durable yet."""
        return await self._log.pending_since(shard)
