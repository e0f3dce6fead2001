"""The items of a table of the engine in this process, a page at a time, each with the exact position it was read at.

Rules of this file: a page is read between two commits, so that no change is half in it; it is handed out when all of it is durable. Made by
compose.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tailrace.engine.engine import Engine
from tailrace.engine.query import ScanRequest
from tailrace.errors import ApiError, SourceError
from tailrace.projections.run.projector import ItemsPage


class EmbeddedItems:
    """A `TableItems` over an engine."""

    def __init__(self, engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._flushed = flushed

    async def page(self, table: str, after: Mapping[str, Any] | None, limit: int) -> ItemsPage:
        """The next items. Raises: SourceError when there is no such table, StoreError."""
        try:
            schema = self._engine.schema(table)
            found = self._engine.scan(
                ScanRequest(table, limit=limit, start=None if after is None else dict(after))
            )
        except ApiError as error:
            raise SourceError(f"table {table!r}: {error.message}") from error
        position = self._engine.last_sequence
        if self._engine.committer.is_dirty:
            await self._flushed()
        items = []
        for image in found.decoded():
            keys = {name: image[name] for name in schema.key_names}
            items.append((schema.locate_key(keys).key_bytes.hex(), keys, image))
        return ItemsPage(items, position, found.last_key)
