"""How long tests wait for what must happen, before they say that it hangs.

Rules of this file: the only bound on waiting in all tests. It guards against hangs and judges no speed, hence
it is far above whatever the slowest machine needs; `tests/architecture/patience.py` finds tests that state
one of their own.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

Fact = TypeVar("Fact")

PATIENCE_S: Final = 300.0
"""For a subprocess, a connection, a thread, a fact that is looked for."""
BETWEEN_LOOKS_S: Final = 0.02
"""At least: after a look that takes long the next one is twice as far away, for what is waited for needs the
processors, too.
"""


def eventually(look: Callable[[], Fact], told: Callable[[], str] = lambda: "it did not happen") -> Fact:
    """The first true value of a look. Raises: AssertionError, with what is told then, when there
    is none for `PATIENCE_S`.
    """
    begun = looked = time.monotonic()
    while not (seen := look()):
        assert time.monotonic() - begun < PATIENCE_S, f"{told()} in {PATIENCE_S} s"
        time.sleep(max(BETWEEN_LOOKS_S, 2 * (time.monotonic() - looked)))
        looked = time.monotonic()
    return seen


def at_rest(look: Callable[[], Fact], is_enough: Callable[[Fact], bool]) -> Fact:
    """What is seen when it is enough, or has been the same for `PATIENCE_S`: the caller
    says what is missing.
    """
    last, since = look(), time.monotonic()
    while not is_enough(last) and time.monotonic() - since < PATIENCE_S:
        time.sleep(BETWEEN_LOOKS_S)
        if (seen := look()) != last:
            last, since = seen, time.monotonic()
    return last


def until(look: Callable[[], Fact], wanted: Fact) -> None:
    """Wait for a fact. Raises: AssertionError with what is seen instead, after `PATIENCE_S`."""
    begun = time.monotonic()
    while (seen := look()) != wanted:
        assert time.monotonic() - begun < PATIENCE_S, f"{seen!r} is not {wanted!r} after {PATIENCE_S} s"
        time.sleep(BETWEEN_LOOKS_S)
