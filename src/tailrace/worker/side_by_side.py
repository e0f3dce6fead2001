"""Beginning many shards at once: a worker that starts has thousands, and a journey to the state for each of a
dozen rows would take it minutes, one shard after the other.

Theory of operation: so many runners as there may be at once take shards from one list. The mappings of one
shard begin one after the other, for the first takes the lease that all of them share. What must be finished
before a shard begins was seen to before it came into the list, so that no shard here waits for another.
A few begin one after the other, in the order of the list: they take no time, and a world plays alike.
Rules of this file: it decides nothing about shards; what beginning one raises goes through. Called by
worker/worker.py. Stands alone because it knows nothing of what it begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

from tailrace.worker.following import Ready

AT_ONCE: Final = 16
"""Shards that begin beside each other: as many calls are under way in the state, which has other workers."""

FEW: Final = 8
"""So many shards begin one after the other."""


async def begin_side_by_side(ready: Iterable[Ready], begin: Callable[[Ready], Awaitable[None]]) -> None:
    """Begin all of them. Raises: what `begin` raises; of several at once a group of that."""
    places: dict[tuple[str, str], list[Ready]] = {}
    for new in ready:
        places.setdefault(new.shard.place, []).append(new)
    waiting = iter(places.values())
    if len(places) <= FEW:
        await _take(waiting, begin)
        return
    async with asyncio.TaskGroup() as runners:
        for _ in range(min(len(places), AT_ONCE)):
            runners.create_task(_take(waiting, begin))


async def _take(waiting: Iterator[list[Ready]], begin: Callable[[Ready], Awaitable[None]]) -> None:
    for mappings in waiting:
        for new in mappings:
            await begin(new)
