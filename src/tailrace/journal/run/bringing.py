"""A table out of its journal, for sinks that are given it whole: beside exports, one more place where rows of
snapshots come from.

Theory of operation: the newest image of each item, and each deletion, has its own version in the journal, so
a sink that keeps versions may be given all of them at any time: what it has newer it keeps; what it has
older, has lost, or shows though it is gone, is corrected. What comes to the journal after a page was read
comes to the sink from the stream. The reading that gave a page is kept for the next one, for DuckDB folds all
of the table at its beginning.
Rules of this file: nothing is written. What the journal does not know refuses it, in words. Implements
snapshots/run/exporting.py; everything that is no journal goes to the exports. Made by `compose_parts`.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.app.table import Table, schema_of
from tailrace.errors import Refused, Unavailable
from tailrace.journal.run.feeding import FeedView, JournalFeed, OpenedFeed
from tailrace.projections.core.journaled import HistoryChange
from tailrace.snapshots.core.pages import ScannedItem, ScannedPage
from tailrace.snapshots.core.snapshot import JOURNAL
from tailrace.snapshots.run.exporting import ChosenExports, ExportedTables, WantedExports
from tailrace.tables.schema import TableSchema
from tailrace.values.canonical import size_bytes

PAGE: Final = 1_000
MOST_OPEN: Final = 4
"""Readings that are kept for the next page: of as many mappings at once."""


class _Opened(Struct, frozen=True):
    """A reading that goes on."""

    changes: AsyncGenerator[HistoryChange]
    ends: AsyncExitStack


class JournalsAsExports:
    """An `ExportedTables`. Shape: `tables` are those that may be asked for; `feed_of` has the journal of a
    table, None: the app keeps none. Units: page_items, the most items of a page.
    """

    def __init__(
        self,
        exports: ExportedTables,
        tables: Iterable[Table],
        feed_of: Callable[[str], JournalFeed | None],
        *,
        page_items: int = PAGE,
    ) -> None:
        self._exports = exports
        self._schemas = {table.name: schema_of(table) for table in tables}
        self._feed_of = feed_of
        self._page_items = page_items
        self._open: dict[tuple[str, str], _Opened] = {}

    async def choose(self, choice: WantedExports) -> ChosenExports:
        """The journal as it is now. Raises: Refused where it does not know everything; Unavailable."""
        if choice.place != JOURNAL:
            return await self._exports.choose(choice)
        async with self._feed(choice.table).opened() as feed:
            view = await feed.view()
            if view is None:
                raise Refused(
                    f"there is no journal of table {choice.table} yet",
                    hint="tailrace journal status PLACE says when there is",
                )
            if view.lacking:
                raise Refused(
                    f"the journal of table {choice.table} does not know everything: {view.lacking[0]}"
                )
            return ChosenExports((choice.table,), 0, await view.total(is_newest=True), view.size)

    async def files(self, place: str, exports: Sequence[str]) -> tuple[int, int]:
        """How many segments there are, and how many bytes. Raises: Refused, Unavailable."""
        if place != JOURNAL:
            return await self._exports.files(place, exports)
        async with self._feed(exports[0]).opened() as feed:
            view = await _viewed(feed, exports[0])
        return len(view.files), view.size

    async def page(
        self, table: str, place: str, exports: Sequence[str], after: Mapping[str, Any] | None
    ) -> ScannedPage:
        """The next items by key. Raises: Refused, Unavailable."""
        if place != JOURNAL:
            return await self._exports.page(table, place, exports, after)
        key = "" if after is None else str(after["key"])
        opened = self._open.pop((table, key), None) or await self._reading(table, bytes.fromhex(key))
        items: list[ScannedItem] = []
        async for change in opened.changes:
            items.append(_scanned(self._schemas[table], change))
            if len(items) >= self._page_items:
                last = items[-1].key.hex()
                await self._keep((table, last), opened)
                return ScannedPage(items, None, {"key": last})
        await opened.ends.aclose()
        return ScannedPage(items, None, None)

    async def _reading(self, table: str, after: bytes) -> _Opened:
        """The journal, read on behind a key."""
        ends = AsyncExitStack()
        try:
            feed = await ends.enter_async_context(self._feed(table).opened())
            view = await _viewed(feed, table)
            changes = view.changes(is_newest=True, first=_behind(after), end=None, without=frozenset())
            ends.push_async_callback(changes.aclose)
        except BaseException:  # whatever it was: what is open is given back before it goes on
            await ends.aclose()
            raise
        return _Opened(changes, ends)

    async def _keep(self, place: tuple[str, str], opened: _Opened) -> None:
        self._open[place] = opened
        while len(self._open) > MOST_OPEN:
            await self._open.pop(next(iter(self._open))).ends.aclose()

    def _feed(self, table: str) -> JournalFeed:
        feed = self._feed_of(table)
        if feed is None:
            raise Refused(
                f"table {table} has no journal",
                hint=f"app.archive({table}, 'history/') keeps one from now on",
            )
        return feed


async def _viewed(feed: OpenedFeed, table: str) -> FeedView:
    """A journal that was there. Raises: Unavailable."""
    view = await feed.view()
    if view is None:
        raise Unavailable(f"there is no journal of table {table} any more")
    return view


def _behind(key: bytes) -> bytes:
    """The first key that is larger: no other stands between a key and itself with a zero.

    >>> _behind(b""), _behind(b"k")
    (b'', b'k\\x00')
    """
    return key + b"\0" if key else key


def _scanned(schema: TableSchema, change: HistoryChange) -> ScannedItem:
    keys = schema.read_key(change.key)
    image = None if change.new is None else orjson.loads(change.new)
    size = 0 if image is None else size_bytes(image)
    partition = schema.partition(keys)
    return ScannedItem(change.key, partition, keys, image, size, version=change.version)
