"""The rows of a mapping in a state store: reading all of them, removing all of them.

Rules of this file: which rows those are is `rows.owned`'s word. Called by projector.py.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from tailrace.ports import StateStore
from tailrace.rows.owned import Place, places
from tailrace.rows.writes import StateRow, Write

SLICE: Final = 50


async def rows_of_mapping(
    state: StateStore, app: str, mapping_id: str
) -> AsyncIterator[tuple[Place, StateRow]]:
    """Every row of a mapping, in pages, in the order in which they are to go; a row may be removed meanwhile. Raises: StoreError."""
    for place in places(app, mapping_id):
        alone = None if place.alone is None else await state.get(place.alone)
        if alone is not None:
            yield place, alone
        after = ""
        while rows := await state.query(place.below, after=after, limit=SLICE):
            for row in rows:
                if place.takes(row.fields):
                    yield place, row
            after = rows[-1].key


async def forget_mapping(state: StateStore, app: str, mapping_id: str) -> int:
    """Remove everything of a mapping that nobody runs, in slices; cut off, it can be repeated. Returns: how many rows. Raises: StoreError."""
    removed, keys = 0, [row.key async for _, row in rows_of_mapping(state, app, mapping_id)]
    for start in range(0, len(keys), SLICE):
        await state.transact([Write(key, None) for key in keys[start : start + SLICE]])
        removed += len(keys[start : start + SLICE])
        await asyncio.sleep(0)
    return removed
