"""The end of a process that serves: signals, and a bound that holds whatever hangs.

Theory of operation: the first Ctrl-C or SIGTERM drains. A thread watches from then on: when the process has
not ended a little after the bound of the drain (the loop stands still in a handler, or a thread that a
handler began is waited for), it says where, and ends it. The second signal ends it at once. Signals are
Python's own and not the loop's: one that stands still would never hear of them.
Rules of this file: the only place that touches signals. Called by `running`.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from tailrace.cli.failures import INTERRUPTED, UNDRAINED

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
CLOSING_S: Final = 3.0
"""What closing may take beyond the drain."""
_NOT_THEIRS: Final = (os.path.dirname(os.__file__), str(Path(__file__).parents[1]), "<")


class Ending:
    """How this process ends. Units: drain_s is seconds."""

    def __init__(self, drain_s: float, *, quiet: bool) -> None:
        self._drain_s = drain_s
        self._quiet = quiet
        self._has_begun = False
        self._is_signalled = False

    def stop_at_signals(self, stopping: asyncio.Event) -> None:
        """Set the event at the first signal, and exit at the second."""
        loop = asyncio.get_running_loop()

        def stop(number: int, frame: FrameType | None) -> None:
            if self._is_signalled:
                _leave("stopped at once, without draining", INTERRUPTED)
            self._is_signalled = True
            if not self._quiet:
                _say("\ndraining… (Ctrl-C again stops at once)")
            self.begin()
            if not loop.is_closed():
                loop.call_soon_threadsafe(stopping.set)

        for number in SIGNALS:
            signal.signal(number, stop)

    def begin(self) -> None:
        """The time runs from now on. Repeatable."""
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._watch, name="tailrace end", daemon=True).start()

    def leave(self, left: Sequence[str]) -> None:
        """End at once when something was left, and say what; nothing otherwise."""
        if left:
            _leave("\n".join([*(f"left behind: {words}" for words in left), self._advice()]), UNDRAINED)

    def _watch(self) -> None:
        threading.Event().wait(self._drain_s + CLOSING_S)
        words = [f"left behind: {place}" for place in hanging()]
        _leave("\n".join([*words, self._advice()]), UNDRAINED)

    def _advice(self) -> str:
        return (
            f"not drained within {self._drain_s:g} s: what is answered is kept, and what is not settled is "
            "delivered again at the next start (--drain allows more time)"
        )


def hanging() -> list[str]:
    """What keeps this process from ending, in words."""
    frames = sys._current_frames()
    hindrances: list[str] = []
    for thread in threading.enumerate():
        place = _place(frames.get(thread.ident or 0))
        if thread is threading.main_thread():
            if place is not None:
                hindrances.append(f"the event loop stands still at {place}")
        elif not thread.daemon or (place is not None and not thread.name.startswith("tailrace ")):
            # Daemons are not waited for, except by their makers, as concurrent.futures does.
            hindrances.append(f"the thread {thread.name!r}" + ("" if place is None else f" at {place}"))
    return hindrances


def _place(frame: FrameType | None) -> str | None:
    """The innermost line of the user's code."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_NOT_THEIRS) and frame.f_code.co_name != "<module>":
            return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return None


def _say(words: str) -> None:
    """In one write and without locks: a signal may come while something else is being written."""
    with suppress(OSError):  # standard error is closed
        os.write(2, f"{words}\n".encode())


def _leave(words: str, code: int) -> None:
    _say(words)
    os._exit(code)
