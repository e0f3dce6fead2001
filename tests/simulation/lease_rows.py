"""Rows of a simulated world whose leases are watched: every revision is the next one of what was there.

Rules of this file: judged is what was written, in the order in which it became durable, also what came late.
Called by fleets.py and campaign.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tailrace.rows.kinds import LEASE
from tailrace.testing.simulation_rows import APP, SimulatedRows

NO_LEASE_GOES_BACK: Final = "no row of a lease goes back"


class LeaseRows(SimulatedRows):
    """Rows that tell what was wrong with a write of a lease."""

    def __init__(self, rows: SimulatedRows, wrong: Callable[[str, str], None]) -> None:
        super().__init__(rows)
        self._wrong = wrong

    def transact(self, writes: Sequence[Any]) -> None:
        keys = {write.key for write in writes if write.key.startswith(LEASE.prefix(APP))}
        before = {key: self.get(key) for key in keys}
        super().transact(writes)
        for key in keys:
            was, now = before[key], self.get(key)
            if was is not None and now is not None and was != now and not goes_on(was, now):
                self._wrong(NO_LEASE_GOES_BACK, f"{now} after {was}")


def goes_on(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a lease is the next revision of another: taken with a new epoch, or changed or left by its
    owner, and what was finished stays so.
    """
    rises = after["epoch"] - before["epoch"]
    is_in_turn = rises == 1 or (rises == 0 and after["owner"] in ("", before["owner"]))
    remembers = set(before.get("finished", ())) <= set(after.get("finished", ()))
    return is_in_turn and remembers and after["counter"] == before["counter"] + 1
