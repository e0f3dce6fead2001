"""Reads each shard of one source once for all the mappings on it; mapping/reader.py decides, this does.

Rules of this file: no task of its own: whoever asks first reads, the others wait for what it finds; when it is cancelled or its read
fails, one of those who wait takes over. A table with one mapping reads straight from its source. Made by runtime/worker.py.
"""

import asyncio

from tailrace.mapping.commands import ReadDone
from tailrace.mapping.reader import Budget, Reading, ShardReader
from tailrace.ports import Page, Shard, Source


class SharedReads:
    """The reads of one source.

    Guarantee: a shard never has more than two reads outstanding, whatever the number of mappings; each mapping gets every record after its
               position, in order, as from the source itself.
    """

    def __init__(self, source: Source, budget: Budget, mappings: int = 1) -> None:
        self._source = source
        self._budget = budget
        self._is_shared = mappings > 1
        self._readers: dict[tuple[str, str], ShardReader] = {}
        self._outstanding: dict[tuple[tuple[str, str], Reading], tuple[int, asyncio.Future[None]]] = {}
        """Each with the position that it reads after."""

    def share(self) -> None:
        """There are several mappings from now on."""
        self._is_shared = True

    async def read(self, mapping_id: str, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position; waits while there are none and the shard is open. Raises: SourceError."""
        if not self._is_shared:
            return _found(await self._source.read(shard, after, limit))
        reader = self._readers.get(shard.place)
        if reader is None:
            reader = self._readers[shard.place] = ShardReader(self._budget)
        while True:
            page = reader.page(mapping_id, after, limit)
            if page is not None:
                return page
            read = (shard.place, reader.place(after))
            if self._is_ahead(
                read, after
            ):  # it may wait for a record that is still to come: nothing of it is for who is behind
                read = (shard.place, "catch-up")
            outstanding = self._outstanding.get(read)
            if outstanding is None:
                return await self._lead(read, reader, shard, after, limit)
            await asyncio.shield(outstanding[1])

    def _is_ahead(self, read: tuple[tuple[str, str], Reading], after: int) -> bool:
        """Whether such a read is outstanding behind a later position than this one."""
        outstanding = self._outstanding.get(read)
        return outstanding is not None and outstanding[0] > after

    async def _lead(
        self, read: tuple[tuple[str, str], Reading], reader: ShardReader, shard: Shard, after: int, limit: int
    ) -> ReadDone:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outstanding[read] = (after, over)
        try:
            page = _found(await self._source.read(shard, after, limit))
            reader.add(after, page)
            return page
        finally:
            del self._outstanding[read]
            over.set_result(None)

    def leave(self, mapping_id: str, shard: Shard) -> None:
        """A mapping has ended in a shard: nothing is kept for it."""
        reader = self._readers.get(shard.place)
        if reader is None:
            return
        reader.leave(mapping_id)
        if not reader.positions:
            reader.close()
            del self._readers[shard.place]


def _found(page: Page) -> ReadDone:
    return ReadDone(page.records, page.next_after, page.closed, page.trimmed)
