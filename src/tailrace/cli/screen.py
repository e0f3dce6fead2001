"""A screen that is drawn again and again until q or Ctrl-C.

Rules of this file: only a terminal is drawn on; whatever was typed meanwhile is not shown. Used by
cli/top.py, cli/sql.py and cli/snapshot.py.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Screen:
    """What is drawn on. Shape: `console` has the terminal's size."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        self.console = console
        self.live = Live("", console=console, screen=True, auto_refresh=False)

    def draw(self, what: "RenderableType") -> None:
        """Draw this over what was there, whole, at once."""
        self.live.update(what, refresh=True)


@contextmanager
def screen(waiting: str) -> Iterator[Screen]:
    """A screen, with these words until the first drawing. Ctrl-C and q end the block without an error."""
    from rich.console import Console

    drawn = Screen(Console(highlight=False))
    with suppress(KeyboardInterrupt), _until_q(), drawn.live:
        drawn.draw(waiting)
        yield drawn


@contextmanager
def _until_q() -> Iterator[None]:
    """Take q for Ctrl-C while this lasts."""
    try:
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
    except (ImportError, ValueError, OSError):  # not on this system, or standard input is no terminal
        yield
        return
    except termios.error:
        yield
        return
    tty.setcbreak(sys.stdin)
    thread = threading.Thread(target=_look_for_q, daemon=True)
    thread.start()
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _look_for_q() -> None:
    import signal

    while letter := sys.stdin.read(1):
        if letter in "qQ":
            signal.raise_signal(signal.SIGINT)
            return
