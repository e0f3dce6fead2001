"""What bringing up builds asks of the rest of a worker: how far the mapping of a projection is, and the
table's items as they are now.

Rules of this file: protocols and values; nothing is read here. Made by compose_parts.py and
compose_fleet.py, called by builds.py, projector.py and verifying.py.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from tailrace.app.projection import Projection
from tailrace.values.types import Item


class PresentItems(Protocol):
    """A table whose pages may tell no position. Raises: SourceError. Repeatable."""

    async def tells_positions(self, table: str) -> bool:
        """Whether its pages tell as of which position they are."""

    async def items(self, table: str, keys: Sequence[Item]) -> Sequence[Item | None]:
        """The items of these keys, in their order, by consistent reads; None: there is none."""


class FollowingMarks(Protocol):
    """How far a mapping is, by the times of the server that has its table. Units: ms since the epoch. Raises:
    SourceError, StoreError.
    """

    async def mark(self) -> int:
        """A mark behind everything that has been written."""

    async def has_passed(self, mark: int) -> bool:
        """Whether everything before the mark is settled."""


class Following(Struct, frozen=True):
    """How far the mappings of projections are.

    Shape:   `oldest` says the first change that a mapping has not settled, None when it has all. Builds from
             pages without positions need more: `marks`, and whether its start is durable in every shard, so
             that whatever it does not read afterwards is a gap, and told. None: no such build is made here.
    """

    oldest: Callable[[Projection], Awaitable[int | None]]
    marks: Callable[[Projection], FollowingMarks] | None = None
    has_begun: Callable[[Projection], Awaitable[bool]] | None = None
