"""The rows that say what an app declares: the check of a start, and what that start writes.

Rules of this file: what is no longer declared would be forgotten in silence, so the start is refused with the
commands that decide what it is: renamed, or deleted. Called by worker.py. Source: architecture §5.12.
Stands alone because it reads rows of what is no more, which a worker never runs.
"""

from collections.abc import Sequence
from typing import Final

from tailrace.app.app import App, HandlerMapping
from tailrace.errors import SettingsError
from tailrace.ports import StateStore
from tailrace.projections.core.builds import served_key
from tailrace.rows.bounds import slices
from tailrace.rows.kinds import MAPPING
from tailrace.rows.writes import VERSION, Write
from tailrace.runtime.mapping_rows import BEGAN, RENAMING

SNAPSHOTS: Final = "snapshots"
"""The member of a mapping's row that says that its sink can be given a whole table."""


def mapping_write(app: str, mapping: HandlerMapping, began_ms: int = 0) -> Write:
    """The row by which a later start knows that the mapping was declared. Units: `began_ms` when it first
    was, since the epoch; 0: that is not known.
    """
    fields = {"v": VERSION, "id": mapping.id, "table": mapping.table.source}
    when = {BEGAN: began_ms} if began_ms else {}
    counts = {"only_counts": True} if mapping.only_counts else {}
    takes = {SNAPSHOTS: True} if mapping.is_mirror or mapping.snapshot else {}
    return Write(MAPPING.key(app, mapping.id), {**fields, **when, **counts, **takes})


async def check_declared(state: StateStore, app: App) -> dict[str, int]:
    """The ids of all mappings that were ever declared, with when each first was. Units: ms since the epoch;
    0: that is not known. Raises: SettingsError when one has no handler any more; StoreError.
    """
    rows = await state.query(MAPPING.prefix(app.name))
    begun = {str(row.fields["id"]): int(row.fields.get(BEGAN, 0)) for row in rows}
    known = {mapping.id for mapping in app.mappings}
    projections = {mapping.projection.id for mapping in app.mappings if mapping.projection is not None}
    for row in rows:
        name = str(row.fields["id"])
        if RENAMING in row.fields:
            raise SettingsError(
                f"the rows of handler {name!r} are on their way to {row.fields[RENAMING]!r}: a renaming was "
                "cut off",
                hint=f"tailrace mapping rename {name} {row.fields[RENAMING]}",
            )
        projection = name.rpartition("@v")[0]
        if name in known or row.fields.get("only_counts"):
            continue
        if projection in projections:
            continue  # an earlier version: what it has not handled the new one reads from the table's items
        if projection and await state.get(served_key(app.name, projection)) is not None:
            raise SettingsError(
                f"app {app.name!r} has rows of a projection {projection!r} that it no longer declares",
                hint=f"tailrace projection drop {projection}, or declare it again under its old name, "
                f"id={projection!r}",
            )
        new = [
            mapping.id
            for mapping in app.mappings
            if mapping.table.source == row.fields["table"] and mapping.id not in begun
        ]
        to = new[0] if len(new) == 1 else "NEW_NAME"
        raise SettingsError(
            f"app {app.name!r} has checkpoints of a handler {name!r} that it no longer declares: "
            "what it has not handled "
            "would be forgotten",
            hint=f"if it has another name now: tailrace mapping rename {name} {to}, or id={name!r}; "
            f"if it was deleted: tailrace mapping drop {name}",
        )
    return begun


async def declare(state: StateStore, writes: Sequence[Write]) -> None:
    """Write what a start declares; one that is cut off writes all of it again. Raises: StoreError."""
    for some in slices(writes):
        await state.transact(some)
