"""DynamoDB Streams over HTTP, at any endpoint: a table's stream as delivery reads it, and every stream as
views ask for it.

Theory of operation. A position is a sequence number. Where it is older than what the stream still has, the
server says so (TrimmedDataAccess): reading goes on with the oldest record there is, and the page in which
that comes says `trimmed`. Until it comes nothing is told, because nobody knows where the gap ends; if the
process ends before that, the next one meets the same. A shard that is not found is gone only if it is a day
old, or a listing lacks it, too; otherwise that is an error as any other, to be asked again.
Rules of this file: it never sleeps and never waits: pace is kept by runtime/polling.py, and tries again by
the machine. Errors are SourceError, with the hint and the least time to wait that the other side named.
Source: growth §3.1; semantics §1; reference/fleet §1.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from msgspec.structs import replace

from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.errors import SourceError
from tailrace.ports import Clock, ReadDone, Shard, StreamRef
from tailrace.runtime.beginning import is_wanted
from tailrace.runtime.polling import ShardPage
from tailrace.sources.dialects import AWS, Dialect, dialect_of
from tailrace.sources.stream_records import DescribedStream, changes_of
from tailrace.sources.stream_service import GONE, TRIMMED, Counted, StreamService, uncounted
from tailrace.streams.dates import DAY_MS, label

HOPS: Final = 5
"""Pages without records that are followed to find the oldest record of a shard."""


def source_error(error: AwsError) -> SourceError:
    """The same as a source says it: with the hint, and the least time to wait."""
    return SourceError(error.text, hint=error.hint, retry_after_ms=error.retry_after_ms)


class StreamPages:
    """Pages of shards, from one service. Units: `since_ms` since the epoch."""

    def __init__(self, service: StreamService, clock: Clock, since_ms: int | None = None) -> None:
        self._service = service
        self._clock = clock
        self._since_ms = since_ms

    async def read(self, table: str | None, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position, as `ports.Source` and `ports.LogReader` promise them. Raises:
        AwsError, SourceError.
        """
        described = await self._service.of_shard(shard, table)
        if limit == 0:
            return await self._horizon(described, shard, after)
        since_ms = self._since_of(shard)
        answer = await self._service.records(described.stream.arn, shard, after, limit, since_ms)
        if answer is None:
            return await self._gone(described, shard, after)
        dialect = self._service.dialect(described.stream.arn)
        page = changes_of(answer.records, described, shard, dialect, after)
        records, reached = page.records, page.reached
        if since_ms is not None:
            records = [record for record in records if is_wanted(record, since_ms)]
        is_cut = len(records) > limit
        if is_cut:
            records = records[:limit]
            reached = records[-1].sequence
        if is_cut:
            return ReadDone(records, reached, trimmed=answer.is_trimmed)
        if answer.following:
            # A gap is told when it is known where it ends.
            is_told = answer.is_trimmed and reached > after
            self._service.keep(shard, reached, answer.following, is_trimmed=answer.is_trimmed and not is_told)
            return ReadDone(records, reached, trimmed=is_told)
        self._service.forget(shard)
        if answer.is_trimmed and reached == after:  # nothing is left of it
            return self._ended(shard, after)
        return ReadDone(records, reached, closed=True, trimmed=answer.is_trimmed)

    def _since_of(self, shard: Shard) -> int | None:
        """From when a shard is wanted: one that began later is wanted whole."""
        if self._since_ms is None or shard.created_ms > self._since_ms:
            return None
        return self._since_ms

    def _ended(self, shard: Shard, after: int) -> ReadDone:
        """A shard of which nothing is left. Where its last number is not known, something is lost as far as
        anybody knows.
        """
        is_lost = shard.last is None or after < shard.last
        return ReadDone([], max(after, shard.last or after), closed=True, trimmed=is_lost)

    async def _gone(self, described: DescribedStream, shard: Shard, after: int) -> ReadDone:
        """A shard that was not found. Raises: SourceError when it must be there."""
        age_ms = self._clock.now().wall_ms - shard.created_ms
        if not shard.created_ms or age_ms < DAY_MS:
            try:
                listed = await self._service.all_shards(described.stream)
            except AwsError as error:
                if error.code != GONE:
                    raise
                listed = []
            if any(other.shard_id == shard.shard_id for other in listed):
                raise SourceError(f"shard {shard.shard_id} is listed, and was not found when it was read")
        self._service.forget(shard)
        return self._ended(shard, after)

    async def _horizon(self, described: DescribedStream, shard: Shard, after: int) -> ReadDone:
        """Whether something behind a position is gone, and up to where."""
        arn = described.stream.arn
        dialect = self._service.dialect(arn)
        try:
            asked = await self._service.iterator(arn, shard, after or shard.first - 1)
            await self._service.call("get_records", ShardIterator=asked, Limit=1)
        except AwsError as error:
            if error.code == GONE:
                gone = await self._gone(described, shard, after)
                return replace(gone, closed=False)
            if error.code != TRIMMED:
                raise
        else:
            return ReadDone([], after)
        text: str | None = await self._service.iterator(arn, shard, 0)
        for _ in range(HOPS):
            answer = await self._service.call("get_records", ShardIterator=text, Limit=1)
            page = changes_of(answer["Records"], described, shard, dialect, 0)
            text = answer.get("NextShardIterator")
            if page.reached:
                first = dialect.number(answer["Records"][0]["dynamodb"]["SequenceNumber"])
                return _trimmed_through(after, first - 1)
            if text is None:
                return _trimmed_through(after, shard.last or shard.first)
        return _trimmed_through(after, shard.first)


