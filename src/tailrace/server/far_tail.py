"""A table's changes at another server as they come, for `tail` of a fleet.

Theory of operation: nothing wakes who asks from afar, so it looks again: at once while changes come, else a
second later, and later the more shards there are, so that it stays far below what AWS allows. From now on
means the server's own time: shards that were closed by then are left out, and open ones are read from their
newest position. A shard is shown before those that continue it; a new stream is read from its start.
Rules of this file: it only reads. Called by tail.py.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from tailrace.errors import SourceError
from tailrace.ports import Clock, Shard, StreamRef
from tailrace.runtime.beginning import is_wanted
from tailrace.runtime.paced_log import FarLogReader
from tailrace.streams.envelopes import change_value
from tailrace.streams.shards import in_order

PAGE: Final = 1_000
REST_MS: Final = 1_000
"""How long it waits when nothing came; so much longer for each shard beyond five: AWS allows five reads a
second and shard, and workers read, too.
"""
SHARDS_A_REST: Final = 5
LISTING_MS: Final = 10_000
"""How old a listing of shards may be while none of them ends."""


class FarFollower:
    """Where a reader of a table's streams stands in each shard."""

    def __init__(self, log: FarLogReader, table: str) -> None:
        self._log = log
        self._table = table
        self._since_ms: int | None = None
        self._stream: StreamRef | None = None
        self._shards: list[Shard] = []
        self._after: dict[str, int] = {}
        self._finished: set[str] = set()

    async def skip_to_now(self) -> None:
        """Pass over everything that was written before. Raises: SourceError."""
        self._since_ms = await self._log.server_ms(self._table)
        await self.list_shards()
        for shard in self._shards:
            if shard.is_closed:
                self._finished.add(shard.shard_id)
            elif self._stream is not None:
                await self._log.skip_to_now(self._stream, shard)

    async def list_shards(self) -> None:
        """See which stream and which shards there are now. Raises: SourceError."""
        streams = await self._log.streams(self._table)
        newest = streams[-1] if streams else None
        if newest is not None and (self._stream is None or newest.arn != self._stream.arn):
            self._after.clear()
            self._finished.clear()
        self._stream = newest
        self._shards = [] if newest is None else in_order(await self._log.shards(newest))

    @property
    def has_stream(self) -> bool:
        """Whether the table had one when it was listed last."""
        return self._stream is not None

    @property
    def rest_ms(self) -> int:
        """How long to wait when nothing came."""
        reading = sum(shard.shard_id not in self._finished for shard in self._shards)
        return REST_MS * max(1, -(-reading // SHARDS_A_REST))

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """What has come since the last call, a page of each shard that may be read now. Raises:
        SourceError.
        """
        unfinished = {shard.shard_id for shard in self._shards} - self._finished
        for shard in self._shards:
            if shard.shard_id not in unfinished or not unfinished.isdisjoint(shard.parents):
                continue  # its parent's changes of the same items come first
            page = await self._log.read(shard, self._after.get(shard.shard_id, 0), PAGE)
            for record in page.records:
                if self._since_ms is None or is_wanted(record, self._since_ms):
                    yield change_value(record, self._table, shard.shard_id)
            self._after[shard.shard_id] = page.next_after
            if page.closed:
                self._finished.add(shard.shard_id)
                unfinished.discard(shard.shard_id)

    @property
    def has_ended_one(self) -> bool:
        """Whether a shard was read to its end that is listed as open."""
        return any(not shard.is_closed and shard.shard_id in self._finished for shard in self._shards)


async def follow_far(
    log: FarLogReader, clock: Clock, table: str, *, from_start: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """Every change, for ever. What is refused for the moment is asked again. Raises: SourceError when the
    table has no stream at the start.
    """
    follower = FarFollower(log, table)
    if from_start:
        await follower.list_shards()
    else:
        await follower.skip_to_now()
    if not follower.has_stream:
        raise SourceError(
            f"There is no stream of a table {table!r}.",
            hint="tailrace status   (lists the tables and their streams)",
        )
    listed_ms = clock.now().monotonic_ms
    while True:
        count, rest_ms = 0, follower.rest_ms
        try:
            now_ms = clock.now().monotonic_ms
            if follower.has_ended_one or now_ms - listed_ms >= LISTING_MS:
                await follower.list_shards()
                listed_ms = now_ms
            async for change in follower.changes():
                count += 1
                yield change
        except SourceError as error:
            rest_ms = max(rest_ms, error.retry_after_ms or 0)
        if not count:
            await clock.sleep_until(clock.now().monotonic_ms + rest_ms)
