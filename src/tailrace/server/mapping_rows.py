"""The rows of a mapping in an engine: all of them, under another id, and what of them was never handled.

Rules of this file: which rows those are is `rows.owned`'s word; what is written is for the caller to commit. Called by the `mapping` and `projection`
verbs and by lambda_service.py.
"""

from collections.abc import Iterable, Iterator

from tailrace.engine.engine import Engine
from tailrace.rows.kinds import RowKind
from tailrace.rows.owned import Place, places, renamed
from tailrace.rows.writes import StateRow, Write

PAGE = 500


def rows_of(
    engine: Engine, app: str, mapping_id: str, kinds: Iterable[RowKind] | None = None
) -> Iterator[tuple[Place, StateRow]]:
    """Every row of a mapping, of all kinds unless told, in the order in which they are to go."""
    for place in places(app, mapping_id, kinds):
        if place.alone is not None and (fields := engine.state_get(place.alone)) is not None:
            yield place, StateRow(place.alone, fields)
        for row in engine.state_rows(place.below, PAGE):
            if place.takes(row.fields):
                yield place, row


def moves(engine: Engine, app: str, mapping_id: str, to: str) -> Iterator[Write]:
    """Every row of a mapping under another id, and the old one gone."""
    for place, row in rows_of(engine, app, mapping_id):
        if place.kind.moves_with_rename:
            key, fields = renamed(place.kind, app, mapping_id, to, row.key, row.fields)
            if key != row.key:
                yield Write(row.key, None)
            yield Write(key, fields)
