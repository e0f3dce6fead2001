"""A stream of Alternator keeps the contract of Source: of several records with one number, of more than were
asked for, of records that are no change, and of events with wrong names every change comes once, in order.

Rules of this file: the server is a model of what is known of it (reference/fleet §3), no more; a reader that
takes it for AWS is the canary.
"""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from tailrace.aws import client
from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.ports import Source
from tailrace.sources.dialects import AWS, Dialect
from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog, DynamoDbStreamsSource
from tailrace.testing import ContractBroken, check_source
from tests.serving import START_MS

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/ks@orders_scylla_cdc_log/stream/2026-01-01T00:00:00"
BATCH = 3
TIMES = 10_000
PATIENCE_MS = 20_000
Members = dict[str, Any]


class AlternatorShard:
    """One shard: its records by number, several to a number."""

    def __init__(self, created_ms: int, number: int, parent: str | None) -> None:
        self.shard_id = f"H {created_ms:x}:{number:032x}"
        self.parent = parent
        self.starting = number
        self.ending: int | None = None
        self.records: list[tuple[int, Members]] = []

    def described(self) -> Members:
        numbers = {"StartingSequenceNumber": f"{self.starting:021d}"}
        if self.ending is not None:
            numbers["EndingSequenceNumber"] = f"{self.ending:021d}"
        described: Members = {"ShardId": self.shard_id, "SequenceNumberRange": numbers}
        return described if self.parent is None else described | {"ParentShardId": self.parent}


class Alternator:
    """A table with a stream of two shards, which answers as Alternator does."""

    def __init__(self) -> None:
        self.number = 10**30
        self.total = 0
        self.shards = [AlternatorShard(START_MS, self._next(), None) for _ in range(2)]

    def _next(self) -> int:
        self.number += TIMES
        return self.number

    def write(self, count: int) -> int:
        """Batches of records with one number, each followed by a record of a write that changed nothing."""
        present = [shard for shard in self.shards if shard.ending is None]
        for place in range(count):
            shard = present[place // BATCH % len(present)]
            if place % BATCH == 0:
                self._next()
            self.total += 1
            shard.records.append((self.number, self._record(self.total, None)))
            if place % BATCH == BATCH - 1:
                shard.records.append((self.number, self._record(self.total, self.total)))
        return self.total

    def _record(self, item: int, old: int | None) -> Members:
        image = {"id": {"S": str(item)}, "n": {"N": f"{item}.0"}}
        body: Members = {
            "Keys": {"id": image["id"]}, "NewImage": image, "SequenceNumber": f"{self.number:021d}",
            "ApproximateCreationDateTime": START_MS // 1_000, "StreamViewType": "NEW_AND_OLD_IMAGES",
        }  # fmt: skip
        if old is not None:
            body["OldImage"] = {"n": {"N": str(old)}, "id": image["id"]}
        return {"eventID": f"E{self.number}", "eventName": "MODIFY", "dynamodb": body}

    def roll(self) -> None:
        """A new generation."""
        for shard in [shard for shard in self.shards if shard.ending is None]:
            shard.ending = self._next()
            self.shards.append(AlternatorShard(START_MS + 1, self._next(), shard.shard_id))

    async def call(self, access: Access, service: str, operation: str, members: Members) -> Members:
        """What it answers."""
        await asyncio.sleep(0)
        match operation:
            case "describe_table":
                on = {"StreamSpecification": {"StreamEnabled": True}, "LatestStreamArn": ARN}
                return {"Table": {"CreationDateTime": 1.0, **on}}
            case "list_streams":
                return {"Streams": [{"StreamArn": ARN, "TableName": "orders"}]}
            case "describe_stream":
                return {"StreamDescription": self._described(members)}
            case "get_shard_iterator":
                number = int(members.get("SequenceNumber", 0)) + members["ShardIteratorType"].startswith(
                    "AFTER"
                )
                return {"ShardIterator": f"{members['ShardId']}|{number}"}
        return self._page(members)

    def _described(self, members: Members) -> Members:
        ids = [shard.shard_id for shard in self.shards]
        start = members.get("ExclusiveStartShardId")
        shards = self.shards[ids.index(start) + 1 if start else 0 :]
        return {
            "StreamArn": ARN, "StreamLabel": ARN.rpartition("/")[2], "StreamStatus": "ENABLED",
            "StreamViewType": "NEW_AND_OLD_IMAGES", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "Shards": [shard.described() for shard in shards],
        }  # fmt: skip

    def _page(self, members: Members) -> Members:
        shard_id, _, position = members["ShardIterator"].partition("|")
        shard = next(shard for shard in self.shards if shard.shard_id == shard_id)
        rows = [row for row in shard.records if row[0] >= int(position)]
        last = rows[: members["Limit"]][-1][0] if rows else int(position) - 1
        page = [record for number, record in rows if number <= last]  # those of one batch are not split
        answer: Members = {"Records": page}
        if page or shard.ending is None:
            answer["NextShardIterator"] = f"{shard_id}|{last + 1}"
        return answer


class AlternatorSource(DynamoDbStreamsSource):
    """Over a server of its own."""

    def __init__(self, patch: pytest.MonkeyPatch, dialect: Dialect | None) -> None:
        self.server = Alternator()
        patch.setattr(client, "call", self.server.call)
        super().__init__(Access(), "orders", ManualClock(START_MS), dialect)


def write(source: Source, count: int) -> int:
    assert isinstance(source, AlternatorSource)
    return source.server.write(count)


def roll(source: Source) -> None:
    assert isinstance(source, AlternatorSource)
    source.server.roll()


def test_a_stream_of_alternator_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    check_source(lambda: AlternatorSource(monkeypatch, None), write, roll=roll, idle_ms=PATIENCE_MS)


def test_a_reader_that_takes_it_for_aws_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ContractBroken):
        check_source(lambda: AlternatorSource(monkeypatch, AWS), write, roll=roll, idle_ms=PATIENCE_MS)


def test_a_change_is_called_what_its_images_say(monkeypatch: pytest.MonkeyPatch) -> None:
    async def names() -> list[str]:
        source = AlternatorSource(monkeypatch, None)
        source.server.write(2 * BATCH)
        read: list[str] = []
        for shard in await source.shards():
            read += [record.event_name for record in (await source.read(shard, 0, 100)).records]
        return read

    assert asyncio.run(names()) == ["INSERT"] * 2 * BATCH


def test_what_it_does_not_show_yet_may_have_been_written_so_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds: a window that is told before would lack the changes of its end."""

    async def since(dialect: Dialect | None) -> list[int | None]:
        monkeypatch.setattr(client, "call", Alternator().call)
        clock = ManualClock(START_MS)
        log = DynamoDbStreamsLog(Access(), clock, dialect)
        (stream,) = await log.streams("orders")
        shards = await log.shards(stream)
        clock.advance(60_000)
        closed = structs.replace(shards[0], last=shards[0].first)
        return [await log.pending_since(shard) for shard in (*shards, closed)]

    assert asyncio.run(since(None)) == [START_MS + 50_000, START_MS + 50_000, None]
    assert asyncio.run(since(AWS)) == [None, None, None]
