"""What `app.sink` refuses, and what a sink of a table is called.

Rules of this file: checks and words only. Called by app.py.
"""

from collections.abc import Mapping
from typing import Any

from tailrace.app.table import EVENTS, Changes
from tailrace.errors import SettingsError

WORDS = {"INSERT": "inserted", "MODIFY": "modified", "REMOVE": "removed"}


def check_sink_shape(sink: object) -> None:
    """Require something that can be written to. Raises: SettingsError."""
    if not callable(getattr(sink, "write", None)):
        raise SettingsError(f"sink: {sink!r} is no sink: a sink has `async def write(self, batch)`")


def with_width(sink: object, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a sink's mapping: how many items of a batch it works on at once is the sink's to say."""
    width: int = getattr(sink, "keys_at_once", 1)
    return {"keys_at_once": width, **settings}


def check_snapshot(snapshot: bool) -> None:
    """Refuse a back-fill, which does not exist yet. Raises: SettingsError."""
    if snapshot:
        raise SettingsError(
            "sink: snapshot=True does not work yet: a sink gets what the stream still holds (24 hours), not the items of before; "
            "leave it out, and copy the older items to where the sink writes yourself"
        )


def check_takes_sink(id: str, kind: str, sink: object, *, has_sink: bool, once: bool) -> None:
    """Require a handler whose returned values can go to this sink. Raises: SettingsError."""
    if kind not in ("on", "window"):
        raise SettingsError(
            f"sink: {id!r} is no handler of single changes, so it has no output for each of them"
        )
    if once and not getattr(sink, "tells_repeats", False):
        raise SettingsError(
            f"sink: {id!r} has once=True, and {type(sink).__name__} could not tell a repeated output, which a crash makes: that takes a FIFO "
            "queue or topic, EventBridge, a webhook, DynamoDB or DuckDB, or a sink of yours that says `tells_repeats = True`; or leave once= out"
        )
    if has_sink:
        raise SettingsError(f"sink: {id!r} has a sink already; a second one is a second handler")


def sink_id(changes: Changes, sink: object) -> str:
    """The id of a sink's mapping, as long as nobody gives it another: the same at every start.

    >>> from tailrace.app.table import Table
    >>> sink_id(Changes(Table("orders", "id"), ("REMOVE",)), {})
    'orders.removed.dict'
    """
    name = changes.table.name if changes.entity is None else changes.entity.cls.__name__
    kinds = [] if set(changes.events) == set(EVENTS) else [WORDS[event] for event in changes.events]
    return ".".join((name, *kinds, type(sink).__name__))
