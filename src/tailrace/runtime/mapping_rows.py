"""The rows of a mapping in a state store: all of them, under another id, and gone.

Rules of this file: which rows those are is `rows.owned`'s word; what `moves` writes is for the caller to
commit. Called by projector.py, the `mapping` and `projection` verbs and Lambda's API.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from tailrace.ports import StateStore
from tailrace.rows.kinds import RowKind
from tailrace.rows.owned import RowRange, places, renamed
from tailrace.rows.writes import StateRow, Write

SLICE: Final = 50


async def rows_of(
    state: StateStore, app: str, mapping_id: str, kinds: Iterable[RowKind] | None = None
) -> AsyncIterator[tuple[RowRange, StateRow]]:
    """Every row of a mapping, of all kinds unless told, in the order in which they are to go; a row may be
    removed meanwhile. Raises: StoreError.
    """
    for place in places(app, mapping_id, kinds):
        alone = None if place.alone is None else await state.get(place.alone)
        if alone is not None:
            yield place, alone
        after = ""
        while rows := await state.query(place.below, after=after, limit=SLICE):
            for row in rows:
                if place.takes(row.fields):
                    yield place, row
            after = rows[-1].key


async def moves(state: StateStore, app: str, mapping_id: str, to: str) -> AsyncIterator[Write]:
    """Every row of a mapping under another id, and the old one gone."""
    async for place, row in rows_of(state, app, mapping_id):
        if place.kind.moves_with_rename:
            key, fields = renamed(place.kind, app, mapping_id, to, row.key, row.fields)
            if key != row.key:
                yield Write(row.key, None)
            yield Write(key, fields)


async def forget_mapping(state: StateStore, app: str, mapping_id: str) -> int:
    """Remove everything of a mapping that no worker runs, in slices; cut off, it can be repeated. Returns:
    how many rows. Raises: StoreError.
    """
    removed, keys = 0, [row.key async for _, row in rows_of(state, app, mapping_id)]
    for start in range(0, len(keys), SLICE):
        await state.transact([Write(key, None) for key in keys[start : start + SLICE]])
        removed += len(keys[start : start + SLICE])
        await asyncio.sleep(0)
    return removed
