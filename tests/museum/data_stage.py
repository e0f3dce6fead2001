"""The stage of the wing for Kinesis: a table whose changes DynamoDB copies into a data stream, the Kinesis
API of that stream for the model of a peer, and one handler of ours over the same stream beside it.

Rules of this file: as on the other stage, both read at the same time and changes are named by their item and
count. An exhibit that needs a certain delivery, again or late, copies the changes itself with `tell`.
"""

import asyncio
from typing import Any, Final

import orjson

from tailrace import App, Record
from tailrace.streams.kinesis.aggregation import UserRecord, put_entry
from tailrace.streams.kinesis.destination import encode, partition_key
from tailrace.streams.record import ChangeRecord
from tailrace.testing import World
from tests.museum.reader import Place, Reader, Shard
from tests.museum.stage import Stage

STREAM: Final = "orders-changes"
ARN: Final = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
FIRST_SHARD: Final = "shardId-000000000000"


class DataStage(Stage):
    """A table, its data stream, our handler."""

    def __init__(
        self, *, shards: int = 1, is_copied: bool = True, settings: dict[str, Any] | None = None
    ) -> None:
        super().__init__(settings=settings)
        self.kinesis = self.world.client("kinesis")
        self.kinesis.create_stream(StreamName=STREAM, ShardCount=shards)
        if is_copied:
            self.enable()

    def source(self) -> Any:
        return self.app.kinesis(STREAM, disorder="10s").of(self.orders)

    def enable(self) -> None:
        """Copy the table's changes from now on."""
        self.world.client("dynamodb").enable_kinesis_streaming_destination(TableName="orders", StreamArn=ARN)
        self.world.advance("1s")

    def disable(self) -> None:
        """Copy them no more."""
        self.world.client("dynamodb").disable_kinesis_streaming_destination(TableName="orders", StreamArn=ARN)
        self.world.advance("1s")

    def put(self, *items: str) -> None:
        super().put(*items)
        self.world.advance("1s")  # they are copied a moment later

    # ---- a delivery by hand --------------------------------------------------------------------------------

    def changes(self) -> list[ChangeRecord]:
        """Every change of the table, in the order in which it was written."""
        engine = self.world.engine
        shards = engine.shards_of(engine.stream_of("orders").arn)
        records = [record for shard in shards for record in engine.log.read(shard, 0, 1_000).records]
        return sorted(records, key=lambda record: record.sequence)

    def tell(self, *records: ChangeRecord) -> None:
        """Put changes into the data stream as DynamoDB does, in this order."""
        for record in records:
            self.kinesis.put_record(
                StreamName=STREAM,
                Data=encode(record, "orders", "us-east-1"),
                PartitionKey=partition_key(record.key),
            )

    # ---- shards --------------------------------------------------------------------------------------------

    def open_shards(self) -> list[Shard]:
        """The shards that take records, in the order of their hashes."""
        shards = self.kinesis.list_shards(StreamName=STREAM)["Shards"]
        return sorted(
            (shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]),
            key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]),
        )

    def split(self) -> None:
        """Every open shard in its middle."""
        for shard in self.open_shards():
            first, last = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
            self.kinesis.split_shard(
                StreamName=STREAM,
                ShardToSplit=shard["ShardId"],
                NewStartingHashKey=str((first + last) // 2 + 1),
            )

    def merge(self) -> None:
        """Open shards by twos."""
        shards = [shard["ShardId"] for shard in self.open_shards()]
        for one, other in zip(shards[::2], shards[1::2], strict=True):
            self.kinesis.merge_shards(StreamName=STREAM, ShardToMerge=one, AdjacentShardToMerge=other)


class ClicksStage:
    """The plain data stream `clicks`, and our handler, which takes a minute for a user record."""

    def __init__(self) -> None:
        app = App("museum")
        clicks = app.data_stream("clicks")
        self.ours: list[bytes] = []

        @app.on(clicks)
        async def handle(record: Record) -> None:
            for user in record.user_records:
                await asyncio.sleep(60)
                self.ours.append(user.data)

        self.world = World(app, seed=1)
        self.kinesis = self.world.client("kinesis")

    def put_aggregate(self, *texts: bytes) -> None:
        """Put user records as the Producer Library does."""
        entry = put_entry([UserRecord(f"user {text!r}", text) for text in texts])
        self.kinesis.put_record(
            StreamName="clicks",
            Data=entry.data,
            PartitionKey=entry.partition_key,
            ExplicitHashKey=entry.explicit_hash_key,
        )


class DataReader(Reader):
    """A plain reader of a data stream."""

    stage: DataStage

    @property
    def client(self) -> Any:
        return self.stage.kinesis

    def listing(self) -> list[Shard]:
        shards: list[Shard] = self.client.list_shards(StreamName=STREAM)["Shards"]
        return shards

    def may_begin(self, shard: Shard, listed: set[str]) -> bool:
        """A child comes after both of its parents, unless they are gone."""
        return all(
            parent not in listed or (parent in self.places and self.places[parent].is_finished)
            for parent in self.parents_of(shard)
        )

    def parents_of(self, shard: Shard) -> list[str]:
        """The shards that it continues: two of them after a merge."""
        return [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]

    def iterator_of(self, shard_id: str, place: Place) -> str:
        start: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if place.after is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": place.after}
        iterator: str = self.client.get_shard_iterator(StreamName=STREAM, ShardId=shard_id, **start)[
            "ShardIterator"
        ]
        return iterator

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        for record in records:
            self.sink(orjson.loads(record["Data"]))
            place.after = record["SequenceNumber"]
