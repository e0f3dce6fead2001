"""A projection's rows in a StateStore: where they are kept unless the app says otherwise.

Rules of this file: one state row a row; the conditions are the state store's. What is written carries the
condition that its build is still there, so that a worker which does not know yet leaves no rows behind.
`serve` has nothing to do: who asks here is told by the projection's own row (projections/run/builds.py).
Made by sinks/projection_places.py.
"""

import asyncio
from collections.abc import Sequence

from tailrace.errors import StateConflict
from tailrace.ports import Action, StateStore
from tailrace.projections.core.known import BuildGone
from tailrace.projections.core.rows import (
    AppliedItem,
    GroupState,
    ProjectedRow,
    RowChange,
    group_fields,
    group_key,
    groups_prefix,
    item_fields,
    item_key,
    items_prefix,
    read_group_row,
    read_item_row,
)
from tailrace.rows.bounds import SLICE
from tailrace.rows.writes import ALWAYS, Absent, Check, Condition, Equals, StateRow, Write


class StateProjectionStore:
    """The ProjectionStore port over a StateStore."""

    def __init__(
        self, state: StateStore, app: str, name: str, rows_at_once: int = SLICE, fence: Check | None = None
    ) -> None:
        self._state = state
        self._app = app
        self._name = name
        self._fence = fence
        self.rows_at_once = rows_at_once

    async def items(self, keys: Sequence[str]) -> list[AppliedItem]:
        """The rows of these items."""
        rows = await self._rows([self._item_key(key) for key in keys])
        return [read_item_row(row.fields) for row in rows if row is not None]

    async def bucket(self, number: int) -> list[AppliedItem]:
        """The rows of one bucket."""
        rows = await self._state.query(items_prefix(self._app, self._name, number))
        return [read_item_row(row.fields) for row in rows]

    async def groups(self, keys: Sequence[str] | None = None) -> list[GroupState]:
        """The rows of groups."""
        if keys is None:
            rows = await self._state.query(groups_prefix(self._app, self._name))
            return [read_group_row(row.fields) for row in rows]
        present = await self._rows([self._group_key(key) for key in keys])
        return [read_group_row(row.fields) for row in present if row is not None]

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """All of it or nothing. Raises: BuildGone."""
        writes: list[Action] = [self._write(change) for change in changes]
        if self._fence is None or all(change.after is None for change in changes):
            await self._state.transact(writes)
            return
        try:
            await self._state.transact([self._fence, *writes])
        except StateConflict as error:
            if error.index:
                raise
            raise BuildGone(f"build {self._name} has been removed") from error

    async def serve(self) -> None:
        """Nothing: the projection's own row says which build is served."""

    async def _rows(self, keys: Sequence[str]) -> Sequence[StateRow | None]:
        if (
            len(keys) == 1
        ):  # as for most changes that are delivered alone: a task for it costs more than the row
            return [await self._state.get(keys[0])]
        return await asyncio.gather(*(self._state.get(key) for key in keys))

    def _item_key(self, key: str) -> str:
        return item_key(self._app, self._name, key)

    def _group_key(self, key: str) -> str:
        return group_key(self._app, self._name, key)

    def _write(self, change: RowChange) -> Write:
        row, after = change.row, change.after
        is_item = isinstance(row, AppliedItem)
        key = self._item_key(row.name) if is_item else self._group_key(row.name)
        return Write(key, None if after is None else fields_of(after), condition_of(change))


def fields_of(row: ProjectedRow) -> dict[str, object]:
    """The fields of a row, by its kind."""
    return item_fields(row) if isinstance(row, AppliedItem) else group_fields(row)


def condition_of(change: RowChange) -> Condition:
    """That the present row is the one before."""
    before = change.before
    if before is None:
        return ALWAYS if change.after is None else Absent()
    return Equals(before.stamped, before.stamp)
