"""Work beside the requests: trimming, rolling over, removing what expired, filling new indexes, copying
changes into data streams.

Rules of this file: the engine says what is to be done, in slices; each slice is made durable before the next.
What fails is tried again by the next round, and nothing of it ends a round for good. Run by node.py and the
test world.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

from tailrace.engine.engine import Engine
from tailrace.errors import StoreError
from tailrace.runtime.waiting import until_news

HOUSEKEEPING_MS: Final = 5_000

_log: Final = logging.getLogger("tailrace.housekeeping")


async def housekeep(
    engine: Engine, flushed: Callable[[], Awaitable[None]], every_ms: int = HOUSEKEEPING_MS
) -> None:
    """Trim, roll over and remove, now and then, in slices; until it is cancelled."""
    clock = engine.clock
    logged = ""
    while True:
        words = await _go_through(engine, engine.housekeeping(), flushed)
        if words and words != logged:
            _log.error(
                "housekeeping could not read everything, and tries again every %d s: %s",
                every_ms // 1_000,
                words,
            )
        logged = words
        await clock.sleep_until(clock.now().monotonic_ms + every_ms)


async def fill_indexes(engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
    """Fill new indexes at once, and those that an earlier process began; until it is cancelled."""
    work = asyncio.Event()
    work.set()
    engine.on_index_work(work.set)
    while True:
        await work.wait()
        work.clear()
        await _go_through(engine, engine.fill_indexes(), flushed)  # housekeeping goes on where it stopped


async def replicate(engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
    """Copy changes of tables into the data streams that they are to go to, as soon as they are durable; until
    it is cancelled.
    """
    deliveries, work = engine.destinations.deliveries, asyncio.Event()
    work.set()
    deliveries.on_work = work.set
    while True:
        await until_news(engine.clock, work, deliveries.next_ms)
        work.clear()
        await _go_through(engine, deliveries.slices(), flushed)  # housekeeping says what cannot be read


async def _go_through(engine: Engine, slices: Iterator[None], flushed: Callable[[], Awaitable[None]]) -> str:
    """Make each slice durable. Returns: what could not be read."""
    try:
        for _ in slices:
            if engine.committer.is_dirty:
                with suppress(StoreError):  # readiness and the log say so; the next round tries again
                    await flushed()
            await asyncio.sleep(0)
    except StoreError as error:
        return str(error)
    return ""
