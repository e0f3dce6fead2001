"""A data stream of this process's engine as a source: woken by commits, each record an item of its own.

Theory of operation: positions are the sequence numbers that clients see, as whole numbers; the engine's own
number stands in them, and by it the shard is read. A child's numbers are above those of its parents. Which
shards a partition key can be in is not told: a record may be put with a hash of its own, beside its key's, so
lineage alone says what came before.
Rules of this file: a read never polls; only what is durable is handed out. What a stream that was deleted
still held is lost with it, and a reader that was not at its end is told so. A consumer's records are
read from the log like all others; what it holds is the right to them. Made by `compose_worker` and
`embedded_log`. Source: semantics §5; growth §2.3; ADR 94.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.catalog import DataStreamState
from tailrace.engine.kinesis.fan_out import Hold
from tailrace.engine.kinesis.reading import DataPlace
from tailrace.errors import ApiError, SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.sources.embedded import next_commit
from tailrace.streams.arns import label_of
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.data_shards import DataShard
from tailrace.streams.kinesis.names import (
    read_consumer_arn,
    shard_id,
    source_name,
    stream_of_source,
)
from tailrace.streams.kinesis.plain import plain_record
from tailrace.streams.kinesis.sequence_numbers import behind_own, own_before
from tailrace.streams.kinesis.subscriptions import LIFE_MS
from tailrace.streams.record import ChangeRecord
from tailrace.tables.plain_keys import located

Taken: TypeAlias = Callable[[DataRecord, DataShard], ChangeRecord | None]
"""A record of a shard as the machine knows it; None: it is passed over."""
READ_BYTES: Final = 4 * 1_048_576


def reference(stream: DataStreamState) -> StreamRef:
    """A data stream as a source's. Shape: `table` is the source's name, the label tells it from streams that
    had its name before, and from all others.
    """
    document = stream.document
    label = f"{label_of(document.created_ms)}:{document.name}"
    return StreamRef(stream.arn, source_name(document.name), label, "NEW_IMAGE", document.region)


def published(shard: DataShard, label: str) -> Shard:
    """A shard of a data stream as its readers see it."""
    ending = shard.ending_sequence_number
    return Shard(
        shard.shard_id,
        int(shard.starting_sequence_number),
        tuple(shard_id(parent) for parent in shard.parents),
        None if ending is None else int(ending),
        stream=label,
        created_ms=shard.created_ms,
    )


def as_item(record: DataRecord, shard: DataShard) -> ChangeRecord:
    """A record as an item of its own."""
    return plain_record(record, shard.shard_id, shard.number, *located(record.partition_key))


class DataStreamPages:
    """The data streams of an engine, as they are at this moment: shards, and records after a position."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers: dict[tuple[str, str], int] = {}
        """The engine's numbers of shards that were seen: their records outlive their place in the catalog."""

    def stream(self, name: str) -> DataStreamState | None:
        """A stream by its name; None: there is none, or it is on its way out."""
        streams = self._engine.kinesis.streams
        stream = streams.settled(streams.arn_of(name))
        return None if stream is None or stream.document.busy == "DELETING" else stream

    def shards(self, ref: StreamRef) -> list[Shard]:
        """Every shard of a stream that can still be read, parents first. Raises: SourceError."""
        stream = self._present(ref.label)
        if stream is None:
            raise SourceError(f"stream {ref.arn} is gone: it was deleted")
        shards = self._engine.kinesis.reader.shards(stream)
        self._numbers |= {(ref.label, shard.shard_id): shard.number for shard in shards}
        return [published(shard, ref.label) for shard in shards]

    def _present(self, label: str) -> DataStreamState | None:
        stream = self.stream(label.rpartition(":")[2])
        return stream if stream is not None and reference(stream).label == label else None

    def _place(self, shard: Shard) -> DataPlace | None:
        stream = self._present(shard.stream)
        known = None if stream is None else stream.by_id.get(shard.shard_id)
        if known is None:
            return None
        self._numbers[shard.place] = known.number
        return self._engine.kinesis.reader.place_of(known.number)

    def number_of(self, shard: Shard) -> int | None:
        """The number that the committer tells its listeners of a shard; None: it is gone."""
        place = self._place(shard)
        return None if place is None else place.shard.number

    def read(self, shard: Shard, after: int, limit: int, taken: Taken = as_item) -> ReadDone:
        """Durable records after a position, as they are `taken`. Raises: StoreError, and what that raises.

        Guarantee: `trimmed` says that records after the position were lost; position 0 is "the oldest there
                   is" and loses nothing, while `shard.first - 1` insists on the whole shard.
        """
        place = self._place(shard)
        if place is None:
            return self._gone(shard, after)
        reader, base = self._engine.kinesis.reader, place.shard.numbering
        own = own_before(after, base)
        if limit == 0:
            gone = reader.gone(place)
            next_after = behind_own(base, gone) if gone > own else after
            return ReadDone([], next_after, trimmed=0 < after < next_after)
        page = reader.page(place, own, limit, READ_BYTES)
        is_lost = page.trimmed or (after > 0 and own == 0 and reader.gone(place) > 0)
        changes = (taken(record, place.shard) for record in page.records)
        records = [change for change in changes if change is not None]
        next_after = behind_own(base, page.next_after) if page.next_after > own else after
        if page.records:
            next_after = int(page.records[-1].sequence_number)
        return ReadDone(records, next_after, closed=page.closed, trimmed=is_lost)

    def _gone(self, shard: Shard, after: int) -> ReadDone:
        """A shard that went with its stream, or whose time is over. What this process never saw is lost for
        who was not at its end.
        """
        number = self._numbers.get(shard.place)
        own = own_before(after, shard.first)
        last = None if number is None else self._engine.kinesis.reader.last(number)
        is_lost = after > 0 and (last is None or own < last)
        next_after = after if last is None or last <= own else behind_own(shard.first, last)
        return ReadDone([], next_after, closed=True, trimmed=is_lost)

    def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record of a shard that is not durable yet was written. Units: ms since the epoch;
        None: all is durable.
        """
        place = self._place(shard)
        return None if place is None else self._engine.kinesis.reader.pending_since(place.shard.number)


class DataStreamSource:
    """A `Source` over a data stream of an engine.

    Shape:   a stream that is made anew under its name is another stream, which follows this one. With
             `consumer`, an ARN, it is read as this consumer: events name it, and it holds each shard's
             subscription as others do who subscribe; without, or with a stream's ARN, it is read as it is.
    """

    def __init__(self, engine: Engine, name: str, consumer: str = "") -> None:
        self._engine = engine
        self._name = name
        self._pages = DataStreamPages(engine)
        self._subscriptions = Subscriptions(engine, consumer) if read_consumer_arn(consumer) else None

    async def stream(self) -> StreamRef:
        """The present stream of the name. Raises: SourceError when there is none."""
        stream = self._pages.stream(self._name)
        if stream is None:
            raise SourceError(
                f"there is no data stream {self._name!r}",
                hint="create it with CreateStream, or let `tailrace dev` create it",
            )
        if self._subscriptions is None:
            return reference(stream)
        return replace(reference(stream), arn=self._subscriptions.consumer)

    async def earlier(self) -> list[StreamRef]:
        """None: the records of a data stream go with it."""
        return []

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents first. Raises: SourceError."""
        return self._pages.shards(stream or await self.stream())

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position; waits for a commit while there are none and the shard is open. Raises:
        StoreError; SourceError while a consumer has not the shard's subscription.
        """
        while True:
            number = self._pages.number_of(shard)
            if number is not None and limit and self._subscriptions is not None:
                self._subscriptions.hold(number)
            page = self._pages.read(shard, after, limit, self._take)
            if page.records or page.closed or page.trimmed or limit == 0:
                return page
            assert number is not None  # one that is gone is closed
            if page.next_after == after:
                await next_commit(self._engine.committer, number)
            after = page.next_after

    def _take(self, record: DataRecord, shard: DataShard) -> ChangeRecord | None:
        """What a record is to who reads this source; None: nothing."""
        return as_item(record, shard)


class Subscriptions:
    """The shards that a consumer has subscribed to here. Shape: `consumer` is its ARN."""

    def __init__(self, engine: Engine, consumer: str) -> None:
        self.consumer = consumer
        self._kinesis = engine.kinesis
        self._holds: dict[int, Hold] = {}

    def hold(self, number: int) -> None:
        """Have a shard's subscription, taken again when its five minutes are over or somebody else took it.

        Raises:  SourceError where there is no such consumer, where it is not ACTIVE, or where somebody else
                 has subscribed in the last seconds.
        """
        kinesis = self._kinesis
        try:
            consumer = kinesis.consumers.subscribing(self.consumer)
            known = self._holds.get(number)
            now_ms = kinesis.clock.now().monotonic_ms
            if known is not None and not known.is_lost and now_ms - known.since_ms < LIFE_MS:
                return
            place = kinesis.reader.place_of(number)
            if place is not None:
                self._holds[number] = kinesis.fan_out.subscribe(consumer, place.shard)
        except ApiError as error:
            raise SourceError(f"consumer {self.consumer} cannot subscribe: {error.message}") from error


def source_of_data(engine: Engine, table: str, event_source: str = "") -> DataStreamSource | None:
    """The source behind the name of a data stream as a source; None: it is a table."""
    name = stream_of_source(table)
    return None if name is None else DataStreamSource(engine, name, event_source)
