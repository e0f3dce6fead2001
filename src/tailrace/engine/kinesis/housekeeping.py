"""What has passed a data stream's retention, and what deleted streams left, is removed in slices.

Rules of this file: as of `engine.expiry`: its caller flushes after each slice, and everything may be cut off
anywhere and done again. Called by `engine.expiry`.
"""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.lifecycle import settle_data_stream
from tailrace.engine.kinesis.rates import DataRates
from tailrace.engine.kinesis.reading import DataReader
from tailrace.engine.reading import created_ms
from tailrace.engine.slices import Slices
from tailrace.ports import LogRow, Trim
from tailrace.streams.kinesis.data_shards import DataShard, unexpired


class DataHousekeeping(Struct, frozen=True):
    """Rounds over all data streams."""

    _parts: DataParts
    _reader: DataReader
    _rates: DataRates

    def parts(self) -> Iterator[Iterator[None]]:
        """Each stream that something may be due of, and each shard that is gone."""
        wall_ms = self._parts.clock.now().wall_ms
        for stream in tuple(self._parts.streams.streams.values()):
            if settle_data_stream(self._parts, stream) is not None and wall_ms >= stream.due_ms:
                yield self._keep(stream)
        for number in tuple(self._parts.streams.dropped):
            yield self._empty(number)

    def _keep(self, stream: DataStreamState) -> Iterator[None]:
        """One stream; it is not looked at again before something of it can be due."""
        document = stream.document
        retention_ms, wall_ms = document.retention_ms, self._parts.clock.now().wall_ms
        due_ms = wall_ms + retention_ms + 1
        for shard in document.shards:
            oldest = yield from self._trim(stream, shard)
            if oldest is not None:
                due_ms = min(due_ms, created_ms(oldest) + retention_ms + 1)
            if shard.closed_ms is not None:
                due_ms = min(due_ms, shard.closed_ms + retention_ms + 1)
        self._forget(stream)
        # Another document that came meanwhile has made it 0, and so it stays.
        if stream.document is document:
            stream.due_ms = due_ms
        yield

    def _trim(self, stream: DataStreamState, shard: DataShard) -> Slices[LogRow | None]:
        """Remove what is too old. Returns: the oldest record that stays."""
        parts, number, rows_at_once = self._parts, shard.number, self._parts.settings.slice_rows
        while True:
            horizon_ms = self._reader.horizon_ms(stream.document)
            after = parts.catalog.trimmed.get(number, 0)
            rows = parts.committer.read_readable_log(number, after, rows_at_once)
            gone = [row for row in rows if created_ms(row) < horizon_ms]
            if gone:
                parts.committer.add_trim(Trim(number, gone[-1].sequence))
                parts.catalog.save_trimmed(number, gone[-1].sequence)
                yield
            if len(gone) < rows_at_once:
                return rows[len(gone)] if len(rows) > len(gone) else None

    def _forget(self, stream: DataStreamState) -> None:
        """Forget closed shards of which nothing can be read any more."""
        document = stream.document
        left = tuple(unexpired(document.shards, self._reader.horizon_ms(document)))
        gone = [shard for shard in document.shards if shard not in left]
        if not gone:
            return
        for shard in gone:
            self._parts.streams.drop(shard.number)
        self._parts.streams.save(replace(document, shards=left), stream.namespace)

    def _empty(self, number: int) -> Iterator[None]:
        """Remove every record of a shard that is gone."""
        parts = self._parts
        if parts.committer.is_pending(number):
            return  # what was just written there is not in the log yet
        after = parts.catalog.trimmed.get(number, 0)
        while rows := parts.committer.read_readable_log(number, after, parts.settings.slice_rows):
            after = rows[-1].sequence
            parts.committer.add_trim(Trim(number, after))
            yield
        parts.catalog.save_trimmed(number, None)
        parts.streams.forget_dropped(number)
        parts.log.forget_shard(number)
        self._rates.forget(number)
        yield
