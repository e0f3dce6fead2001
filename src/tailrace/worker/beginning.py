"""Where mappings begin that were never here: at the oldest change there is, at a time, or with what comes
from now on.

Theory of operation. "Now" is resolved once into a time, the server's own, and that is saved before anything
is read: a start that is cut off goes on with the same time. For each shard the first record of that time or
later is then looked for, and a checkpoint is put before it, where there is none. In an open shard that has
none yet it is put behind the last older record, for which the shard is read from its oldest on: what comes
later must not be mistaken for older. A closed shard of which everything is older is finished, and what
continues one is read whole. A record whose time is not known to be older is delivered: rather one too many
than one too few. The row that the worker's own check writes afterwards makes the mapping one that was here.
Rules of this file: it never waits for a record; everything may be repeated, by several workers at once. What
the names mean is said by runtime/beginning.py. Called by compose_fleet.py. Source: growth §3.1.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from tailrace.app.app import App, HandlerMapping
from tailrace.app.table import Table
from tailrace.errors import SourceError, StateConflict
from tailrace.leases.checkpoint import EVERY_HASH, CheckpointRow, checkpoint_key
from tailrace.ports import Clock, Shard, Source, StateStore, StreamRef
from tailrace.rows.kinds import MAPPING
from tailrace.rows.writes import Absent, Write
from tailrace.runtime.beginning import AtName, StartPosition, saved_start
from tailrace.runtime.driver import Performer

PAGE: Final = 1_000
"""Records of one read."""
EMPTY_READS: Final = 5
"""A shard may answer so many pages without a record before it counts as one that has none."""


class StartedTable(Protocol):
    """A table at another server, as a start asks it. It never waits. Raises: SourceError."""

    async def server_ms(self) -> int:
        """The server's own time. Units: since the epoch."""

    def since(self, since_ms: int, counted: StreamRef | None = None) -> Source:
        """The table's stream without what was created before. Shape: of the stream `counted` positions tell
        how far what was left out goes.
        """


class Starts:
    """The starts of one app's mappings. Shape: `tables` by name; `numbered` gives the streams of a table
    their generations, which must be there before a checkpoint is.
    """

    def __init__(
        self, app: App, state: StateStore, clock: Clock, start: StartPosition,
        tables: Callable[[str], StartedTable], numbered: Callable[[Table], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._app = app
        self._state = state
        self._start = start
        self._tables = tables
        self._numbered = numbered
        self._performer = Performer(state, clock)

    async def begin(self) -> dict[str, int]:
        """Put the checkpoints of mappings that were never here. Returns: the times of those that do not begin
        at the beginning, by mapping; ms since the epoch. Repeatable. Raises: SourceError, StoreError.
        """
        began: dict[str, int] = {}
        for mapping in self._app.mappings:
            since_ms = await self._since_ms(mapping)
            if since_ms is not None:
                await self._numbered(mapping.table)
                await self._put(mapping, since_ms)
                began[mapping.id] = since_ms
        return began

    async def _since_ms(self, mapping: HandlerMapping) -> int | None:
        """From when a mapping is to be told of changes; None: it was here, or begins at the beginning."""
        if await self._state.get(MAPPING.key(self._app.name, mapping.id)) is not None:
            return None
        start = AtName("end") if mapping.settings.starts_at_end else self._start
        now_ms = await self._tables(mapping.table.name).server_ms() if start == AtName("end") else 0
        return await self._performer.perform(saved_start(self._app.name, mapping.id, start, now_ms))

    async def _put(self, mapping: HandlerMapping, since_ms: int) -> None:
        table = self._tables(mapping.table.name)
        source = table.since(since_ms)
        streams = await source.earlier()
        with suppress(SourceError):  # it is off
            streams.append(await source.stream())
        for stream in [ref for ref in streams if not ref.is_of_deleted]:
            for shard in await source.shards(stream):
                row = await checkpoint_since(table, since_ms, stream, shard)
                key = checkpoint_key(self._app.name, mapping.id, stream.label, shard.shard_id)
                with suppress(StateConflict):  # it was put before, by this worker or by another one
                    await self._state.transact([Write(key, row.fields(), Absent())])


async def checkpoint_since(
    table: StartedTable, since_ms: int, stream: StreamRef, shard: Shard
) -> CheckpointRow:
    """The checkpoint of who wants of a shard what was written then or later. Raises: SourceError."""
    row = await first_checkpoint(table.since(since_ms), shard)
    if row.watermark or row.finished:
        return row
    return await first_checkpoint(table.since(since_ms, stream), shard)


async def first_checkpoint(source: Source, shard: Shard) -> CheckpointRow:
    """The checkpoint before the first record that a source tells of a shard. Raises: SourceError."""
    hashes = shard.hash_range or EVERY_HASH
    after = empty = 0
    while empty < EMPTY_READS:
        page = await source.read(shard, after, PAGE)
        if page.records:
            return CheckpointRow(watermark=page.records[0].sequence - 1, hashes=hashes)
        if page.closed:
            return CheckpointRow(watermark=max(after, page.next_after), finished=True, hashes=hashes)
        empty = 0 if page.next_after > after else empty + 1
        after = page.next_after
    return CheckpointRow(watermark=after, hashes=hashes)
