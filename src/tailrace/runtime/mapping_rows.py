"""The rows of a mapping in a state store: all of them, under another id, and gone.

Rules of this file: which rows those are is `rows.owned`'s word. Called by projector.py, the `mapping` and
`projection` verbs and Lambda's API.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from tailrace.ports import StateStore
from tailrace.rows.bounds import SLICE as MOST_IN_A_SLICE
from tailrace.rows.kinds import MAPPING, RowKind
from tailrace.rows.owned import RowRange, places, renamed
from tailrace.rows.writes import VERSION, StateRow, Write

SLICE: Final = 50
RENAMING: Final = "renaming_to"
BEGAN: Final = "began_ms"
"""When the mapping was first declared. A row of an older version does not say it."""
"""The field of a mapping's own row while its rows move to another id."""


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


async def moves(state: StateStore, app: str, mapping_id: str, to: str) -> AsyncIterator[tuple[Write, ...]]:
    """Every row of a mapping under another id, and the old one gone; what says that it was declared comes
    last.
    """
    async for place, row in rows_of(state, app, mapping_id):
        if place.kind.moves_with_rename:
            key, fields = renamed(place.kind, app, mapping_id, to, row.key, row.fields)
            fields.pop(RENAMING, None)
            yield (Write(key, fields),) if key == row.key else (Write(row.key, None), Write(key, fields))


async def rename_mapping(state: StateStore, app: str, mapping_id: str, table: str, to: str) -> None:
    """Give a mapping that no worker runs another id, in slices. Raises: StoreError.

    Guarantee: cut off anywhere, it can be repeated; until it has ended the mapping's own row says that it is
               on its way, and no worker of the app begins.
    """
    key = MAPPING.key(app, mapping_id)
    row = await state.get(key)
    declared = {"v": VERSION, "id": mapping_id, "table": table} if row is None else row.fields
    await state.transact([Write(key, {**declared, RENAMING: to})])
    some: list[Write] = []
    async for moved in moves(state, app, mapping_id, to):
        if len(some) + len(moved) > MOST_IN_A_SLICE:
            await state.transact(some)
            await asyncio.sleep(0)
            some = []
        some += moved
    await state.transact(some)


async def renaming_to(state: StateStore, app: str, mapping_id: str) -> str | None:
    """Under which id a mapping's rows are on their way to; None: they are not."""
    row = await state.get(MAPPING.key(app, mapping_id))
    return None if row is None else row.fields.get(RENAMING)


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
