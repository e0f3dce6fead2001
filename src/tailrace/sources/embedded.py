"""A table of this process's engine as a source: its stream, woken by commits, and its items, by page.

Rules of this file: a read of the stream waits for the commit that brings a record, it never polls. A page
of items is read between two commits, so that no change is half in it, with the exact position it was read
at. Only what is durable is handed out. Made by `compose_worker`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from tailrace.engine.committer import Committer
from tailrace.engine.engine import Engine
from tailrace.engine.query import ScanRequest
from tailrace.errors import ApiError, SourceError
from tailrace.ports import ItemsPage, ReadDone, Shard, StreamRef


class EmbeddedSource:
    """A `Source` over an engine and one of its tables; with `only_stream`, an ARN, over that stream alone,
    whatever becomes of its table.
    """

    def __init__(self, engine: Engine, table: str, only_stream: str = "") -> None:
        self._engine = engine
        self._table = table
        self._only_stream = only_stream
        self._seen: StreamRef | None = None

    async def stream(self) -> StreamRef:
        """The table's present stream. Raises: SourceError when it has none."""
        if self._only_stream:
            return self._named()
        try:
            return self._engine.stream_of(self._table)
        except ApiError as error:
            raise SourceError(
                f"table {self._table!r} has no stream: {error.message}",
                hint="create the table with a StreamSpecification, or let `tailrace dev` create it",
            ) from error

    def _named(self) -> StreamRef:
        """The one stream, also when it has ended: its shards can no longer be read then, and what is told of
        them still names it.
        """
        try:
            # Whose stream it is decides: what has become of the table does not.
            self._seen = replace(self._engine.stream_named(self._only_stream), is_of_deleted=False)
        except ApiError as error:
            if self._seen is None:
                raise SourceError(f"stream {self._only_stream} is gone: {error.message}") from error
        return self._seen

    async def earlier(self) -> list[StreamRef]:
        """Readable streams of the table, and of deleted ones of its name, that ended; oldest first."""
        if self._only_stream:
            return []
        return self._engine.earlier_streams_of(self._table, keeps_held=True)

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents first. Raises: SourceError."""
        if stream is None:
            stream = await self.stream()
        try:
            return self._engine.shards_of(stream.arn, keeps_held=True)
        except ApiError as error:  # its day has passed meanwhile
            raise SourceError(f"stream {stream.arn} is gone: {error.message}") from error

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a sequence number; waits for a commit while there are none and the shard is open."""
        while True:
            page = self._engine.log.read(shard, after, limit)
            if page.records or page.closed or page.trimmed or limit == 0:
                return page
            number = self._engine.log.number_of(shard)
            assert number is not None  # one that is gone is closed
            await next_commit(self._engine.committer, number)


async def next_commit(committer: Committer, number: int) -> None:
    """Wait until the shard with one of the engine's numbers has advanced or was closed. Cancellable."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def advanced(shards: frozenset[int]) -> None:
        if number in shards and not future.done():
            future.set_result(None)

    # A reader that is cancelled while it waits must not stay subscribed: every reload has new readers.
    unsubscribe = committer.on_commit(advanced)
    try:
        await future
    finally:
        unsubscribe()


class EmbeddedItems:
    """A `TableItems` over an engine."""

    def __init__(self, engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._flushed = flushed

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items. Raises: SourceError when there is no such table, StoreError."""
        try:
            schema = self._engine.schema(table)
            page = self._engine.scan(
                ScanRequest(table, limit=limit, start=None if after is None else dict(after), segment=segment)
            )
        except ApiError as error:
            raise SourceError(f"table {table!r}: {error.message}") from error
        position = self._engine.last_sequence
        if self._engine.committer.is_dirty:
            await self._flushed()
        items = []
        for image in page.decoded():
            keys = {name: image[name] for name in schema.key_names}
            items.append((schema.locate_key(keys).key_bytes.hex(), keys, image))
        return ItemsPage(items, position, page.last_key)
