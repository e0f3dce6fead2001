"""The windows of a handler: what is open, what fails, and what a function was given up on.

Rules of this file: it only reads. What is open, came too late or fails now a worker says; lost windows are rows. Called by `status` and `dlq ls`.
"""

from collections.abc import AsyncIterator
from typing import Any

from tailrace.deadletters.lost_window import LostWindow, lost_window_prefix, read_lost_window
from tailrace.ports import StateStore
from tailrace.views.live import Live, windows_of
from tailrace.views.pages import rows


def windows_value(live: Live | None, handler: str) -> dict[str, Any] | None:
    """Panes with something still to tell, changes that came too late for any, and what fails when they are told; None without windows, or when it does not run."""
    windows = windows_of(live, handler)
    if windows is None:
        return None
    failing = windows.failing()
    told = (
        None
        if failing is None
        else dict(zip(("error", "since_ms", "last_ms", "windows"), failing, strict=True))
    )
    return {"open": windows.open, "late": windows.late, "failing": told}


async def lost_windows(state: StateStore, app: str, handler: str) -> AsyncIterator[LostWindow]:
    """The tumbling windows that a function was given up on in their final invoke, one in memory at a time: each may hold 1 MB of state."""
    async for row in rows(state, lost_window_prefix(app, handler), 1):
        yield read_lost_window(row.fields)


async def lost_window_count(state: StateStore, app: str, handler: str) -> int:
    """How many there are."""
    return await state.count(lost_window_prefix(app, handler))
