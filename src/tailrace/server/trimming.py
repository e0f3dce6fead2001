"""Memory that large bodies leave is given back to the system.

Theory of operation: an allocator keeps all that lies below the last block which is in use, so one small item
that is written beside uploads may keep all of them. glibc gives back what is free in between when it is asked
to, which takes some milliseconds; other libraries do that by themselves, or cannot be asked.
Rules of this file: asked for by `server.http`, when `WORTH` has gone. Stands alone because it reaches into
the C library.
"""

import sys
from typing import Final

WORTH: Final = 8 * 1024 * 1024
"""Bytes of bodies that went, from which on it is worth asking."""


def malloc_trim() -> None:
    """Ask glibc; without it nothing is asked."""
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
