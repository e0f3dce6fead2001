"""The time of a manual clock, kept with the data: a question or a restart later finds it where it was.

Rules of this file: one row of state, `clock`, format 1; a directory last served by the system's clock has
none. Called by the clock's verbs, node.py and `cli.offline`.
"""

from typing import Final

from tailrace.clocks.manual import ManualClock
from tailrace.ports import Clock, StateStore
from tailrace.rows.kinds import CLOCK
from tailrace.rows.writes import Write, readable

KEY: Final = CLOCK.key()
VERSION: Final = 1


async def remember_time(state: StateStore, clock: Clock) -> None:
    """Keep a manual clock's time, or that no manual clock runs. Raises: StoreError."""
    if isinstance(clock, ManualClock):
        await state.transact([Write(KEY, {"v": VERSION, "wall_ms": clock.now().wall_ms})])
    elif await state.get(KEY) is not None:
        await state.transact([Write(KEY, None)])


async def recall_time(state: StateStore, clock: Clock) -> None:
    """Set a manual clock to where it was; nothing for a directory that never had one. Raises: StoreError."""
    row = await state.get(KEY)
    if row is not None and isinstance(clock, ManualClock):
        clock.set(int(readable(row.fields, "clock")["wall_ms"]))
