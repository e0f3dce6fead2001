"""Tables at an endpoint of DynamoDB's API as snapshots read them: consistent pages, with what they used.

Theory of operation: another `tailrace serve` tells with each page as of which position it is
(streams/positions.py); AWS and Alternator answer as they always do, and a page then has none. Reads are
consistent, so an item is in a page as it was while the page was read.
Rules of this file: it never sleeps and never tries again; errors are SourceError. Made by compose_fleet.py.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from tailrace.app.table import Table, schema_of
from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.snapshots.core.pages import Piece, ScannedItem, ScannedPage
from tailrace.sources.dialects import TAILRACE
from tailrace.sources.dynamodb_streams import source_error
from tailrace.sources.embedded_scan import partition_bounds, scanned
from tailrace.streams.positions import POSITION_HEADER, WANTED, read_position
from tailrace.values.wire import dump_item, read_item

SERVICE: Final = "dynamodb"
MEGABYTE: Final = 1 << 20


class FarScan:
    """A `TableScan` over HTTP. Shape: `tables` are those that may be asked for."""

    def __init__(self, access: Access, tables: Iterable[Table]) -> None:
        self._access = access
        self._schemas = {table.name: schema_of(table) for table in tables}

    async def page(
        self, table: str, piece: Piece, after: Mapping[str, Any] | None, limit: int | None = None
    ) -> ScannedPage:
        """The next items; a page of DynamoDB's has a megabyte."""
        members: dict[str, Any] = {
            "TableName": table,
            "ConsistentRead": True,
            "ReturnConsumedCapacity": "TOTAL",
        }
        schema, operation = self._schemas[table], "scan"
        if limit is not None:
            members["Limit"] = limit
        if after is not None:
            members["ExclusiveStartKey"] = dict(after)
        if piece.segment is not None:
            members["Segment"], members["TotalSegments"] = piece.segment
        names: dict[str, Any] = {}
        values: dict[str, Any] = {}
        if piece.filter is not None:
            members["FilterExpression"] = piece.filter.expression
            names |= orjson.loads(piece.filter.names or "{}")
            values |= orjson.loads(piece.filter.values or "{}")
        if piece.partition:
            operation = "query"
            names["#tailrace_pk"] = schema.hash_name
            values[":tailrace_pk"] = orjson.loads(piece.partition)
            members["KeyConditionExpression"] = "#tailrace_pk = :tailrace_pk"
        members |= {"ExpressionAttributeNames": names} if names else {}
        members |= {"ExpressionAttributeValues": values} if values else {}
        try:
            answer, headers = await client.answer_of(
                self._access, SERVICE, operation, members, {POSITION_HEADER: WANTED}
            )
        except AwsError as error:
            raise source_error(error) from error
        value = headers.get(POSITION_HEADER)
        return ScannedPage(
            [scanned(schema, read_item(raw)) for raw in answer["Items"]],
            None if value is None else TAILRACE.number(read_position(value)),
            answer.get("LastEvaluatedKey"),
            float(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)),
        )

    async def item(self, table: str, key: bytes) -> ScannedItem:
        """One item by its key bytes."""
        schema = self._schemas[table]
        keys = schema.read_key(key)
        members = {"TableName": table, "Key": orjson.loads(dump_item(keys)), "ConsistentRead": True}
        answer = await self._call("get_item", members)
        image = None if "Item" not in answer else read_item(answer["Item"])
        return ScannedItem(key, schema.partition(keys), keys, image)

    def bounds(self, table: str, partition: str) -> tuple[bytes, bytes]:
        """Between which keys the items of a partition are."""
        return partition_bounds(self._schemas[table], partition)

    async def estimate(self, table: str) -> tuple[int, int]:
        """About how many items, and bytes, there are."""
        described = await self._described(table)
        return int(described.get("ItemCount", 0)), int(described.get("TableSizeBytes", 0))

    async def identity(self, table: str) -> str:
        """The table's id."""
        return str((await self._described(table)).get("TableId", ""))

    async def _described(self, table: str) -> Mapping[str, Any]:
        answer = await self._call("describe_table", {"TableName": table})
        described: Mapping[str, Any] = answer["Table"]
        return described

    async def _call(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await client.call(self._access, SERVICE, operation, members)
        except AwsError as error:
            raise source_error(error) from error
