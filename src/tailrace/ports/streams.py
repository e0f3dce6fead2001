"""What is read: streams, their shards and records, and the items of tables.

Rules of this file: as of all ports (ports/__init__.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from tailrace.streams.record import ReadDone, ViewType
from tailrace.streams.shards import Shard
from tailrace.streams.version import FIRST_GENERATION
from tailrace.values.types import Item


class StreamRef(Struct, frozen=True):
    """The stream that records come from, as envelopes name it. Shape: `is_of_deleted` means that its table is
    gone, whatever has its name now; `generation` is its number among the table's sources
    (leases/generation.py).
    """

    arn: str
    table: str
    label: str
    view_type: ViewType
    region: str = "us-east-1"
    is_of_deleted: bool = False
    generation: int = FIRST_GENERATION


class Source(Protocol):
    """What one stream is read from. Raises: SourceError."""

    async def stream(self) -> StreamRef:
        """The stream's names. Raises: SourceError when there is none."""

    async def earlier(self) -> list[StreamRef]:
        """Streams of the same table, and of deleted ones of its name, that have ended and can still be read,
        the oldest first. Repeatable.
        """

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents before children; of the present stream unless told.
        Repeatable.

        Guarantee: each names its stream and its parents; a shard is listed no longer than those that descend
                   from it.
        """

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records with sequence > after, in order. A shard that is gone is closed; `trimmed` where something
        after the position is gone. May wait until there is one or the shard closes; cancellable.

        Off by one: `after` is the last record that is *already* settled, 0 for the oldest. Repeatable. With
        limit 0 it never waits: no records, and `next_after` is `after`, or the last record that is gone where
        that is later.
        Raises: SourceError.
        """


class LogReader(Protocol):
    """Every stream that can be read here, as it is at this moment: what views and watermarks ask. Raises:
    SourceError, StoreError.

    Guarantee: no method waits for a change; only durable records are shown. Repeatable.
    """

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams, on or off, the oldest first: of a table, with those of deleted tables of its name; of all
        tables unless told.
        """

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream that can still be read, parents before children."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """At most `limit` records with sequence > after, in order: none where there are none. A page may hold
        fewer, and then others follow.
        """

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record was written that is not durable yet. Units: ms since the epoch; None: all of
        them are.
        """


class ItemsPage(Struct, frozen=True):
    """Items as they were when `position` was the last sequence number, None: it is not told. Shape: (key in
    hex, key, image), as records of the table's stream have them; `after` None at the end, else what the next
    page is asked with, which may be kept as JSON.
    """

    items: Sequence[tuple[str, Item, Item]]
    position: int | None
    after: Mapping[str, Any] | None


class TableItems(Protocol):
    """Where a table's items are read, with an exact position where it can be told."""

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items, at most `limit`, perhaps none before the end. Shape: `segment` (number, how many)
        of a parallel scan. Repeatable.

        Guarantee: a page with a position holds every change of the table with a number up to it, in whatever
                   shard, and none behind it, all durable; a later page has no lower one. Consistent reads.
        Raises: SourceError; StoreError.
        """
