"""Tailrace: DynamoDB Streams as one Python package.

Rules of this file: the public names and nothing else, loaded when they are first used, so that the import stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.app.aggregate import Recorded
    from tailrace.app.app import App
    from tailrace.app.change import Batch, Change
    from tailrace.app.client import AsyncClient, Client
    from tailrace.app.codec import Attribute, Epoch
    from tailrace.app.depends import Depends
    from tailrace.app.index import Index
    from tailrace.app.item import Item
    from tailrace.app.on_failure import Discard, Drop, Park
    from tailrace.app.predicates import by_ttl, changed, new, old
    from tailrace.app.record import Record, Records
    from tailrace.app.retry import Retry
    from tailrace.app.snapshots import Snapshots
    from tailrace.app.user_records import user_records
    from tailrace.app.window import Window
    from tailrace.cli.client import connect
    from tailrace.errors import Conflict, Refused, Throttled, Unavailable
    from tailrace.version import __version__

__all__ = [
    "App", "AsyncClient", "Attribute", "Batch", "Change", "Client", "Conflict", "Depends", "Discard", "Drop", "Epoch", "Index", "Item", "Park", "Record", "Recorded", "Records", "Refused", "Retry", "Snapshots", "Throttled", "Unavailable", "Window", "__version__", "by_ttl", "changed", "connect", "new", "old", "user_records",
]  # fmt: skip

_PLACES = {
    "App": "app.app", "Attribute": "app.codec", "Batch": "app.change", "Change": "app.change", "Depends": "app.depends",
    "Epoch": "app.codec", "Index": "app.index", "Item": "app.item", "Record": "app.record", "Records": "app.record", "Retry": "app.retry", "Snapshots": "app.snapshots", "Throttled": "errors", "Unavailable": "errors", "Window": "app.window",
    **dict.fromkeys(("by_ttl", "changed", "new", "old"), "app.predicates"),
    **dict.fromkeys(("AsyncClient", "Client"), "app.client"), "connect": "cli.client", "Conflict": "errors", "Recorded": "app.aggregate", "Refused": "errors", "__version__": "version", **dict.fromkeys(("Discard", "Drop", "Park"), "app.on_failure"), "user_records": "app.user_records",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tailrace' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tailrace.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
