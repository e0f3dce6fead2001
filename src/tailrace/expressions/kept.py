"""Keeping what was made from a text, within bounds.

Rules of this file: short texts, which is nearly all of them, are kept by the hundred, long ones by the dozen,
so that memory has a bound whatever clients send. Errors are not kept. Used by every function here that works
on a text alone.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Concatenate, Final, ParamSpec, TypeVar

SHORT: Final = 512
"""Units: characters."""
SHORT_KEPT: Final = 512
LONG_KEPT: Final = 32
P = ParamSpec("P")
R = TypeVar("R")


def kept(make: Callable[Concatenate[str, P], R]) -> Callable[Concatenate[str, P], R]:
    """The same function with its latest results in memory. Shape: arguments are hashable, a text first."""
    short = lru_cache(SHORT_KEPT)(make)
    long = lru_cache(LONG_KEPT)(make)

    def remembering(text: str, /, *rest: P.args, **named: P.kwargs) -> R:
        cached = short if len(text) <= SHORT else long
        return cached(text, *rest, **named)  # type: ignore[arg-type]  # a ParamSpec cannot say Hashable

    remembering.__doc__ = make.__doc__
    return remembering
