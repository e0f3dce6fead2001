"""The rows of a mapping: all of them, under another id, and what of them was never handled.

Rules of this file: which rows those are is `rows.owned`'s word; what is written is for the caller to commit. Called by the `mapping` and `projection`
verbs and by lambda_service.py.
"""

from collections.abc import AsyncIterator, Iterable

from tailrace.ports import StateStore
from tailrace.rows.kinds import RowKind
from tailrace.rows.owned import Place, places, renamed
from tailrace.rows.writes import StateRow, Write
from tailrace.views.pages import rows


async def rows_of(
    state: StateStore, app: str, mapping_id: str, kinds: Iterable[RowKind] | None = None
) -> AsyncIterator[tuple[Place, StateRow]]:
    """Every row of a mapping, of all kinds unless told, in the order in which they are to go."""
    for place in places(app, mapping_id, kinds):
        if place.alone is not None and (row := await state.get(place.alone)) is not None:
            yield place, row
        async for row in rows(state, place.below):
            if place.takes(row.fields):
                yield place, row


async def moves(state: StateStore, app: str, mapping_id: str, to: str) -> AsyncIterator[Write]:
    """Every row of a mapping under another id, and the old one gone."""
    async for place, row in rows_of(state, app, mapping_id):
        if place.kind.moves_with_rename:
            key, fields = renamed(place.kind, app, mapping_id, to, row.key, row.fields)
            if key != row.key:
                yield Write(row.key, None)
            yield Write(key, fields)
