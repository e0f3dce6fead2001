"""What a worker hears of positions that operators set: which of its mappings are to begin anew.

Theory of operation: who sets a position writes the mapping's row in the same transaction, and gives the lease
back after it. A worker reads the rows before each look: where one has changed it leaves the mapping's shards
and forgets which of them were finished. It reads the row again once it has a shard's lease: a position that
was set before the lease was given back is heard of by whoever takes it next, before anything of the shard is
delivered. So a shard never goes on before one that it continues and that was set back.
Rules of this file: rows are read, nothing is written. The rows are runtime/placing.py's. Stands alone because
it is all that a worker knows of them. Made by worker/worker.py.
"""

from collections.abc import Callable, Collection, Iterable

from tailrace.ports import StateStore
from tailrace.rows.kinds import PLACED
from tailrace.rows.writes import StateRow, readable
from tailrace.runtime.placing import placed_key
from tailrace.worker.following import Begun, FollowedTable
from tailrace.worker.leasing import Held


class Placed:
    """The positions of one app that were set, as far as one worker has heard."""

    def __init__(self, app: str, state: StateStore) -> None:
        self._app = app
        self._state = state
        self._heard: dict[str, str] = {}

    async def look(
        self, tables: Iterable[FollowedTable], running: Collection[Begun], lose: Callable[[Held], None]
    ) -> None:
        """Let the mappings begin anew of which positions were set since the last look: `running` places of
        them lose their leases. Raises: StoreError.
        """
        rows = await self._state.query(PLACED.prefix(self._app))
        new = {name for row in rows if self._is_new(name := str(row.fields["id"]), row)}
        self._heard = {str(row.fields["id"]): _revision(row) for row in rows}
        for table in tables if new else ():
            table.forget_places(new, set(running))
        for mapping_id, *place in list(running) if new else ():
            if mapping_id in new:
                lose((place[0], place[1]))

    async def has_moved(self, mapping_id: str) -> bool:
        """Whether positions of a mapping were set that the last look did not tell. Raises: StoreError."""
        row = await self._state.get(placed_key(self._app, mapping_id))
        return row is not None and self._is_new(mapping_id, row)

    def _is_new(self, mapping_id: str, row: StateRow) -> bool:
        return self._heard.get(mapping_id) != _revision(row)


def _revision(row: StateRow) -> str:
    return str(readable(row.fields, "position that was set", PLACED.format)["revision"])
