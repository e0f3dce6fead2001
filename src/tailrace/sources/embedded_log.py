"""The streams of an engine in this process, as they are at this moment.

Rules of this file: it never waits; a stream whose day has passed meanwhile is a SourceError. Made by
compose_worker.py, server/control.py, cli/explain.py and the test world, for views and watermarks. Stands
alone because a reader of one stream (`embedded`) waits for commits, and this one must not.
"""

from contextlib import suppress

from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.sources.data_streams import DataStreamPages, reference
from tailrace.streams.kinesis.names import is_data_shard, is_data_stream, stream_of_source


class EmbeddedLog:
    """The `LogReader` port over an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._data = DataStreamPages(engine)

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams, on or off, oldest first: of all tables, or of one and of deleted ones of its name; a data
        stream by its name as a source.
        """
        if table is None:
            return self._all()
        if (name := stream_of_source(table)) is not None:
            stream = self._data.stream(name)
            return [] if stream is None else [reference(stream)]
        streams = self._engine.earlier_streams_of(table, keeps_held=True)
        with suppress(ApiError):  # it has none now: nothing more will come
            streams.append(self._engine.stream_of(table))
        return streams

    def _all(self) -> list[StreamRef]:
        arns: list[str] = []
        start: str | None = None
        while True:
            page = self._engine.list_streams(None, None, start)
            arns += [stream["StreamArn"] for stream in page["Streams"]]
            start = page.get("LastEvaluatedStreamArn")
            if start is None:
                break
        return sorted(map(self._engine.stream_named, arns), key=lambda stream: (stream.label, stream.arn))

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream that can still be read here, parents before children: those that wait past
        their day for an archive among them. Raises: SourceError.
        """
        if is_data_stream(stream.arn):
            return self._data.shards(stream)
        try:
            return self._engine.shards_of(stream.arn, keeps_held=True)
        except ApiError as error:
            raise SourceError(f"stream {stream.arn} is gone: {error.message}") from error

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Durable records with sequence > after. Raises: StoreError."""
        pages = self._data if is_data_shard(shard.shard_id) else self._engine.log
        return pages.read(shard, after, limit)

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record not yet durable was written; None: all are. Units: ms since the epoch."""
        pages = self._data if is_data_shard(shard.shard_id) else self._engine.log
        return pages.pending_since(shard)
