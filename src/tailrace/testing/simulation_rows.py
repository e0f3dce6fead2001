"""The durable rows of a simulated world: what a state store is, in one moment and without failing.

Rules of this file: all or nothing, conditions included, as `StateStore.transact` promises; that a store fails or is slow is simulation.py's
matter. Called by simulation.py, simulation_redrive.py and whoever judges.
"""

from collections.abc import Sequence
from typing import Any, Final

from tailrace.deadletters.head import Head, head_prefix, read_head
from tailrace.rows.writes import Check, Write, holds

APP: Final = "app"
MAPPING: Final = "simulated"


class Conflict(Exception):
    """A condition did not hold."""


class Rows(dict[str, dict[str, Any]]):
    """Rows by their keys."""

    def transact(self, writes: Sequence[Write | Check]) -> None:
        """All or nothing. Raises: Conflict."""
        if not all(holds(write.condition, self.get(write.key)) for write in writes):
            raise Conflict
        for write in writes:
            if isinstance(write, Write):
                if write.fields is None:
                    self.pop(write.key, None)
                else:
                    self[write.key] = dict(write.fields)

    def heads(self) -> list[Head]:
        """Every key that is parked now."""
        prefix = head_prefix(APP, MAPPING)
        return [read_head(APP, MAPPING, row) for key, row in self.items() if key.startswith(prefix)]
