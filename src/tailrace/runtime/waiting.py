"""Waiting for news or for a time, whichever comes first.

Rules of this file: stands alone because rounds of several rooms rest so.
"""

import asyncio

from tailrace.ports import Clock


async def until_news(clock: Clock, news: asyncio.Event, due_ms: int | None) -> None:
    """Wait until the event is set, or until a moment of the monotonic clock; None: for the event alone."""
    if due_ms is None:
        await news.wait()
        return
    asleep = asyncio.ensure_future(clock.sleep_until(due_ms))
    heard = asyncio.ensure_future(news.wait())
    try:
        await asyncio.wait({asleep, heard}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asleep.cancel()
        heard.cancel()
