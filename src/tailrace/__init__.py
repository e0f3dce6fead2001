"""Tailrace: DynamoDB Streams as one Python package.

Rules of this file: the public names and nothing else. They are loaded when they are first used, so that the import stays
light and brings in nothing of the server.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.app.change import Batch, Change
    from tailrace.app.retry import Retry
    from tailrace.errors import Throttled, Unavailable

__all__ = ["App", "Batch", "Change", "Retry", "Throttled", "Unavailable", "__version__"]
__version__ = "0.1.0"

_PLACES = {
    "App": "app.app", "Batch": "app.change", "Change": "app.change", "Retry": "app.retry",
    "Throttled": "errors", "Unavailable": "errors",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tailrace' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tailrace.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
