"""A progress bar for work that a server does: on a terminal a bar with an estimate, elsewhere nothing.

Rules of this file: output only, on standard error. Used by commands that wait for something long.
"""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """One bar. It appears with the first figure."""

    def __init__(self, words: str, *, quiet: bool = False) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._progress = Progress(
            TextColumn(words),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(words, start=False)

    def show(self, done: int, total: int) -> None:
        """Move the bar."""
        if not self._quiet:
            self._progress.start()
            self._progress.start_task(self._task)
            self._progress.update(self._task, completed=done, total=max(total, done))

    def end(self) -> None:
        """Take it away."""
        if not self._quiet:
            self._progress.stop()
