"""What goes on beside the requests: trimming, rolling over and removing now and then, and filling new indexes.

Rules of this file: the engine says what is to be done, in slices; each slice is made durable before the next. Run by `compose.Node` and the test world.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from tailrace.engine.engine import Engine
from tailrace.errors import StoreError

HOUSEKEEPING_MS: Final = 5_000


async def housekeep(
    engine: Engine, flushed: Callable[[], Awaitable[None]], every_ms: int = HOUSEKEEPING_MS
) -> None:
    """Trim, roll over and remove, now and then, in slices; until it is cancelled."""
    clock = engine.clock
    while True:
        for _ in engine.housekeeping():
            if engine.committer.is_dirty:
                with suppress(StoreError):  # readiness and the log say so; the next round tries again
                    await flushed()
            await asyncio.sleep(0)
        await clock.sleep_until(clock.now().monotonic_ms + every_ms)


async def fill_indexes(engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
    """Fill new indexes as soon as there are some, and those that an earlier process began; until it is cancelled."""
    work = asyncio.Event()
    work.set()
    engine.on_index_work(work.set)
    while True:
        await work.wait()
        work.clear()
        for _ in engine.fill_indexes():
            with suppress(
                StoreError
            ):  # readiness and the log say so; housekeeping goes on where the last slice held
                await flushed()
            await asyncio.sleep(0)
