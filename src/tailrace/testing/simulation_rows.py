"""The durable rows of a simulated world: what a state store is, in one moment and without failing.

Rules of this file: all or nothing, guards included, as `StateStore.transact` promises; that a store fails or is slow is simulation.py's
matter. Called by simulation.py, simulation_redrive.py and whoever judges.
"""

from collections.abc import Sequence
from typing import Any, Final

from tailrace.deadletters.head import Head, head_prefix, read_head
from tailrace.leases.rows import Guard, RowCheck, RowWrite

APP: Final = "app"
MAPPING: Final = "simulated"


class Conflict(Exception):
    """A guard did not hold."""


class Rows(dict[str, dict[str, Any]]):
    """Rows by their keys."""

    def transact(self, writes: Sequence[RowWrite | RowCheck]) -> None:
        """All or nothing. Raises: Conflict."""
        if not all(self._holds(write.key, write.guard) for write in writes):
            raise Conflict
        for write in writes:
            if isinstance(write, RowWrite):
                if write.fields is None:
                    self.pop(write.key, None)
                else:
                    self[write.key] = dict(write.fields)

    def _holds(self, key: str, guard: Guard) -> bool:
        row = self.get(key)
        match guard.demand:
            case "always":
                return True
            case "absent":
                return row is None
            case "equals":
                return row is not None and bool(row[guard.field] == guard.value)
            case "absent_or_less":
                return row is None or bool(row[guard.field] < guard.value)

    def heads(self) -> list[Head]:
        """Every key that is parked now."""
        prefix = head_prefix(APP, MAPPING)
        return [read_head(APP, MAPPING, row) for key, row in self.items() if key.startswith(prefix)]
