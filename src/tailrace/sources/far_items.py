"""A table's items at another `tailrace serve`, page by page, each with the exact position that it is as of.

Theory of operation: the server tells the position in a header of its own (streams/positions.py), and only it
does: AWS and Alternator answer a Scan as they always do, and then it is not known which changes are in it. A
number of the header is one of the stream's, so a page and a record are compared as two records are.
Rules of this file: it never sleeps and never tries again; errors are SourceError. Made by compose_fleet.py.
Source: growth §3.1; docs/formats/tokens.md.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.request import urlopen

from tailrace.app.table import Table, schema_of
from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.errors import SourceError
from tailrace.ports import ItemsPage
from tailrace.sources.dialects import TAILRACE
from tailrace.sources.dynamodb_streams import source_error
from tailrace.streams.positions import POSITION_HEADER, WANTED, read_position
from tailrace.values.wire import read_item

METRICS: Final = "/metrics"
OURS: Final = re.compile(rb'^tailrace_build_info\{version="([^"\\]*)"\}', re.MULTILINE)
LOOK_S: Final = 60.0


class NoPosition(SourceError):
    """A page was answered without saying as of which position it is."""


class FarItems:
    """The `TableItems` port over HTTP. Shape: `tables` are those that may be asked for."""

    def __init__(self, access: Access, tables: Iterable[Table]) -> None:
        self._access = access
        self._schemas = {table.name: schema_of(table) for table in tables}

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items. Raises: NoPosition, SourceError."""
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
        if value is None:
            raise NoPosition(f"table {table!r} was scanned, and no position was told")
        schema = self._schemas[table]
        items = []
        for raw in answer["Items"]:
            image = read_item(raw)
            keys = {name: image[name] for name in schema.key_names}
            items.append((schema.locate_key(keys).key_bytes.hex(), keys, image))
        return ItemsPage(items, TAILRACE.number(read_position(value)), answer.get("LastEvaluatedKey"))


async def served_version(access: Access) -> str | None:
    """The version of the `tailrace serve` at an endpoint, as its metrics say it; None: it is none, or does
    not answer there.
    """
    if access.endpoint_url is None:
        return None
    return await asyncio.to_thread(_version_at, access.endpoint_url.rstrip("/") + METRICS)


def _version_at(url: str) -> str | None:
    try:
        with urlopen(url, timeout=LOOK_S) as answer:
            said = OURS.search(answer.read())
    except (OSError, ValueError):  # whatever is there, it does not say that it is one
        return None
    return None if said is None else said[1].decode()
