"""What the source does when a stream over HTTP does not answer as it should: each trouble at the call where
it comes.

Rules of this file: a real server behind the proxy; the source's own time and the server's are both driven.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from tailrace.aws import client
from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard
from tailrace.sources.dialects import ALTERNATOR
from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog, DynamoDbStreamsSource
from tailrace.testing.proxy import (
    Again,
    Alter,
    CutOff,
    Proxy,
    Refuse,
    denied,
    expired,
    failing,
    throttled,
    trimmed,
)
from tests.far_streams import HOUR_MS, FarTable, far
from tests.serving import START_MS, Served

Result = TypeVar("Result")
GONE = Refuse("ResourceNotFoundException", "Requested resource not found: Shard: s in Stream: a not found")


@pytest.fixture
def place() -> Iterator[tuple[Served, Access]]:
    with far() as place:
        yield place


class Reader:
    """A source of one table behind a proxy."""

    def __init__(self, served: Served, proxy: Proxy, **settings: Any) -> None:
        self.table = FarTable(served)
        self.proxy = proxy
        self.clock = ManualClock(START_MS)
        self.source = DynamoDbStreamsSource(
            Access("us-east-1", proxy.url), self.table.name, self.clock, **settings
        )

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run(work)

    def shards(self) -> list[Shard]:
        return self.do(self.source.shards())

    def read(self, after: int = 0, limit: int = 100, shard: Shard | None = None) -> ReadDone:
        return self.do(self.source.read(shard or self.shards()[0], after, limit))

    def refused(self, after: int = 0, shard: Shard | None = None) -> SourceError:
        with pytest.raises(SourceError) as refused:
            self.read(after, shard=shard)
        return refused.value

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [call.members for call in self.proxy.calls if call.operation == operation]


@pytest.fixture
def reader(place: tuple[Served, Access]) -> Iterator[Reader]:
    with Proxy(str(place[1].endpoint_url)) as proxy:
        yield Reader(place[0], proxy)


def keys(page: ReadDone) -> list[str]:
    return [record.keys.decode().split('"')[5] for record in page.records]


# ---- iterators ---------------------------------------------------------------------------------------------


def test_the_iterator_of_the_answer_before_is_used_for_the_next_page(reader: Reader) -> None:
    reader.table.put("a", "b", "c")
    first = reader.read(limit=2)
    second = reader.read(first.next_after, limit=2)
    assert (keys(first), keys(second)) == (["a", "b"], ["c"])
    assert reader.proxy.count("GetShardIterator") == 1


def test_another_position_gets_an_iterator_of_its_own(reader: Reader) -> None:
    reader.table.put("a", "b", "c")
    first = reader.read(limit=2)
    assert keys(reader.read(first.records[0].sequence)) == ["b", "c"]
    assert [asked["ShardIteratorType"] for asked in reader.asked("GetShardIterator")] == [
        "TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER",
    ]  # fmt: skip


def test_an_iterator_that_has_expired_is_replaced_at_once_at_the_same_position(reader: Reader) -> None:
    reader.table.put("a", "b", "c")
    first = reader.read(limit=2)
    reader.proxy.on("GetRecords", expired(), calls=[1])
    assert keys(reader.read(first.next_after)) == ["c"]
    last = reader.asked("GetShardIterator")[-1]
    assert last["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER"
    assert int(last["SequenceNumber"]) == first.next_after


@pytest.mark.parametrize(("age_ms", "count"), [(809_999, 1), (810_000, 2)])
def test_an_iterator_is_replaced_before_it_expires(reader: Reader, age_ms: int, count: int) -> None:
    reader.table.put("a", "b", "c")
    first = reader.read(limit=2)
    reader.clock.advance(age_ms)
    assert keys(reader.read(first.next_after)) == ["c"]
    assert reader.proxy.count("GetShardIterator") == count
    assert reader.proxy.count("GetRecords") == 2


def test_iterators_that_always_expire_are_an_error_in_the_end(reader: Reader) -> None:
    shard = reader.shards()[0]
    reader.proxy.on("GetRecords", expired())
    assert "ExpiredIteratorException" in str(reader.refused(shard=shard))
    assert reader.proxy.count("GetRecords") == 4


def test_an_answer_that_comes_twice_is_read_once(reader: Reader) -> None:
    reader.table.put("a", "b", "c", "d")
    reader.proxy.on("GetRecords", Again(), calls=[2])
    first = reader.read(limit=2)
    again = reader.read(first.next_after, limit=2)
    assert (again.records, again.next_after, again.closed) == ([], first.next_after, False)
    assert keys(reader.read(again.next_after, limit=2)) == ["c", "d"]


# ---- what is gone ------------------------------------------------------------------------------------------


def test_trimmed_records_are_a_named_gap_and_reading_goes_on_with_the_oldest(reader: Reader) -> None:
    reader.table.put("a")
    first = reader.read()
    shard = reader.shards()[0]
    reader.table.pass_time(HOUR_MS)
    reader.table.put("b")
    reader.table.pass_time(2 * HOUR_MS)
    reader.table.put("c")
    reader.table.pass_time(23 * HOUR_MS + 60_000)
    page = reader.read(first.next_after, shard=shard)
    assert (keys(page), page.trimmed) == (["c"], True)
    after = reader.read(page.next_after, shard=shard)
    assert (after.trimmed, after.closed) == (False, True)


def test_a_trimmed_position_is_told_with_the_first_record_that_is_left(reader: Reader) -> None:
    reader.table.put("a")
    after = reader.read().next_after
    reader.proxy.on("GetRecords", trimmed(), calls=[1])
    page = reader.read(after)
    assert (page.records, page.trimmed, page.next_after) == ([], False, after)
    reader.proxy.on("GetRecords", expired(), calls=[1])
    reader.table.put("b")
    page = reader.read(after)
    assert (keys(page), page.trimmed) == (["b"], True)
    assert reader.asked("GetShardIterator")[-1]["ShardIteratorType"] == "TRIM_HORIZON"
    assert not reader.read(page.next_after).trimmed


def test_a_shard_is_wanted_from_its_first_number_and_says_so_when_that_is_gone(reader: Reader) -> None:
    reader.table.put("a")
    shard = reader.shards()[0]
    assert keys(reader.read(shard.first - 1)) == ["a"]
    assert reader.asked("GetShardIterator")[-1]["ShardIteratorType"] == "AT_SEQUENCE_NUMBER"
    reader.table.pass_time(3 * HOUR_MS)
    reader.table.put("b")
    reader.table.pass_time(22 * HOUR_MS)
    assert reader.read(shard.first - 1, shard=shard).trimmed
    assert not reader.read(0, shard=shard).trimmed


def test_the_trim_horizon_is_the_last_record_that_is_gone_and_none_is_zero(reader: Reader) -> None:
    reader.table.put("a")
    shard = reader.shards()[0]
    first = reader.read().next_after
    assert reader.read(0, limit=0) == ReadDone([], 0)
    assert reader.read(first, limit=0) == ReadDone([], first)
    reader.table.pass_time(3 * HOUR_MS)
    reader.table.put("b")
    second = reader.read(first, shard=shard).records[0].sequence
    reader.table.pass_time(22 * HOUR_MS)
    horizon = reader.read(0, limit=0, shard=shard)
    assert first <= horizon.next_after < second
    assert not horizon.trimmed
    assert reader.read(first - 1, limit=0, shard=shard).trimmed


def test_a_shard_that_is_gone_is_closed_and_what_it_had_is_trimmed(reader: Reader) -> None:
    reader.table.put("a", "b")
    first = reader.read(limit=1)
    reader.table.roll()
    shard = reader.shards()[0]
    reader.table.pass_time(25 * HOUR_MS)
    assert shard.last is not None
    page = reader.read(first.next_after, shard=shard)
    assert (page.records, page.next_after, page.closed, page.trimmed) == ([], shard.last, True, True)
    assert reader.read(shard.last, shard=shard) == ReadDone([], shard.last, closed=True)


def test_a_shard_that_is_not_found_but_listed_is_an_error_to_be_asked_again(reader: Reader) -> None:
    reader.table.put("a")
    shard = reader.shards()[0]
    reader.proxy.on("GetShardIterator", GONE, calls=[1])
    assert "is listed, and was not found" in str(reader.refused(shard=shard))
    assert keys(reader.read(shard=shard)) == ["a"]


def test_a_shard_that_is_a_day_old_is_believed_to_be_gone(reader: Reader) -> None:
    shard = reader.shards()[0]
    reader.proxy.on("GetShardIterator", GONE)
    reader.clock.advance(24 * HOUR_MS - 1)
    reader.refused(shard=shard)
    reader.clock.advance(1)
    assert reader.read(shard=shard).closed


# ---- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["DescribeTable", "DescribeStream", "GetShardIterator", "GetRecords"])
@pytest.mark.parametrize("fault", [throttled(), denied(), failing(), CutOff(), CutOff(9)])
def test_every_error_is_the_ports_and_nothing_is_asked_again_or_lost(
    reader: Reader, operation: str, fault: Any
) -> None:
    reader.table.put("a", "b")
    after = reader.read(limit=1).next_after
    fresh = DynamoDbStreamsSource(Access("us-east-1", reader.proxy.url), reader.table.name, reader.clock)
    reader.source, before = fresh, reader.proxy.count(operation)
    reader.proxy.on(operation, fault, calls=[1])
    with pytest.raises(SourceError) as refused:
        reader.read(after)
    assert reader.proxy.count(operation) == before + 1
    if fault == denied():
        action = "dynamodb:DescribeTable" if operation == "DescribeTable" else f"dynamodb:{operation}"
        assert action in str(refused.value)
    assert keys(reader.read(after)) == ["b"]


def test_an_error_says_the_least_time_to_wait(reader: Reader) -> None:
    shard = reader.shards()[0]
    reader.proxy.on("GetRecords", Refuse("ThrottlingException", "slow down", retry_after_s=3), calls=[1])
    assert reader.refused(shard=shard).retry_after_ms == 3_000


def test_a_record_that_cannot_be_read_blocks_its_shard_and_is_named(reader: Reader) -> None:
    reader.table.put("a")

    def broken(members: dict[str, Any]) -> dict[str, Any]:
        members["Records"][0]["eventName"] = "UPSERT"
        return members

    reader.proxy.on("GetRecords", Alter(broken), calls=[1])
    assert "UPSERT" in str(reader.refused())
    assert keys(reader.read()) == ["a"]


# ---- streams -----------------------------------------------------------------------------------------------


def test_a_table_without_a_stream_says_what_to_do(reader: Reader) -> None:
    reader.table.switch(None)
    with pytest.raises(SourceError, match=r"has no stream\n  next: .*update-table"):
        reader.do(reader.source.stream())
    (ended,) = reader.do(reader.source.earlier())
    assert not ended.is_of_deleted
    reader.source = DynamoDbStreamsSource(Access("us-east-1", reader.proxy.url), "nowhere", reader.clock)
    with pytest.raises(SourceError, match="'nowhere' is not there"):
        reader.do(reader.source.stream())
    assert reader.do(reader.source.earlier()) == []


def test_streams_that_have_ended_are_read_to_their_end_the_oldest_first(reader: Reader) -> None:
    reader.table.put("a")
    for _ in range(2):
        reader.table.switch(None)
        reader.table.pass_time(10_000)
        reader.table.switch("KEYS_ONLY")
        reader.table.pass_time(10_000)
    first, second = reader.do(reader.source.earlier())
    present = reader.do(reader.source.stream())
    assert first.label < second.label < present.label
    assert (first.view_type, present.view_type) == ("NEW_AND_OLD_IMAGES", "KEYS_ONLY")
    (shard,) = reader.do(reader.source.shards(first))
    page = reader.read(shard=shard)
    assert (keys(page), page.closed) == (["a"], True)


def test_a_stream_of_a_table_that_was_deleted_is_known_as_one(reader: Reader) -> None:
    reader.table.put("a")
    reader.table.make_again()
    (ended,) = reader.do(reader.source.earlier())
    assert ended.is_of_deleted
    assert not reader.do(reader.source.stream()).is_of_deleted
    (shard,) = reader.do(reader.source.shards(ended))
    assert keys(reader.read(shard=shard)) == ["a"]


def test_a_shard_is_read_by_who_has_listed_nothing(reader: Reader) -> None:
    reader.table.put("a")
    shard = reader.shards()[0]
    other = DynamoDbStreamsSource(Access("us-east-1", reader.proxy.url), reader.table.name, reader.clock)
    assert keys(reader.do(other.read(shard, 0, 9))) == ["a"]
    with pytest.raises(SourceError, match="is listed no more"):
        reader.do(other.read(Shard("s", 1, stream="2020-01-01T00:00:00.000"), 0, 9))


# ---- from a time on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [None, ALTERNATOR], ids=["at a timestamp", "by leaving out"])
def test_from_a_time_on_what_was_written_before_is_left_out(
    place: tuple[Served, Access], dialect: Any
) -> None:
    with Proxy(str(place[1].endpoint_url)) as proxy:
        reader = Reader(place[0], proxy)
        reader.table.put("before")
        reader.table.pass_time(1_000)
        since_ms = START_MS + 1_400
        reader.table.put("that second")
        reader.table.pass_time(5_000)
        reader.table.put("after")
        source = DynamoDbStreamsSource(
            Access("us-east-1", proxy.url), reader.table.name, reader.clock, dialect, since_ms=since_ms
        )
        shard = reader.do(source.shards())[0]
        page = reader.do(source.read(shard, shard.first - 1, 9))
        assert keys(page) == ["that second", "after"]
        assert keys(reader.do(source.read(shard, page.records[0].sequence, 9))) == ["after"]
        assert reader.do(source.read(shard, page.next_after, 9)).records == []


def test_the_servers_time_is_asked_of_the_server(reader: Reader) -> None:
    reader.table.pass_time(7_000)
    told = reader.do(reader.source.server_ms())
    assert told % 1_000 == 0
    assert reader.proxy.count("ListStreams") == 1


# ---- every stream ------------------------------------------------------------------------------------------


class TwoStreams:
    """Two tables whose streams began in the same millisecond, each with a shard of its own and a record in
    it.
    """

    LABEL = "2026-01-01T00:00:00.000"

    async def call(
        self, access: Access, service: str, operation: str, members: dict[str, Any]
    ) -> dict[str, Any]:
        arns = {
            name: f"arn:aws:dynamodb:us-east-1:1:table/{name}/stream/{self.LABEL}"
            for name in ("one", "other")
        }
        names = {arn: name for name, arn in arns.items()}
        match operation:
            case "list_streams":
                return {"Streams": [{"StreamArn": arn, "TableName": name} for name, arn in arns.items()]}
            case "describe_table":
                return {"Table": {"CreationDateTime": 1.0}}
            case "describe_stream":
                numbers = {"SequenceNumberRange": {"StartingSequenceNumber": "1"}}
                return {"StreamDescription": {
                    "StreamArn": members["StreamArn"], "StreamLabel": self.LABEL, "StreamStatus": "ENABLED",
                    "StreamViewType": "KEYS_ONLY", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "Shards": [{"ShardId": f"of {names[members['StreamArn']]}"} | numbers],
                }}  # fmt: skip
            case "get_shard_iterator":
                assert members["ShardId"] == f"of {names[members['StreamArn']]}"
                return {"ShardIterator": names[members["StreamArn"]]}
        body = {
            "Keys": {"pk": {"S": members["ShardIterator"]}}, "SequenceNumber": "7", "SizeBytes": 3,
            "ApproximateCreationDateTime": 1,
        }  # fmt: skip
        return {"Records": [{"eventID": "e", "eventName": "INSERT", "dynamodb": body}]}


def test_streams_of_two_tables_with_one_label_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "call", TwoStreams().call)

    async def story() -> None:
        for is_listed in (True, False):
            log = DynamoDbStreamsLog(Access(), ManualClock())
            if is_listed:
                for stream in await log.streams():
                    await log.shards(stream)
            for name in ("one", "other"):
                page = await log.read(Shard(f"of {name}", 1, stream=TwoStreams.LABEL), 0, 9)
                assert keys(page) == [name]

    asyncio.run(story())