def _trimmed_through(after: int, last: int) -> ReadDone:
    position = max(after, last)
    return ReadDone([], position, trimmed=0 < after < position)


def is_of_deleted(stream_label: str, table: Mapping[str, Any] | None) -> bool:
    """Whether a stream is of a table that was deleted, whatever has its name now: it began before that.

    >>> is_of_deleted("2026-11-28T10:00:00.000", {"CreationDateTime": 1795860000.0})
    False
    """
    if table is None:
        return True
    created = label(round(table["CreationDateTime"] * 1_000))
    return stream_label[:1].isdigit() and stream_label < created[: len(stream_label)]


class DynamoDbStreamsSource:
    """The `Source` of a table's stream. Shape: `since_ms`: what was created before is left out, but for
    that very second; a shard that began before then is read from there, where the endpoint can.
    """

    def __init__(
        self, access: Access, table: str, clock: Clock, dialect: Dialect | None = None, *,
        since_ms: int | None = None, counted: Counted = uncounted,
    ) -> None:  # fmt: skip
        self._table = table
        self._service = StreamService(access, clock, dialect, counted)
        self._pages = StreamPages(self._service, clock, since_ms)

    async def stream(self) -> StreamRef:
        """The table's present stream. Raises: SourceError when it has none."""
        with _told():
            table = await self._service.table(self._table)
            arn = None if table is None else _present(table)
            if arn is not None:
                known = self._service.known(arn)
                described = known or await self._service.describe(arn, self._table)
                if described.is_on:
                    return described.stream
        what = (
            f"table {self._table!r} is not there" if table is None else f"table {self._table!r} has no stream"
        )
        raise SourceError(what, hint="enable one: aws dynamodb update-table --stream-specification …")

    async def earlier(self) -> list[StreamRef]:
        """Streams that have ended and can still be read, the oldest first. Raises: SourceError."""
        with _told():
            table = await self._service.table(self._table)
            present = None if table is None else _present(table)
            streams = [
                described.stream
                for described in await described_streams(self._service, self._table, {self._table: table})
                if not described.is_on and described.stream.arn != present
            ]
        return sorted(streams, key=_by_age)

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents before children. Raises: SourceError."""
        with _told():
            return await self._service.all_shards(await self.stream() if stream is None else stream)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position; none where there are none. Raises: SourceError."""
        with _told():
            return await self._pages.read(self._table, shard, after, limit)

    async def server_ms(self) -> int:
        """The server's own time: what "from now on" means. Units: since the epoch, to the second. Raises:
        SourceError.
        """
        with _told():
            return await self._service.server_ms(self._table)

    # ---- for runtime/polling.py ----------------------------------------------------------------------------

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        """A page of a listing. Raises: SourceError."""
        with _told():
            return await self._service.shard_page(stream, start)

    async def children(self, stream: StreamRef, shard_id: str) -> list[Shard]:
        """The shards that continue one. Raises: SourceError."""
        with _told():
            return await self._service.children(stream, shard_id)

    async def can_be_read(self, stream: StreamRef, shard_id: str) -> bool:
        """Whether a shard is there, listed or not. Raises: SourceError."""
        with _told():
            try:
                await self._service.iterator(stream.arn, Shard(shard_id, 1, stream=stream.label), 0)
            except AwsError as error:
                if error.code != GONE:
                    raise
                return False
            return True


