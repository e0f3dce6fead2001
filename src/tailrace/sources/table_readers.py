"""A table as a comparison reads it: of this process's engine, or at another server, with what its reads use.

Rules of this file: every read is consistent; it never sleeps and never tries again; errors are SourceError.
Made by compose_worker.py and compose_fleet.py. Source: growth §4.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from tailrace.app.table import Table
from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.aws.prices import item_read_price
from tailrace.engine.engine import Engine
from tailrace.engine.query import ScanRequest
from tailrace.errors import ApiError, SourceError
from tailrace.sources.dynamodb_streams import source_error
from tailrace.tables.costs import TableSize
from tailrace.values.types import Item
from tailrace.values.wire import read_item
from tailrace.verification.run.reading import TablePage

MOST_KEYS: Final = 100
"""What one BatchGetItem takes."""


class EngineReader:
    """A table of an engine. What it answers is durable."""

    def __init__(self, engine: Engine, flushed: Callable[[], Awaitable[None]], table: str) -> None:
        self._engine = engine
        self._flushed = flushed
        self._table = table

    async def size(self) -> TableSize:
        """How large it is."""
        try:
            described = self._engine.describe_table(self._table)
        except ApiError as error:
            raise SourceError(f"table {self._table!r}: {error.message}") from error
        return TableSize(described.get("ItemCount", 0), described.get("TableSizeBytes", 0))

    async def page(
        self, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None
    ) -> TablePage:
        """The next items."""
        start = None if after is None else dict(after)
        try:
            page = self._engine.scan(ScanRequest(self._table, limit=limit, start=start, segment=segment))
        except ApiError as error:
            raise SourceError(f"table {self._table!r}: {error.message}") from error
        await self._settled()
        return TablePage(page.decoded(), page.last_key)

    async def items(self, keys: Sequence[Item]) -> Sequence[Item | None]:
        """The items of these keys."""
        try:
            images = [self._engine.get(self._table, key) for key in keys]
        except ApiError as error:
            raise SourceError(f"table {self._table!r}: {error.message}") from error
        await self._settled()
        return images

    async def _settled(self) -> None:
        if self._engine.committer.is_dirty:
            await self._flushed()


class FarReader:
    """A table at an endpoint, by Scan and BatchGetItem."""

    def __init__(self, access: Access, table: Table) -> None:
        self._access = access
        self._table = table.name
        self._names = (table.pk,) if table.sk is None else (table.pk, table.sk)

    async def size(self) -> TableSize:
        """How large it is, as of some hours ago at AWS."""
        answer = await self._call("describe_table", {"TableName": self._table})
        described = answer["Table"]
        return TableSize(
            described.get("ItemCount", 0),
            described.get("TableSizeBytes", 0),
            item_read_price(self._access.endpoint_url),
        )

    async def page(
        self, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None
    ) -> TablePage:
        """The next items."""
        members: dict[str, Any] = {
            "TableName": self._table,
            "Limit": limit,
            "ConsistentRead": True,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if after is not None:
            members["ExclusiveStartKey"] = dict(after)
        if segment is not None:
            members["Segment"], members["TotalSegments"] = segment
        answer = await self._call("scan", members)
        units = answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
        images = [read_item(raw) for raw in answer["Items"]]
        return TablePage(images, answer.get("LastEvaluatedKey"), float(units))

    async def items(self, keys: Sequence[Item]) -> Sequence[Item | None]:
        """The items of these keys."""
        there: dict[bytes, Item] = {}
        for start in range(0, len(keys), MOST_KEYS):
            left: Sequence[Any] = keys[start : start + MOST_KEYS]
            while left:
                request = {self._table: {"Keys": left, "ConsistentRead": True}}
                answer = await self._call("batch_get_item", {"RequestItems": request})
                some = answer.get("Responses", {}).get(self._table, [])
                asked, left = (
                    len(left),
                    answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", []),
                )
                if len(left) == asked:
                    raise SourceError(f"table {self._table!r} answers no read now: it is throttled")
                there |= {self._name(image): image for image in map(read_item, some)}
        return [there.get(self._name(key)) for key in keys]

    def _name(self, item: Item) -> bytes:
        return orjson.dumps([item[name] for name in self._names])

    async def _call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await client.call(self._access, "dynamodb", operation, members)
        except AwsError as error:
            raise source_error(error) from error
