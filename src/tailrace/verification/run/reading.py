"""What a comparison is given: a table to read, what says how far its mapping is, the mirror, what it would
write.

Theory of operation: a table is read as whoever owns it lets it be read: by pages of a scan, and by keys. How
far a mapping is is asked by a mark: whatever was written before the mark was taken is settled once the mark
has passed. Where positions are exact a mark is a sequence number; elsewhere it is the server's own time and
a margin, for a stream shows a write a moment later.
Rules of this file: protocols, values, and the two kinds of marks. Adapters are in sources/table_readers.py.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from msgspec import Struct

from tailrace.ports import Clock, Mirror, StateStore, StreamRef
from tailrace.runtime.preparing import Prepares
from tailrace.runtime.watermark import MappingName
from tailrace.tables.costs import TableSize
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

MARGIN_MS: Final = 3_000
"""How much later than its answer a write may stand in a stream, with times known to the second."""


class TablePage(Struct, frozen=True):
    """Images of a scan. Shape: `after` None at the end, else what the next page is asked with. Units: read
    units that the page has used, 0 where nothing is charged.
    """

    images: Sequence[Item]
    after: Mapping[str, Any] | None
    read_units: float = 0.0


class TableReader(Protocol):
    """A table as it is now. Every read is consistent. Raises: SourceError, StoreError. Repeatable."""

    async def size(self) -> TableSize:
        """About how large it is."""

    async def page(
        self, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None
    ) -> TablePage:
        """The next items of a segment (number, how many), or of the whole table; perhaps none."""

    async def items(self, keys: Sequence[Item]) -> Sequence[Item | None]:
        """The items of these keys, in their order; None: there is none."""


class MappingMarks(Protocol):
    """How far a mapping is. Raises: SourceError, StoreError."""

    async def mark(self) -> int:
        """A mark behind everything that has been written."""

    async def has_passed(self, mark: int) -> bool:
        """Whether everything before the mark is settled: handled, filtered, parked, given up."""


class ExactMarks(Struct, frozen=True):
    """Marks are sequence numbers. Shape: `oldest` says the first change that is not settled."""

    last: Callable[[], int]
    oldest: Callable[[], Awaitable[int | None]]

    async def mark(self) -> int:
        """The last number."""
        return self.last()

    async def has_passed(self, mark: int) -> bool:
        """Whether nothing up to it is open."""
        oldest = await self.oldest()
        return oldest is None or oldest > mark


class TimedMarks(Struct, frozen=True):
    """Marks are times of the server that has the table. Shape: `oldest_ms` says when the first change was
    created that is not settled, None when all are. Units: ms since the epoch.
    """

    server_ms: Callable[[], Awaitable[int]]
    oldest_ms: Callable[[], Awaitable[int | None]]

    async def mark(self) -> int:
        """A margin behind the server's present."""
        return await self.server_ms() + MARGIN_MS

    async def has_passed(self, mark: int) -> bool:
        """Whether the server's time has passed it, and after that no change up to it was open."""
        if await self.server_ms() <= mark:
            return False
        oldest_ms = await self.oldest_ms()
        return oldest_ms is None or oldest_ms > mark


class Compared(Struct, frozen=True):
    """A mirror and its table. Shape: the mirror is ready within `opened`; `is_kept`: it is given the whole
    table by itself.
    """

    name: MappingName
    schema: TableSchema
    stream: StreamRef
    mirror: Mirror
    prepares: Prepares
    opened: Callable[[], AbstractAsyncContextManager[None]]
    reader: TableReader
    marks: MappingMarks
    state: StateStore
    clock: Clock
    is_kept: bool = False
