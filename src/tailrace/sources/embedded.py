"""The stream of a table of the engine in this process, woken by its commits.

Rules of this file: a read waits for the commit that brings a record, it never polls; only durable records are read. Made by
`compose`.
"""

import asyncio

from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, SourceError
from tailrace.ports import Page, Shard, StreamRef


class EmbeddedSource:
    """A `Source` over an engine and one of its tables."""

    def __init__(self, engine: Engine, table: str) -> None:
        self._engine = engine
        self._table = table
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self._unsubscribe = engine.on_commit(self._advanced)

    def close(self) -> None:
        """Listen no more. Repeatable."""
        self._unsubscribe()

    async def stream(self) -> StreamRef:
        """The table's present stream. Raises: SourceError when it has none."""
        try:
            return self._engine.stream_of(self._table)
        except ApiError as error:
            raise SourceError(
                f"table {self._table!r} has no stream: {error.message}",
                hint="create the table with a StreamSpecification, or let `tailrace dev` create it",
            ) from error

    async def shards(self) -> list[Shard]:
        """Every shard that can still be read, parents first. Raises: SourceError."""
        return self._engine.shards_of((await self.stream()).arn)

    async def read(self, shard: Shard, after: int, limit: int) -> Page:
        """Records after a sequence number; waits for a commit while there are none and the shard is open."""
        while True:
            page = self._engine.read_shard(shard, after, limit)
            if page.records or page.closed or page.trimmed:
                return page
            await self._next_commit(shard.number)

    async def _next_commit(self, shard: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(shard, set())
        waiting.add(future)
        try:
            await future
        finally:
            waiting.discard(future)

    def _advanced(self, shards: frozenset[int]) -> None:
        for shard in shards & self._waiting.keys():
            for future in self._waiting.pop(shard):
                if not future.done():
                    future.set_result(None)
