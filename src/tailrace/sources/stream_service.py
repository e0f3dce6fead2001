"""The calls of DynamoDB Streams at an endpoint, and what they taught of streams; iterators, kept for the next
page.

Theory of operation: the iterator that an answer gave for the next page is kept beside the position that it is
for, two a shard, because a shard has two readers at most. One that has expired, or is about to, is replaced
by a new one at the same position, at once. One for a position that the stream no longer has is replaced by
one for the oldest record there is, and that is said.
Rules of this file: it never sleeps; nothing is repeated but what a fresh iterator answers. Errors are
AwsError, and SourceError for an answer that cannot be read. Called by dynamodb_streams.py. Source: semantics
§1.6, §1.7.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.errors import SourceError
from tailrace.ports import Clock, Shard, StreamRef
from tailrace.runtime.polling import ShardPage
from tailrace.sources.dialects import Dialect, dialect_of
from tailrace.sources.stream_records import DescribedStream, described_shard, described_stream
from tailrace.streams.shards import in_order

STREAMS: Final = "dynamodbstreams"
PAGE: Final = 1_000
"""Records of one answer. Source: semantics §1.1."""
SHARDS: Final = 100
FRESH_SHARE: Final = 0.9
"""An iterator is replaced when so much of its life has passed."""
KEPT_MS: Final = 900_000
READERS: Final = 2
GONE: Final = "ResourceNotFoundException"
TRIMMED: Final = "TrimmedDataAccessException"
EXPIRED: Final = "ExpiredIteratorException"
TRIES: Final = 4
"""One each for an iterator that is kept, one that has expired, one that is past the trim, and the last."""


Counted: TypeAlias = Callable[[str, str], None]
"""Told of each call of DynamoDB Streams: its operation, and "ok" or AWS's code of what went wrong."""


def uncounted(operation: str, result: str) -> None:
    """Calls that are not counted."""


class KeptIterator(Struct):
    """An iterator for the records behind `after`. Units: made_ms of the monotonic clock. Shape:
    `is_trimmed` something behind `after` is gone, and this one begins with what is left.
    """

    after: int
    text: str
    made_ms: int
    is_trimmed: bool = False


class RecordsAnswer(Struct):
    """What GetRecords said. Shape: None for a shard that is gone."""

    records: list[Mapping[str, Any]]
    following: str | None
    is_trimmed: bool


