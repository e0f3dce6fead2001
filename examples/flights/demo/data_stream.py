"""The way of `tailrace demo --kinesis`: DynamoDB copies the flights' changes into a data stream, some late
and some twice, and the handlers read it there.

Theory of operation: what came twice and what was overtaken is counted from outside, by a reader of the data
stream that knows nothing of its faults: an event id it has read before came again, and a first one with an
earlier time than one read before was overtaken. The clock goes in small steps, so that times tell.
Rules of this file: what is asked of the node, and what is counted. Called by `replaying`.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from .writing import Client

STREAM: Final = "flights-changes"
SHARDS: Final = 2
RATE: Final = 0.1
STEP_MINUTES: Final = 5
"""How far time moves at once: less than what is late, so that times tell."""
LATE_MINUTES: Final = 15
"""How late a change comes at most, and how long after it the same one comes again."""
DISORDER_MINUTES: Final = 60
"""For how long handlers wait for a change that is missing: a repeat of one that was late is younger."""
PAGE: Final = 1_000
KEPT_HOURS: Final = 8_760
"""The longest retention: nothing leaves the data stream before it is counted."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What happened on the way. Shape: `records` = `changes` + `twice`; `late` are of the changes."""

    records: int
    changes: int
    twice: int
    late: int

    def __str__(self) -> str:
        return (
            f"{self.records:,} records in the data stream for {self.changes:,} changes: {self.twice:,} came "
            f"twice, {self.late:,} late, behind later ones"
        )

    def lack(self, writes: int) -> list[str]:
        """What is wrong with it: a change that is not there or not one of the writes, or no fault at all."""
        wrong = []
        if self.changes != writes:
            wrong.append(f"data stream: {self.changes:,} changes came, {writes:,} were written")
        if not self.twice:
            wrong.append("data stream: nothing came twice, although it was to")
        if not self.late:
            wrong.append("data stream: nothing came late, although it was to")
        return wrong


def option(seed: int) -> tuple[str, str]:
    """What `tailrace dev` is told."""
    return "--kinesis-faults", f"{RATE}:{LATE_MINUTES}m:{seed}"


async def lay(client: Client) -> None:
    """Give the data stream, which `tailrace dev` has made of the app, its shards and a longer memory. Raises:
    OSError; DemoFailure.
    """
    shards = {"StreamName": STREAM, "TargetShardCount": SHARDS, "ScalingType": "UNIFORM_SCALING"}
    await client.kinesis("UpdateShardCount", shards)
    await client.kinesis(
        "IncreaseStreamRetentionPeriod", {"StreamName": STREAM, "RetentionPeriodHours": KEPT_HOURS}
    )


async def read(client: Client) -> Faults:
    """Read the whole data stream, and count. Raises: OSError; DemoFailure."""
    shards = (await client.kinesis("ListShards", {"StreamName": STREAM}))["Shards"]
    return counted([await _records(client, shard["ShardId"]) for shard in shards])


async def _records(client: Client, shard: str) -> list[Any]:
    where = {"StreamName": STREAM, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = (await client.kinesis("GetShardIterator", where))["ShardIterator"]
    records: list[Any] = []
    while True:
        page = await client.kinesis("GetRecords", {"ShardIterator": iterator, "Limit": PAGE})
        records += [orjson.loads(base64.b64decode(record["Data"])) for record in page["Records"]]
        iterator = page["NextShardIterator"]
        if iterator is None or not (page["Records"] or page["MillisBehindLatest"]):
            return records


def counted(shards: Iterable[Iterable[Mapping[str, Any]]]) -> Faults:
    """What came twice and what late, of the records of each shard in their order."""
    times: Counter[str] = Counter()
    late = 0
    for records in shards:
        newest = 0
        for record in records:
            created = int(record["dynamodb"]["ApproximateCreationDateTime"])
            late += not times[record["eventID"]] and created < newest
            times[record["eventID"]] += 1
            newest = max(newest, created)
    return Faults(times.total(), len(times), times.total() - len(times), late)
