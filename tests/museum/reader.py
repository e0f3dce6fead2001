"""A plain reader of a stream, as every connector has one: list the shards, hold an iterator
for each, remember positions.

Rules of this file: as small as a reader can be that makes none of the mistakes. An exhibit replaces one
method of it by the mistake of a peer; that the rest is not to blame is shown by this reader itself, which
passes the scenarios of its exhibits. It gives no guarantee under crashes but at-least-once.
"""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.museum.stage import Stage

PAGE = 10
Shard = dict[str, Any]


@dataclass(slots=True)
class Place:
    """Where a reader is in a shard. Shape: the iterator is lost in a crash, the rest is not."""

    after: str | None = None
    is_finished: bool = False
    iterator: str | None = None


class Reader:
    """Reads the stream of the stage's table."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.places: dict[str, Place] = {}
        self.delivered: list[str] = []

    def poll(self) -> None:
        """Look for shards and read what there is."""
        self.discover()
        for shard_id, place in list(self.places.items()):
            if not place.is_finished:
                self.read(shard_id, place)

    @property
    def client(self) -> Any:
        """A client of the streams API."""
        return self.stage.world.client("dynamodbstreams")

    def crash(self) -> None:
        """The process dies; what is durable stays."""
        for place in self.places.values():
            place.iterator = None

    # ---- shards --------------------------------------------------------------------------------------------

    @property
    def arn(self) -> str:
        """The stream that is on."""
        return self.stage.world.engine.stream_of("orders").arn

    def listing(self) -> list[Shard]:
        """Every shard, page by page."""
        shards: list[Shard] = []
        start: dict[str, str] = {}
        while True:
            page = self.client.describe_stream(StreamArn=self.arn, **start)["StreamDescription"]
            shards += page["Shards"]
            if "LastEvaluatedShardId" not in page:
                return shards
            start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}

    def discover(self) -> None:
        """Begin with every shard that may be begun."""
        shards = self.listing()
        listed = {shard["ShardId"] for shard in shards}
        for shard in shards:
            if shard["ShardId"] not in self.places and self.may_begin(shard, listed):
                self.places[shard["ShardId"]] = Place()

    def may_begin(self, shard: Shard, listed: set[str]) -> bool:
        """A child comes after its parent, unless that is gone."""
        parent = shard.get("ParentShardId")
        return parent not in listed or (parent in self.places and self.places[parent].is_finished)

    # ---- records -------------------------------------------------------------------------------------------

    def read(self, shard_id: str, place: Place) -> None:
        """Read a shard until nothing comes."""
        try:
            iterator: str | None = place.iterator or self.iterator_of(shard_id, place)
            while iterator is not None:
                answer = self.client.get_records(ShardIterator=iterator, Limit=PAGE)
                self.deliver(place, answer["Records"])
                iterator = answer.get("NextShardIterator")
                if not answer["Records"]:
                    break
            place.iterator, place.is_finished = iterator, iterator is None
        except ClientError as error:
            self.failed(shard_id, place, error.response["Error"]["Code"])

    def iterator_of(self, shard_id: str, place: Place) -> str:
        """A fresh iterator at a place."""
        start: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if place.after is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": place.after}
        iterator: str = self.client.get_shard_iterator(StreamArn=self.arn, ShardId=shard_id, **start)[
            "ShardIterator"
        ]
        return iterator

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        """An expired iterator is replaced; what is trimmed is passed over; a shard that
        is gone is finished.
        """
        place.iterator = None
        match code:
            case "ResourceNotFoundException":
                place.is_finished = True
            case "TrimmedDataAccessException":
                place.after = None

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        """Hand over, then remember."""
        for record in records:
            self.sink(record)
            place.after = record["dynamodb"]["SequenceNumber"]

    def sink(self, record: dict[str, Any]) -> None:
        """Where the records go."""
        self.delivered.append(name_of(record))


class PageAPoll(Reader):
    """A plain reader that reads one page of every shard, in turn."""

    def read(self, shard_id: str, place: Place) -> None:
        answer = self.client.get_records(
            ShardIterator=place.iterator or self.iterator_of(shard_id, place), Limit=PAGE
        )
        self.deliver(place, answer["Records"])
        place.iterator = answer.get("NextShardIterator")
        place.is_finished = place.iterator is None


def name_of(record: dict[str, Any]) -> str:
    """The name of a change: its item and its count."""
    body = record["dynamodb"]
    image = body.get("NewImage") or body["OldImage"]
    return f"{body['Keys']['id']['S']}{image['n']['N']}"
