"""A table's items at another server, page by page, each with the exact position that it is as of where it is
told, and by their keys.

Theory of operation: a `tailrace serve` tells the position in a header of its own (streams/positions.py), and
only it does: AWS and Alternator answer a Scan as they always do, and then it is not known which changes are
in it. A number of the header is one of the stream's, so a page and a record are compared as two records are.
Rules of this file: it never sleeps and never tries again; errors are SourceError. Made by compose_fleet.py.
Source: growth §3.1; docs/formats/tokens.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tailrace.app.table import Table, schema_of
from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.ports import ItemsPage
from tailrace.sources.dialects import TAILRACE
from tailrace.sources.dynamodb_streams import source_error
from tailrace.sources.table_readers import FarReader
from tailrace.streams.positions import POSITION_HEADER, WANTED, read_position
from tailrace.values.types import Item
from tailrace.values.wire import read_item


class FarItems:
    """The `TableItems` port over HTTP, and what projections read by keys. Shape: `tables` are those that may
    be asked for.
    """

    def __init__(self, access: Access, tables: Iterable[Table]) -> None:
        tables = list(tables)
        self._access = access
        self._readers = {table.name: FarReader(access, table) for table in tables}
        self._schemas = {table.name: schema_of(table) for table in tables}

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items. Raises: SourceError."""
        members: dict[str, Any] = {"TableName": table, "Limit": limit, "ConsistentRead": True}
        if after is not None:
            members["ExclusiveStartKey"] = dict(after)
        if segment is not None:
            members["Segment"], members["TotalSegments"] = segment
        try:
            answer, headers = await client.answer_of(
                self._access, "dynamodb", "scan", members, {POSITION_HEADER: WANTED}
            )
        except AwsError as error:
            raise source_error(error) from error
        value = headers.get(POSITION_HEADER)
        schema = self._schemas[table]
        items = []
        for raw in answer["Items"]:
            image = read_item(raw)
            keys = {name: image[name] for name in schema.key_names}
            items.append((schema.locate_key(keys).key_bytes.hex(), keys, image))
        position = None if value is None else TAILRACE.number(read_position(value))
        return ItemsPage(items, position, answer.get("LastEvaluatedKey"))

    async def tells_positions(self, table: str) -> bool:
        """Whether a page tells its position: one of one item is asked for. Raises: SourceError."""
        return (await self.page(table, None, 1)).position is not None

    async def items(self, table: str, keys: Sequence[Item]) -> Sequence[Item | None]:
        """The items of these keys, in their order, by consistent reads. Raises: SourceError."""
        return await self._readers[table].items(keys)
