"""What one invocation prints, for its client: a file that its process writes to, wherever it is printed.

Rules of this file: both sides of it. The node makes the file and reads its end, also when the process was
killed; what was printed goes to the node's standard error as it would have. Descriptors are turned, not
Python's objects, so that what is not Python prints into it too. Used by pool.py and process.py.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tailrace.sinks.lambda_function import Captured

KEPT: Final = 4_096
"""How much of a log an invocation answers. Source: Lambda API Reference, Invoke (LogType)."""
OUTPUTS: Final = (1, 2)
MEGABYTE: Final = 1_048_576 if sys.platform == "darwin" else 1_024
"""In the unit of getrusage: bytes on macOS, kilobytes elsewhere."""


@contextmanager
def printing_to(captured: Captured) -> Iterator[str]:
    """A file to print to, by its name; what it holds at the end of the block is `captured`."""
    with tempfile.NamedTemporaryFile(prefix="tailrace-") as file:
        try:
            yield file.name
        finally:
            printed = file.read()
            captured.printed = printed[-KEPT:]
            sys.stderr.write(printed.decode(errors="replace"))


@contextmanager
def printed_to(file: str | None) -> Iterator[None]:
    """Let everything that this process prints go to a file; without one: where it goes anyway."""
    if file is None:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(output, os.dup(output)) for output in OUTPUTS]
    opened = os.open(file, os.O_WRONLY | os.O_APPEND)
    for output in OUTPUTS:
        os.dup2(opened, output)
    os.close(opened)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for output, before in saved:
            os.dup2(before, output)
            os.close(before)


def memory_mb() -> int:
    """The most memory that this process has used; 0 where it is not counted. Units: megabytes."""
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # Windows
        return 0
    return getrusage(RUSAGE_SELF).ru_maxrss // MEGABYTE
