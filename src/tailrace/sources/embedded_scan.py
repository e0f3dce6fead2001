"""The tables of this process's engine as snapshots read them: pages with exact positions.

Rules of this file: a page is read between two commits, and only what is durable is handed out, as in
embedded.py. Made by `compose_worker`.
Stands alone because a node without snapshots needs none of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from tailrace.engine.engine import Engine
from tailrace.engine.query import QueryRequest, ScanRequest
from tailrace.errors import ApiError, SourceError
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.keys import KeyCondition
from tailrace.expressions.placeholders import Placeholders
from tailrace.snapshots.core.pages import Piece, ScannedItem, ScannedPage
from tailrace.snapshots.core.snapshot import PartFilter
from tailrace.tables.schema import TableSchema
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import read_item

PAGE: Final = 500
"""Items of a page: reading them must not keep writers waiting."""


class EmbeddedScan:
    """A `TableScan` over an engine."""

    def __init__(self, engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._flushed = flushed

    async def page(
        self, table: str, piece: Piece, after: Mapping[str, Any] | None, limit: int | None = None
    ) -> ScannedPage:
        """The next items, with the exact position."""
        start, most = None if after is None else dict(after), limit or PAGE
        try:
            schema = self._engine.schema(table)
            taken = None if piece.filter is None else condition_of_filter(piece.filter)
            if piece.partition:
                condition = KeyCondition(orjson.loads(piece.partition))
                page = self._engine.query(QueryRequest(table, condition, taken, limit=most, start=start))
            else:
                request = ScanRequest(table, taken, limit=most, start=start, segment=piece.segment)
                page = self._engine.scan(request)
        except ApiError as error:
            raise SourceError(f"table {table!r}: {error.message}") from error
        position = self._engine.last_sequence
        items = [scanned(schema, image) for image in page.decoded()]
        if self._engine.committer.is_dirty:
            await self._flushed()
        return ScannedPage(items, position, page.last_key)

    async def item(self, table: str, key: bytes) -> ScannedItem:
        """One item by its key bytes."""
        try:
            schema = self._engine.schema(table)
            keys = schema.read_key(key)
            image = self._engine.get(table, keys)
        except ApiError as error:
            raise SourceError(f"table {table!r}: {error.message}") from error
        if self._engine.committer.is_dirty:
            await self._flushed()
        return ScannedItem(key, schema.partition(keys), keys, image)

    def bounds(self, table: str, partition: str) -> tuple[bytes, bytes]:
        """Between which keys the items of a partition are."""
        return partition_bounds(self._engine.schema(table), partition)

    async def estimate(self, table: str) -> tuple[int, int]:
        """How many items, and bytes, there are."""
        described = self._described(table)
        return described["ItemCount"], described["TableSizeBytes"]

    async def identity(self, table: str) -> str:
        """The table's id."""
        return str(self._described(table)["TableId"])

    def _described(self, table: str) -> Mapping[str, Any]:
        try:
            return self._engine.describe_table(table)
        except ApiError as error:
            raise SourceError(f"table {table!r}: {error.message}") from error


def condition_of_filter(chosen: PartFilter) -> Condition:
    """Which items a filter takes. Raises: ApiError in AWS's words."""
    names, values = orjson.loads(chosen.names or "{}"), read_item(orjson.loads(chosen.values or "{}"))
    placeholders = Placeholders(names, values)
    condition = parse_condition(chosen.expression, placeholders, kind="FilterExpression")
    placeholders.check_all_used()
    return condition


def scanned(schema: TableSchema, image: Item) -> ScannedItem:
    """An item as it was read."""
    target = schema.locate_item(image)
    return ScannedItem(target.key_bytes, target.partition, target.keys, image, size_bytes(image))


def partition_bounds(schema: TableSchema, partition: str) -> tuple[bytes, bytes]:
    """Between which keys the items of a partition are: its prefix, and what comes after all that have it."""
    prefix = schema.partition_prefix(orjson.loads(partition))
    return prefix, prefix[:-1] + bytes([prefix[-1] + 1])  # its terminator is not the largest byte
