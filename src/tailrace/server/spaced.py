"""Looks at rows that are asked for more often than their number bears: a scrape comes every few seconds and a
probe, too, and a fleet has a row for each of ten thousand shards and each handler.

Theory of operation: how soon a look is repeated goes by how many rows the last one read, so that on average a
second costs a hundred rows, whatever asks and however often; in between the answer is the last one. With few
shards that is at once. At AWS a hundred rows a second are some twelve read units.
Rules of this file: what is read is told by who asks; an error is not kept. Used by fleet.py and signs.py.
Stands alone because it knows no rows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from tailrace.ports import Clock

T = TypeVar("T")
ROWS_PER_S: Final = 100


def rest_ms(rows: int) -> int:
    """How long a look that has read so many rows is good for.

    >>> rest_ms(1), rest_ms(500), rest_ms(10_000)
    (10, 5000, 100000)
    """
    return rows * 1_000 // ROWS_PER_S


class SpacedLook(Generic[T]):
    """One look. Those who ask while it is made wait for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: tuple[int, T] | None = None
        """Until when it is good, and what it said."""
        self._looking = asyncio.Lock()

    async def look(self, read: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        """What was read last, or is read now. Shape: `read` gives what the rows say, and how many they were.
        Raises: what it raises.
        """
        async with self._looking:
            if self._last is None or self._clock.now().monotonic_ms >= self._last[0]:
                answer, rows = await read()
                self._last = self._clock.now().monotonic_ms + rest_ms(rows), answer
            return self._last[1]
