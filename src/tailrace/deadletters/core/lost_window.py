"""A tumbling window whose final invoke was given up: the state that it would have delivered, kept whole.

Rules of this file: a pure layout over one row, format 1, docs/formats/state.md. A final invoke has no
record, so it can be no dead letter; its state is all that is left of the window. Written in the transaction
of the checkpoint that closes the window. Called by runtime/delivering.py.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from tailrace.deadletters.core.entry import kept_text
from tailrace.rows.kinds import LOST_WINDOW
from tailrace.rows.writes import VERSION, readable


class LostWindow(Struct, frozen=True, kw_only=True):
    """One window. Shape: `state` is JSON text, `condition` Lambda's word. Units: *_ms since the epoch."""

    shard_id: str
    handler: str
    start_ms: int
    end_ms: int
    state: str
    is_early: bool
    condition: str
    attempts: int
    error: str
    traceback: str
    first_failure_ms: int
    last_failure_ms: int
    code_version: str

    def fields(self) -> dict[str, Any]:
        """Its row."""
        texts = {"error": kept_text(self.error), "traceback": kept_text(self.traceback)}
        return {"v": VERSION, **structs.asdict(self), **texts}


def lost_window_key(app: str, window: LostWindow) -> str:
    """The row of one window. One that is opened again may be lost again: the moment tells them apart."""
    name = f"{window.start_ms:015d}-{window.last_failure_ms:015d}"
    return LOST_WINDOW.key(app, window.handler, window.shard_id, name)


def lost_window_prefix(app: str, handler: str) -> str:
    """What the rows of all lost windows of a handler start with."""
    return LOST_WINDOW.prefix(app, handler)


def read_lost_window(fields: Mapping[str, Any]) -> LostWindow:
    """The window behind a row. Raises: StoreError when its format is not known."""
    row = dict(readable(fields, "lost window"))
    del row["v"]
    return LostWindow(**row)