class DynamoDbStreamsLog:
    """The `LogReader` of every stream at an endpoint. What is not durable there is not shown there."""

    def __init__(
        self, access: Access, clock: Clock, dialect: Dialect | None = None, counted: Counted = uncounted
    ) -> None:
        self._service = StreamService(access, clock, dialect, counted)
        self._pages = StreamPages(self._service, clock)
        self._clock = clock
        self._dialect = dialect
        self._dialects: dict[str, Dialect] = {}
        """Of the streams that were listed, by their labels."""

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams, on or off, the oldest first. Raises: SourceError."""
        with _told():
            described = await described_streams(self._service, table, {})
        streams = sorted((known.stream for known in described), key=_by_age)
        self._dialects |= {stream.label: self._dialect or dialect_of(stream.arn) for stream in streams}
        return streams

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream. Raises: SourceError."""
        with _told():
            return await self._service.all_shards(stream)

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        """A page of a listing. Raises: SourceError."""
        with _told():
            return await self._service.shard_page(stream, start)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError."""
        with _told():
            return await self._pages.read(None, shard, after, limit)

    async def server_ms(self, table: str) -> int:
        """The server's own time. Units: since the epoch, to the second. Raises: SourceError."""
        with _told():
            return await self._service.server_ms(table)

    async def skip_to_now(self, stream: StreamRef, shard: Shard) -> None:
        """Let the next read of a shard from its beginning begin behind its newest. Raises: SourceError."""
        with _told():
            text = await self._service.newest(stream.arn, shard)
            self._service.keep(shard, 0, text, is_trimmed=False)

    async def pending_since(self, shard: Shard) -> int | None:
        """Since when something may have been written to an open shard that its server does not show yet: for
        so long as it shows no change. None: it shows what is durable, and of what is not nothing is known.
        """
        dialect = self._dialects.get(shard.stream, self._dialect or AWS)
        if not dialect.window_ms or shard.is_closed:
            return None
        return self._clock.now().wall_ms - dialect.window_ms


async def described_streams(
    service: StreamService, table: str | None, tables: dict[str, dict[str, Any] | None]
) -> list[DescribedStream]:
    """Every stream that is listed and can still be described. Shape: `tables` that were asked for already.
    Raises: AwsError, SourceError.
    """
    described = []
    for arn, name in await service.listed(table):
        if name not in tables:
            tables[name] = await service.table(name)
        try:
            is_old = is_of_deleted(arn.rpartition("/")[2], tables[name])
            described.append(await service.describe(arn, table or name, is_of_deleted=is_old))
        except AwsError as error:
            if error.code != GONE:  # its day has passed meanwhile
                raise
    return described


def _present(table: Mapping[str, Any]) -> str | None:
    is_on = table.get("StreamSpecification", {}).get("StreamEnabled", False)
    return str(table["LatestStreamArn"]) if is_on else None


def _by_age(stream: StreamRef) -> tuple[str, str]:
    return stream.label, stream.arn


@contextmanager
def _told() -> Iterator[None]:
    """What AWS says, in the port's words."""
    try:
        yield
    except AwsError as error:
        raise source_error(error) from error