class StreamService:
    """The calls, and what they taught of streams. Shape: `dialect` None: as each stream's name tells."""

    def __init__(
        self, access: Access, clock: Clock, dialect: Dialect | None = None, counted: Counted = uncounted
    ) -> None:
        self._counted = counted
        self._access = access
        self._clock = clock
        self._dialect = dialect
        self._described: dict[str, DescribedStream] = {}
        """By ARN: of a stream neither name nor key nor view type ever changes."""
        self._arns: dict[str, str] = {}
        """By label; where tables have streams of one label, their shards tell them apart."""
        self._of_shards: dict[tuple[str, str], str] = {}
        self._iterators: dict[tuple[str, str], list[KeptIterator]] = {}

    def dialect(self, arn: str) -> Dialect:
        """What is so with a stream."""
        return self._dialect or dialect_of(arn)

    async def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """One call of DynamoDB Streams. Raises: AwsError."""
        try:
            answer = await client.call(self._access, STREAMS, operation, members)
        except AwsError as error:
            self._counted(operation, error.code or "unreachable")
            raise
        self._counted(operation, "ok")
        return answer

    async def table(self, name: str) -> dict[str, Any] | None:
        """A table as DescribeTable says it; None: there is none. Raises: AwsError."""
        try:
            answer = await client.call(self._access, "dynamodb", "describe_table", {"TableName": name})
        except AwsError as error:
            if error.code == GONE:
                return None
            raise
        table: dict[str, Any] = answer["Table"]
        return table

    async def server_ms(self, table: str) -> int:
        """The server's own time. Units: since the epoch, to the second. Raises: AwsError."""
        members = {"TableName": table, "Limit": 1}
        return await client.date_of(self._access, STREAMS, "list_streams", members)

    # ---- streams -------------------------------------------------------------------------------------------

    async def listed(self, table: str | None) -> list[tuple[str, str]]:
        """ARNs and tables of every stream, or of a table's. Raises: AwsError."""
        streams: list[tuple[str, str]] = []
        members: dict[str, Any] = {} if table is None else {"TableName": table}
        while True:
            page = await self.call("list_streams", **members)
            streams += [(str(stream["StreamArn"]), str(stream["TableName"])) for stream in page["Streams"]]
            if not page.get("LastEvaluatedStreamArn"):
                return streams
            members["ExclusiveStartStreamArn"] = page["LastEvaluatedStreamArn"]

    async def describe(self, arn: str, table: str, *, is_of_deleted: bool = False) -> DescribedStream:
        """A stream: one that was off when it was last described is not asked again. Raises: AwsError,
        SourceError.
        """
        known = self._described.get(arn)
        if known is None or known.is_on:
            members = (await self.call("describe_stream", StreamArn=arn, Limit=1))["StreamDescription"]
            known = self._learn(members, table, is_of_deleted=is_of_deleted)
        if known.stream.is_of_deleted != is_of_deleted:
            known.stream = replace(known.stream, is_of_deleted=is_of_deleted)
        return known

    def _learn(self, members: Mapping[str, Any], table: str, *, is_of_deleted: bool) -> DescribedStream:
        described = described_stream(members, table, is_of_deleted=is_of_deleted)
        known = self._described.get(described.stream.arn)
        if known is not None:
            described.schema = known.schema
        self._described[described.stream.arn] = described
        self._arns[described.stream.label] = described.stream.arn
        return described

    def known(self, arn: str) -> DescribedStream | None:
        """A stream that was described before."""
        return self._described.get(arn)

    async def of_shard(self, shard: Shard, table: str | None) -> DescribedStream:
        """The stream of a shard. Raises: AwsError, SourceError when it is listed no more."""
        if (arn := self._of_shards.get(shard.place)) is not None:
            return self._described[arn]
        if table is None or shard.stream not in self._arns:
            named = [(arn, name) for arn, name in await self.listed(table) if _is_called(arn, shard.stream)]
            for arn, name in named:
                described = await self.describe(arn, name)
                if len(named) > 1:
                    await self.all_shards(described.stream)
        arn = self._of_shards.get(shard.place) or self._arns.get(shard.stream)
        if arn is None:
            raise SourceError(f"stream {shard.stream} of {table or 'any table'} is listed no more")
        return self._described[arn]

    # ---- shards --------------------------------------------------------------------------------------------

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        """A page of a stream's shards, behind the one with the id `start`. Raises: AwsError, SourceError."""
        members: dict[str, Any] = {"StreamArn": stream.arn, "Limit": SHARDS}
        if start:
            members["ExclusiveStartShardId"] = start
        else:
            self._forget_old()
        page = (await self.call("describe_stream", **members))["StreamDescription"]
        described = self._learn(page, stream.table, is_of_deleted=stream.is_of_deleted)
        dialect = self.dialect(stream.arn)
        shards = [described_shard(shard, described.stream.label, dialect) for shard in page["Shards"]]
        self._of_shards.update({shard.place: stream.arn for shard in shards})
        return ShardPage(shards, str(page.get("LastEvaluatedShardId") or ""), described.is_on)

    async def children(self, stream: StreamRef, shard_id: str) -> list[Shard]:
        """The shards that continue one. Raises: AwsError, SourceError."""
        chosen = {"Type": "CHILD_SHARDS", "ShardId": shard_id}
        shards: list[Shard] = []
        members: dict[str, Any] = {"StreamArn": stream.arn, "ShardFilter": chosen}
        while True:
            page = (await self.call("describe_stream", **members))["StreamDescription"]
            dialect = self.dialect(stream.arn)
            shards += [described_shard(shard, stream.label, dialect) for shard in page["Shards"]]
            if not page.get("LastEvaluatedShardId"):
                return shards
            members["ExclusiveStartShardId"] = page["LastEvaluatedShardId"]

    async def all_shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard, page after page. Raises: AwsError, SourceError."""
        page = await self.shard_page(stream, "")
        shards = list(page.shards)
        while page.following:
            page = await self.shard_page(stream, page.following)
            shards += page.shards
        return in_order(shards)

    # ---- records -------------------------------------------------------------------------------------------

    async def iterator(self, arn: str, shard: Shard, after: int, since_ms: int | None = None) -> str:
        """A new iterator for the records behind a position; 0: for the oldest; `since_ms`: for those
        that were written then or later. Raises: AwsError.
        """
        members: dict[str, Any] = {"StreamArn": arn, "ShardId": shard.shard_id}
        dialect = self.dialect(arn)
        if since_ms is not None and dialect.has_timestamps and after < shard.first:
            members |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since_ms // 1_000}
        elif after == 0 or (since_ms is not None and after < shard.first):
            members["ShardIteratorType"] = "TRIM_HORIZON"
        elif after < shard.first:
            members |= {
                "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "SequenceNumber": dialect.text(shard.first),
            }
        else:
            kind = "AT_SEQUENCE_NUMBER" if dialect.group_bits else "AFTER_SEQUENCE_NUMBER"
            members |= {"ShardIteratorType": kind, "SequenceNumber": dialect.text(after)}
        return str((await self.call("get_shard_iterator", **members))["ShardIterator"])

    async def newest(self, arn: str, shard: Shard) -> str:
        """A new iterator for the records that are still to come. Raises: AwsError."""
        members = {"StreamArn": arn, "ShardId": shard.shard_id, "ShardIteratorType": "LATEST"}
        return str((await self.call("get_shard_iterator", **members))["ShardIterator"])

    async def records(
        self, arn: str, shard: Shard, after: int, limit: int, since_ms: int | None = None
    ) -> RecordsAnswer | None:
        """A page behind a position; None: the shard is not found. Raises: AwsError."""
        kept = self._take(shard, after, self.dialect(arn))
        is_trimmed = kept is not None and kept.is_trimmed
        text = None if kept is None else kept.text or None
        for tries in range(TRIES):
            try:
                if text is None:
                    text = await self.iterator(arn, shard, 0 if is_trimmed else after, since_ms)
                answer = await self.call("get_records", ShardIterator=text, Limit=min(limit, PAGE))
                return RecordsAnswer(answer["Records"], answer.get("NextShardIterator"), is_trimmed)
            except AwsError as error:
                if error.code == GONE:
                    return None
                if error.code not in (EXPIRED, TRIMMED) or tries == TRIES - 1:
                    raise
                is_trimmed = is_trimmed or error.code == TRIMMED
                text = None
        raise AssertionError("the last try returns or raises")

    def _take(self, shard: Shard, after: int, dialect: Dialect) -> KeptIterator | None:
        """The iterator that is kept for a position, unless it is about to expire."""
        kept = self._iterators.get(shard.place, [])
        now_ms = self._clock.now().monotonic_ms
        for iterator in kept:
            if iterator.after == after:
                kept.remove(iterator)
                life_ms = dialect.iterator_ms
                if life_ms is not None and now_ms - iterator.made_ms >= life_ms * FRESH_SHARE:
                    return None if not iterator.is_trimmed else replace(iterator, text="")
                return iterator
        return None

    def keep(self, shard: Shard, after: int, text: str, *, is_trimmed: bool) -> None:
        """Keep an iterator for the records behind a position."""
        made_ms = self._clock.now().monotonic_ms
        kept = [other for other in self._iterators.get(shard.place, []) if other.after != after]
        kept.append(KeptIterator(after, text, made_ms, is_trimmed))
        self._iterators[shard.place] = kept[-READERS:]

    def forget(self, shard: Shard) -> None:
        """A shard is read no more."""
        self._iterators.pop(shard.place, None)

    def _forget_old(self) -> None:
        """Let go the iterators of shards that nobody reads here any more."""
        old_ms = self._clock.now().monotonic_ms - KEPT_MS
        for place, kept in list(self._iterators.items()):
            if all(iterator.made_ms <= old_ms for iterator in kept):
                del self._iterators[place]


def _is_called(arn: str, stream: str) -> bool:
    """Whether a stream has this label: the last part of its name, or all of it (Alternator's of before)."""
    return stream in (arn, arn.rpartition("/")[2])
