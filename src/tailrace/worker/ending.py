"""Ending what runs, within a bound: what does not end is told by name and left behind.

Theory of operation: a worker drains; what has not ended when the time is up is cancelled, and what is
cancelled and goes on all the same (an `async def` handler that catches its cancellation, a thread) is
abandoned. Its changes are not settled, so that the next start delivers them again.
Rules of this file: nothing here waits longer than it was told, but for a moment of grace. Called by
`compose` and server/node.py.
"""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from tailrace.runtime.threads import at_work

if TYPE_CHECKING:
    from tailrace.runtime.driver import Driver
    from tailrace.worker.worker import Worker

DRAIN_S: Final = 30.0
GRACE_S: Final = 1.0
"""What is cancelled may take so long to clean up."""
LOOK_S: Final = 0.01
NAMED: Final = 3
"""So many items of a handler are named, the others counted."""


async def end_within(work: Coroutine[Any, Any, object], seconds: float) -> bool:
    """Whether it ended in time; else it is cancelled. Raises: what it raises."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        await _cancel(task)
        return False
    task.result()
    return True


async def end_worker(
    worker: "Worker", working: "asyncio.Task[None]", seconds: float, why: str | None = None
) -> list[str]:
    """Drain a worker. Returns: what was left, in words; nothing when all of it ended. Raises: what the worker
    raises.

    Shape:   `why` says why nothing can be saved, None when it can.
    """
    worker.stop()
    await asyncio.wait({working}, timeout=seconds)
    if working.done():
        working.result()
        return []
    left = [words for driver in worker.drivers if (words := left_of(driver, why))]
    await _cancel(working)
    return left or [
        "what runs beside the handlers (destinations, windows, projections, clean-up) did not end"
    ]


def left_of(driver: "Driver", why: str | None) -> str:
    """What one handler has not ended in one shard, in words."""
    from tailrace.runtime.recursion import (
        shown,
    )  # a server without an app needs nothing of it, and starts faster

    name = f"{driver.name} in {driver.shard.shard_id}"
    records = [record for batch in driver.under_way for record in batch.records]
    if not records:
        if not driver.under_way:
            return f"{name}: its checkpoint is not saved" + (f": {why}" if why else "")
        return f"{name} is still at work"
    items = list(dict.fromkeys(f"{driver.table}/{shown(record)}" for record in records))
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return f"{name} is still at work on {', '.join(items[:NAMED])}{more}"


async def still_at_work() -> list[str]:
    """The threads that still do something after a moment of grace, in words."""
    loop = asyncio.get_running_loop()
    due = loop.time() + GRACE_S
    while (names := at_work()) and loop.time() < due:
        await asyncio.sleep(LOOK_S)
    return [f"threads of {name} are still at work" for name in names]


async def _cancel(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_S)
    if task.done() and not task.cancelled():
        task.exception()  # seen: it ended in the middle, and whatever that led to is no news
