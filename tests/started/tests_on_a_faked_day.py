"""Mends `time.sleep` where a preloaded libfaketime has broken it: for `make someday`, and for every program
fakes the day.

Theory of operation: Python sleeps until a moment of the monotonic clock, and libfaketime 0.9.10, told to
leave that clock alone, subtracts the faked day from that moment all the same: the system refuses the sleep as
an invalid argument. Rules of this file: where sleeping works nothing is changed. `tests/conftest.py` imports
it, and sitecustomize.py does in the processes that tests start.
"""

import select
import time


def sleep(seconds: float, /) -> None:
    """Wait so long, by a call that takes a duration and no moment."""
    select.select([], [], [], seconds)


def is_broken() -> bool:
    """Whether no sleep is possible here."""
    try:
        time.sleep(1e-9)
    except OSError:
        return True
    return False


IS_BROKEN = is_broken()
if IS_BROKEN:
    time.sleep = sleep
