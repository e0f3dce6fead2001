"""Rows of state in pages.

Rules of this file: a page is in memory at once, and between two pages every other task of this loop has
its turn; what is written meanwhile may be among the rows or not. Called by every view of many rows.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from tailrace.ports import StateStore
from tailrace.rows.writes import StateRow

ROWS: Final = 500


async def pages(state: StateStore, prefix: str, size: int = ROWS) -> AsyncIterator[list[StateRow]]:
    """Every row whose key starts with the prefix, in key order, at most `size` at a time."""
    after = ""
    while page := await state.query(prefix, after=after, limit=size):
        yield page
        if len(page) < size:
            return
        after = page[-1].key
        await asyncio.sleep(0)


async def rows(state: StateStore, prefix: str, size: int = ROWS) -> AsyncIterator[StateRow]:
    """The same one by one, so many in memory at once."""
    async for page in pages(state, prefix, size):
        for row in page:
            yield row
