"""The collector of cycles rests during large requests: JSON makes no cycles, and a look takes long.

Rules of this file: it is never put off for longer than `MOST_S` by requests that come one after the other.
Owned by `server.http`. Stands alone because it changes the whole process's collector, which no server owns.
"""

import gc
from typing import Final

MOST_S: Final = 10.0


class Collecting:
    """Puts the collector off while a request needs it. Units: `now` in seconds, of one clock."""

    def __init__(self) -> None:
        self._asking = 0
        self._since = 0.0
        self._is_off = False

    def put_off(self, now: float) -> None:
        """Until `go_on` is called as often."""
        self._asking += 1
        if self._asking == 1 and gc.isenabled():
            gc.disable()
            self._is_off, self._since = True, now
        elif self._is_off and now - self._since > MOST_S:
            self._resume()

    def go_on(self) -> None:
        """One fewer asks for it."""
        self._asking -= 1
        if not self._asking and self._is_off:
            self._resume()

    def _resume(self) -> None:
        self._is_off = False
        gc.enable()
