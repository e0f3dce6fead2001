"""What bringing up builds asks of the rest of a worker: how far the mapping of a projection is, and the
table's items as they are now.

Rules of this file: protocols and values; it only asks. Made by compose_parts.py and
compose_fleet.py, called by builds.py, projector.py and verifying.py.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from tailrace.app.projection import Projection
from tailrace.ports import Clock
from tailrace.values.types import Item

BEGINNING_MS: Final = (10, 20, 40, 80, 160, 320)
"""When it is asked again whether a mapping has begun: at a start it does in a moment."""


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

    Shape:   `oldest` says the first change that a mapping has not settled, None when it has all; `has_begun`
             whether its start is durable in every shard, so that whatever it does not read afterwards is a
             gap, and told. Builds from pages without positions need `marks`; None: none is made here.
    """

    oldest: Callable[[Projection], Awaitable[int | None]]
    marks: Callable[[Projection], FollowingMarks] | None = None
    has_begun: Callable[[Projection], Awaitable[bool]] | None = None


async def is_begun(following: Following, projection: Projection, clock: Clock) -> bool:
    """Whether the mapping's start is durable, after a moment at most: before, what is trimmed unread would be
    missing in silence from a build whose page is older. Raises: SourceError, StoreError.
    """
    if following.has_begun is None:
        return True
    for wait_ms in BEGINNING_MS:
        if await following.has_begun(projection):
            return True
        await clock.sleep_until(clock.now().monotonic_ms + wait_ms)
    return await following.has_begun(projection)
