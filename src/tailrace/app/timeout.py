"""Which functions run on the loop, and can therefore have a time-out.

Rules of this file: it looks at functions and calls none. Called by app.py and by whoever calls handlers.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tailrace.errors import SettingsError

LONGEST_S: Final = 900
"""Lambda's longest time-out: what takes longer is not a handler's work."""


def check_timeout(name: str, handler: Callable[..., Any], timeout: Any) -> None:
    """Refuse a time-out that cannot be kept. Raises: SettingsError."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_S:
        raise SettingsError(
            f"handler {name!r}: timeout: {timeout!r} is not allowed; it is a number of seconds up to {LONGEST_S}"
        )
    if not is_async(handler):
        raise SettingsError(
            f"handler {name!r}: timeout: a thread cannot be ended, so only an `async def` handler can have one"
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function runs on the loop; decorators and objects with `async def __call__` are looked through."""
    called = inspect.unwrap(function)
    while isinstance(called, partial):
        called = inspect.unwrap(called.func)
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(type(called).__call__)
