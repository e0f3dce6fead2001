"""Housekeeping: what has passed its time is removed, in slices.

Rules of this file: a generator that adds to the group and yields every few rows, about two milliseconds each;
its caller flushes after each slice. No read stays open across a yield. Everything it does may be cut
off anywhere and done again. Called by `engine.engine.housekeeping`.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from tailrace.engine.catalog import Catalog, StreamState
from tailrace.engine.committer import Committer
from tailrace.engine.destinations.destinations import Destinations
from tailrace.engine.horizon import Horizon
from tailrace.engine.index_lifecycle import IndexLifecycle
from tailrace.engine.kinesis.kinesis import Kinesis
from tailrace.engine.lifecycle import Lifecycle
from tailrace.engine.lineage import Lineage
from tailrace.engine.reading import ShardReader, size_of
from tailrace.engine.requests import Requests
from tailrace.engine.rounds import in_turn
from tailrace.engine.time_to_live import TimeToLive
from tailrace.errors import DamagedData
from tailrace.ports import Clock, LogRow, Trim
from tailrace.streams.shards import HashedShard


class Housekeeping(Struct, frozen=True):
    """One round over all streams, tables, indexes and tokens."""

    _committer: Committer
    _catalog: Catalog
    _lineage: Lineage
    _lifecycle: Lifecycle
    _indexes: IndexLifecycle
    _reader: ShardReader
    _horizon: Horizon
    _time_to_live: TimeToLive
    _requests: Requests
    _kinesis: Kinesis
    _destinations: Destinations
    _clock: Clock
    _rows: int

    def slices(self) -> Iterator[None]:
        """Roll, trim, forget, fill indexes, remove. Each yield is a good moment to flush.

        Raises:  StoreError at the end, when something could not be read: everything else was done.
        """
        self._horizon.look()
        for table in tuple(self._catalog.tables.values()):
            self._lifecycle.settle(table)
        yield from in_turn(self._parts())

    def _parts(self) -> Iterator[Iterator[None]]:
        for stream in tuple(self._catalog.streams.values()):
            if self._clock.now().wall_ms >= stream.due_ms:
                yield self._keep(stream)
        yield self._indexes.fill_all()
        yield self._time_to_live.slices()
        for number in tuple(self._catalog.dropped):
            yield self._remove_items(number)
        yield self._requests.forget_expired(self._rows)
        yield self._destinations.slices()
        yield from self._kinesis.housekeeping()

    def _keep(self, stream: StreamState) -> Iterator[None]:
        """One stream; it is not looked at again before something of it can be due."""
        self._lineage.roll(stream, self._clock.now().wall_ms)
        if self._committer.is_dirty:
            yield  # what was closed must be durable before it can be old
        document, due_ms = stream.document, self._lineage.next_due_ms(stream)
        for shard in document.shards:
            yield from self._trim(stream, shard)
            due_ms = min(due_ms, self._reader.next_due_ms(shard))
        self._forget(stream)
        # A shard that came or went meanwhile has made it 0, and so it stays.
        if stream.document is document:
            stream.due_ms = due_ms
        yield

    def _trim(self, stream: StreamState, shard: HashedShard) -> Iterator[None]:
        """Remove what has passed the horizon; every row is read once for it, when its time has come. What an
        archive waits for stays.
        """
        wall_ms = self._clock.now().wall_ms
        is_vanished = self._lineage.is_vanished(shard, wall_ms)
        if self._committer.is_pending(shard.number):
            return  # what was just written there is not old
        while is_vanished or self._reader.next_due_ms(shard) <= wall_ms:
            after = self._catalog.trimmed.get(shard.number, 0)
            rows = self._committer.read_readable_log(shard.number, after, self._rows)
            gone = [row for row in rows if is_vanished or self._reader.is_gone(row, wall_ms)]
            if len(gone) < self._rows:
                # The last of them: the next one tells when to look again.
                self._reader.note_oldest(shard, rows[len(gone)] if len(rows) > len(gone) else None, wall_ms)
            if gone and self._reader.holds.is_of(stream.key):
                gone = self._released(stream, shard, gone, wall_ms)
            if not gone:
                return
            self._committer.add_trim(Trim(shard.number, gone[-1].sequence))
            self._catalog.save_trimmed(shard.number, gone[-1].sequence)
            yield

    def _released(
        self, stream: StreamState, shard: HashedShard, gone: list[LogRow], wall_ms: int
    ) -> list[LogRow]:
        """Those of the oldest rows of a shard, all past the horizon, that no archive waits for, or that are
        more than may wait.
        """
        holds, number = self._reader.holds, shard.number
        archived = holds.through(stream.document.label, shard)
        released = [row for row in gone if row.sequence <= archived]
        if not released:
            after = max(holds.weighed_through(number), gone[0].sequence - 1)
            rows = self._committer.read_readable_log(number, after, self._rows)
            is_vanished = self._lineage.is_vanished(shard, wall_ms)
            held = [row for row in rows if is_vanished or self._reader.is_gone(row, wall_ms)]
            if held:
                holds.weigh(stream.key, number, held[-1].sequence, sum(map(size_of, held)))
            released = _oldest(gone, holds.excess(stream.key))
        weighed = [row for row in released if row.sequence <= holds.weighed_through(number)]
        holds.lighten(number, sum(map(size_of, weighed)))
        return released

    def _forget(self, stream: StreamState) -> None:
        wall_ms = self._clock.now().wall_ms
        for number in self._lineage.forget_vanished(stream, wall_ms):
            self._reader.forget_shard(number)
            self._reader.holds.forget_shard(number)
            if number in self._catalog.trimmed:
                self._catalog.save_trimmed(number, None)

    def _remove_items(self, number: int) -> Iterator[None]:
        first = b""
        while True:
            try:
                rows = [key for key, _ in self._committer.query(number, first, None, self._rows)]
            except DamagedData as error:  # it goes too, whatever it was
                if not error.key:
                    raise
                rows = [error.key]
            else:
                if not rows:
                    break
                first = rows[-1]
            for key in rows:
                self._committer.put_row(number, key, None)
            yield
        self._catalog.forget_dropped(number)
        yield


def _oldest(rows: Sequence[LogRow], size: int) -> list[LogRow]:
    """The first rows that weigh so much together, or all; none where nothing is to go."""
    taken: list[LogRow] = []
    for row in rows:
        if size <= 0:
            break
        taken.append(row)
        size -= size_of(row)
    return taken
