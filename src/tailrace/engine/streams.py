"""Streams as clients see them: what there is, iterators, and pages of records.

Rules of this file: what a page holds is decided in `engine.reading`. Called by `engine.engine`. Source:
semantics §1.1, §1.5–1.7.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, assert_never

from tailrace.engine.catalog import Catalog, Namespace, StreamState, TableState
from tailrace.engine.lineage import Lineage
from tailrace.engine.reading import ShardReader
from tailrace.engine.settings import EngineSettings
from tailrace.errors import ApiError, SettingsError, validation_error
from tailrace.ports import Clock, StreamRef
from tailrace.streams.arns import parse_stream_arn, parse_table_arn
from tailrace.streams.iterators import Iterator, IteratorStart, read_token
from tailrace.streams.record import ChangeRecord, SequenceNumber, ViewType, is_older_than_any
from tailrace.streams.shards import HashedShard, Shard, children, published
from tailrace.tables.limits import LIST_PAGE, RECORDS_PAGE, RECORDS_PAGE_BYTES

TRIMMED: Final = "The operation attempted to read past the oldest stream record in a shard."
FUTURE: Final = (
    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
    "timestampInMillis: {}, currentTimestampInMillis: {}"
)
"""Kinesis' words: DynamoDB's were not captured [U]."""


class RecordsPage(NamedTuple):
    """What GetRecords answers; without `next_token` the shard is drained."""

    records: list[ChangeRecord]
    next_token: str | None
    view_type: ViewType


class Streams:
    """The streams of an engine, or those of one namespace.

    Shape:   without a namespace all of them, and a table is what rows call it.
    """

    def __init__(
        self,
        namespace: Namespace | None,
        catalog: Catalog,
        lineage: Lineage,
        reader: ShardReader,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self._namespace = namespace
        self._catalog = catalog
        self._tables: Mapping[str, TableState] = catalog.tables if namespace is None else namespace.tables
        self._lineage = lineage
        self._reader = reader
        self._clock = clock
        self._settings = settings

    # ---- what there is -------------------------------------------------------------------------------------

    def _stream(self, arn: str, *, keeps_held: bool = False) -> StreamState:
        stream = self._catalog.streams.get(arn)
        if stream is None:
            parse_stream_arn(arn)
        wall_ms = self._clock.now().wall_ms
        is_here = stream is not None and self._is_here(stream)
        if stream is None or not is_here or self._is_over(stream, wall_ms, keeps_held=keeps_held):
            raise ApiError(
                "ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found"
            )
        return stream

    def _is_over(self, stream: StreamState, wall_ms: int, *, keeps_held: bool) -> bool:
        """Whether its day has passed; with `keeps_held` not while an archive needs something of it."""
        is_over = self._lineage.is_over(stream, wall_ms)
        return is_over and not (keeps_held and self._lineage.is_held(stream))

    def _is_here(self, stream: StreamState) -> bool:
        return self._namespace is None or stream.namespace is self._namespace

    def on(self, name: str) -> StreamState:
        """The stream that is on. Raises: ApiError."""
        table = self._tables.get(name)
        if table is None or table.stream is None:
            missing = "TableState" if table is None else "Stream of table"
            raise ApiError(
                "ResourceNotFoundException", f"Requested resource not found: {missing}: {name} not found"
            )
        return table.stream

    def of_table(self, name: str) -> StreamRef:
        """The names of the stream that is on. Raises: ApiError."""
        return self._reference(self.on(name))

    def of_arn(self, arn: str) -> StreamRef:
        """The names of a stream that can be read, on or off. Raises: ApiError."""
        return self._reference(self._stream(arn))

    def _reference(self, stream: StreamState) -> StreamRef:
        document = stream.document
        table = self._catalog.tables.get(stream.key)
        is_of_deleted = table is None or table.number != document.table_number
        return StreamRef(
            stream.arn,
            stream.key,
            document.label,
            document.view_type,
            stream.namespace.region,
            is_of_deleted,
        )

    def earlier(self, name: str, *, keeps_held: bool = False) -> list[StreamRef]:
        """Streams of tables of that name, as it is now or deleted, that have ended and can still be read, the
        oldest first; with `keeps_held` also by an archive alone.
        """
        table = self._tables.get(name)
        wall_ms = self._clock.now().wall_ms
        return [
            self._reference(stream)
            for stream in self._lineage.streams_of(name)
            if (table is None or stream is not table.stream)
            and not self._is_over(stream, wall_ms, keeps_held=keeps_held)
        ]

    def split(self, table: str, shard_id: str | None) -> list[Shard]:
        """Split one open shard of a table's stream, or all of them. Returns: the shards that are open then.

        Raises:  ApiError without a table or stream; SettingsError for a shard that is not open, or too many.
        """
        stream = self.on(table)
        chosen = [shard.number for shard in stream.open_shards if shard_id in (None, shard.shard_id)]
        if not chosen:
            raise SettingsError(
                f"{shard_id!r} is no open shard of {table!r}", hint=f"tailrace shards ls {table}"
            )
        self._lineage.split(stream, chosen, self._clock.now().wall_ms)
        return [published(shard, stream.document.label) for shard in stream.open_shards]

    @property
    def last_sequence(self) -> int:
        """The highest sequence number that was issued."""
        return self._catalog.last_sequence

    def shards(self, arn: str, *, keeps_held: bool = False) -> list[Shard]:
        """Every shard that can still be read, parents before children; with `keeps_held` also by an archive
        alone. Raises: ApiError.
        """
        stream = self._stream(arn, keeps_held=keeps_held)
        shards = self._lineage.readable_shards(stream, self._clock.now().wall_ms, keeps_held=keeps_held)
        return [published(shard, stream.document.label) for shard in shards]

    def listed(self, table: str | None, limit: int | None, start_arn: str | None) -> dict[str, Any]:
        """ListStreams in the order of the ARNs; a start without its stream still works. Raises: ApiError."""
        most = _limit(limit, LIST_PAGE)
        arn = None if table is None else parse_table_arn(table)
        name = table if arn is None or self._namespace is None else arn.table
        if start_arn is not None:
            parse_stream_arn(start_arn)
        wall_ms = self._clock.now().wall_ms
        streams = [
            stream
            for arn, stream in sorted(self._catalog.streams.items())
            if self._is_here(stream)
            and (name is None or name == (stream.key if self._namespace is None else stream.document.table))
            and (start_arn is None or arn > start_arn)
            and not self._lineage.is_over(stream, wall_ms)
        ]
        answer: dict[str, Any] = {
            "Streams": [
                {
                    "StreamArn": stream.arn,
                    "TableName": stream.document.table,
                    "StreamLabel": stream.document.label,
                }
                for stream in streams[:most]
            ]
        }
        if len(streams) > most:
            answer["LastEvaluatedStreamArn"] = streams[most - 1].arn
        return answer

    def describe(
        self, arn: str, limit: int | None, start_shard_id: str | None, filter: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """DescribeStream. Raises: ApiError."""
        most = _limit(limit, LIST_PAGE)
        stream = self._stream(arn)
        wall_ms = self._clock.now().wall_ms
        self._lineage.roll(stream, wall_ms)
        shards = self._lineage.readable_shards(stream, wall_ms)
        if filter is not None:
            shards = _filtered(shards, filter)
        if start_shard_id is not None:
            ids = [shard.shard_id for shard in shards]
            shards = shards[ids.index(start_shard_id) + 1 :] if start_shard_id in ids else []
        document = stream.document
        answer: dict[str, Any] = {
            "StreamArn": arn,
            "StreamLabel": document.label,
            "StreamStatus": self._lineage.status(stream),
            "StreamViewType": document.view_type,
            "CreationRequestDateTime": document.created_ms / 1_000,
            "TableName": document.table,
            "KeySchema": document.key_schema,
            "Shards": [_described(shard) for shard in shards[:most]],
        }
        if len(shards) > most:
            answer["LastEvaluatedShardId"] = shards[most - 1].shard_id
        return answer

    # ---- iterators and pages -------------------------------------------------------------------------------

    def iterator(self, arn: str, shard_id: str, start: IteratorStart) -> str:
        """GetShardIterator. Raises: ApiError."""
        stream = self._stream(arn)
        now = self._clock.now()
        shard = self._shard(stream, shard_id, now.wall_ms)
        return Iterator(arn, shard_id, self._after(shard, start, now.wall_ms), now.wall_ms).token()

    def _after(self, shard: HashedShard, start: IteratorStart, wall_ms: int) -> int:
        match start.kind:
            case "TRIM_HORIZON":
                return 0
            case "LATEST":
                return self._catalog.last_sequence if shard.ending is None else shard.ending
            case "AT_TIMESTAMP":
                assert start.timestamp_ms is not None
                if start.timestamp_ms > wall_ms:
                    raise validation_error(FUTURE.format(start.timestamp_ms, wall_ms))
                after = self._reader.last_before(shard.number, start.timestamp_ms)
                return 0 if after <= self._reader.through(shard.number, wall_ms) else after
            case "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER":
                assert start.sequence_number is not None
                if is_older_than_any(start.sequence_number):
                    raise ApiError("TrimmedDataAccessException", TRIMMED)
                after = int(SequenceNumber.from_wire(start.sequence_number))
                if start.kind == "AT_SEQUENCE_NUMBER":
                    after -= 1
                if after < self._reader.through(shard.number, wall_ms):
                    raise ApiError("TrimmedDataAccessException", TRIMMED)
                return after
            case _:
                assert_never(start.kind)

    def _shard(self, stream: StreamState, shard_id: str, wall_ms: int) -> HashedShard:
        for shard in self._lineage.readable_shards(stream, wall_ms):
            if shard.shard_id == shard_id:
                return shard
        raise ApiError(
            "ResourceNotFoundException",
            f"Requested resource not found: Shard: {shard_id} in Stream: {stream.arn} not found",
        )

    def records(self, token: str, limit: int | None) -> RecordsPage:
        """GetRecords. Raises: ApiError."""
        most = _limit(limit, RECORDS_PAGE)
        now = self._clock.now()
        iterator = read_token(token, now)
        stream = self._stream(iterator.stream_arn)
        shard = self._shard(stream, iterator.shard_id, now.wall_ms)
        page = self._reader.page(shard, iterator.after, most, RECORDS_PAGE_BYTES, now.wall_ms)
        if page.trimmed:
            raise ApiError("TrimmedDataAccessException", TRIMMED)
        self._reader.was_read(shard, iterator.after, page.next_after)
        following = None
        if not page.closed:
            following = Iterator(stream.arn, shard.shard_id, page.next_after, now.wall_ms).token()
        return RecordsPage(list(page.records), following, stream.document.view_type)


def _limit(limit: int | None, most: int) -> int:
    if limit is None:
        return most
    if limit < 1:
        bound = "greater than or equal to 1"
    elif limit > most:
        bound = f"less than or equal to {most}"
    else:
        return limit
    raise validation_error(
        f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
        f"Member must have value {bound}"
    )


def _filtered(shards: list[HashedShard], filter: Mapping[str, Any]) -> list[HashedShard]:
    if filter.get("Type") != "CHILD_SHARDS" or not filter.get("ShardId"):
        raise validation_error(
            "Invalid ShardFilter: both Type and ShardId are needed, and CHILD_SHARDS is the only Type"
        )
    return children(shards, filter["ShardId"])


def _described(shard: HashedShard) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": SequenceNumber(shard.starting).wire}
    if shard.ending is not None:
        numbers["EndingSequenceNumber"] = SequenceNumber(shard.ending).wire
    answer: dict[str, Any] = {"ShardId": shard.shard_id, "SequenceNumberRange": numbers}
    if shard.parent_id is not None:
        answer["ParentShardId"] = shard.parent_id
    return answer
