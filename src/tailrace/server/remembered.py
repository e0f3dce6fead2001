"""The time of a manual clock, kept with the data: a question or a restart later finds it where it was.

Rules of this file: one row of state, `clock`, format 1; a directory last served by the system's clock has none. Called
by the clock's verbs, `compose.Node` and `cli.offline`.
"""

from typing import Final

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.rows.kinds import CLOCK
from tailrace.rows.writes import Write, readable

KEY: Final = CLOCK.key()
VERSION: Final = 1


def remember_time(engine: Engine) -> None:
    """Add the manual clock's time to the group, or that there is none."""
    if isinstance(engine.clock, ManualClock):
        fields = {"v": VERSION, "wall_ms": engine.clock.now().wall_ms}
        engine.state_transact([Write(KEY, fields)])
    elif engine.state_get(KEY) is not None:
        engine.state_transact([Write(KEY, None)])


def recall_time(engine: Engine) -> None:
    """Set a manual clock to where it was; nothing for a directory that never had one. Raises: StoreError."""
    fields = engine.state_get(KEY)
    if fields is not None and isinstance(engine.clock, ManualClock):
        engine.clock.set(int(readable(fields, "clock")["wall_ms"]))
