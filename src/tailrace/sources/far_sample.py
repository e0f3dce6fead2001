"""A sample of a table at another server: items from all over the table, and what reading them cost.

Rules of this file: it reads and never writes. Segments are read side by side, each its share, so that a
sample is of the whole table and not of its first partitions. Reads are eventually consistent: half the price.
Stands alone because only the command line asks for one.
"""

import asyncio
from typing import Any, Final

from msgspec import Struct

from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.errors import TailraceError
from tailrace.sources.dynamodb_streams import source_error
from tailrace.values.types import Item
from tailrace.values.wire import read_item

SEGMENTS: Final = 8


class FarSample(Struct, frozen=True):
    """Items and what they cost.

    Shape:   `keys` are names and types of the key attributes, the partition key first. `count` is how many
             items the table has, as of some hours ago at AWS.
    Units:   `read_units` as DynamoDB charged them.
    """

    keys: list[tuple[str, str]]
    count: int
    items: list[Item]
    read_units: float


async def sample_table(access: Access, table: str, most: int) -> FarSample:
    """At most so many items. Raises: SourceError, TailraceError when there is no such table."""
    try:
        described = (await client.call(access, "dynamodb", "describe_table", {"TableName": table}))["Table"]
        segments = min(SEGMENTS, max(1, most))
        share = -(-most // segments)
        read = [_segment(access, table, (number, segments), share) for number in range(segments)]
        parts = await asyncio.gather(*read)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            where = access.endpoint_url or f"AWS in {access.region}"
            raise TailraceError(
                f"There is no table {table!r} at {where}.", hint="correct its name, --region or --endpoint"
            ) from error
        raise source_error(error) from error
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in described["AttributeDefinitions"]}
    keys = sorted(described["KeySchema"], key=lambda entry: entry["KeyType"] != "HASH")
    return FarSample(
        [(entry["AttributeName"], types[entry["AttributeName"]]) for entry in keys],
        described.get("ItemCount", 0),
        [item for items, _ in parts for item in items][:most],
        sum(units for _, units in parts),
    )


async def _segment(
    access: Access, table: str, segment: tuple[int, int], most: int
) -> tuple[list[Item], float]:
    items: list[Item] = []
    units, start = 0.0, None
    while len(items) < most:
        members: dict[str, Any] = {
            "TableName": table, "Limit": most - len(items), "ReturnConsumedCapacity": "TOTAL",
            "Segment": segment[0], "TotalSegments": segment[1],
        }  # fmt: skip
        if start is not None:
            members["ExclusiveStartKey"] = start
        answer = await client.call(access, "dynamodb", "scan", members)
        items += map(read_item, answer["Items"])
        units += answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
        start = answer.get("LastEvaluatedKey")
        if start is None:
            break
    return items, units
