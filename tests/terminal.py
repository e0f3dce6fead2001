"""A command whose standard error is a terminal, for tests of what is drawn there.

Rules of this file: a pseudo terminal of 100 columns; Windows has none of this kind. What is drawn is read
until the command has ended, so nothing hangs on how fast it is.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.patience import PATIENCE_S


class Shown(NamedTuple):
    """How a command ended, and what its terminal has got."""

    code: int
    text: str


def on_terminal(
    arguments: Sequence[str],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
) -> Shown:
    """Run Python with these arguments. Shape: `stdout` None: the terminal too."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=follower if stdout is None else stdout,
        stderr=follower,
        env={**os.environ, **(environment or {}), "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    shown = b""
    try:
        while some := _some(leader):
            shown += some
        return Shown(process.wait(PATIENCE_S), shown.decode())
    finally:
        process.kill()
        os.close(leader)


def _some(leader: int) -> bytes:
    try:
        return os.read(leader, 4_096)
    except OSError:  # Linux says so when the other end is closed
        return b""
