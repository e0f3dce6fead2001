"""What a test world's loop waits for outside of it: sockets of C libraries, where its sinks are real.

Theory of operation: libpq opens its own sockets and has the loop watch them. While one is watched and nothing
else can go on, the loop really waits for it, and time stands still; what does not answer for SILENT_S is left
to the timeouts of virtual time.
Rules of this file: nothing is watched unless the world lets its sinks call (`World(app, sinks="real")`). The
order of answers is the machine's, not the seed's. Used by loop.py. Stands alone because everything else that
the loop does is reproduced by a seed.
"""

import asyncio
import selectors
from typing import Any, Final

from tailrace.testing.sealing import NetworkRefused

SILENT_S: Final = 30.0
"""How long an answer is waited for before time goes on. Units: seconds of the machine."""


class Descriptors:
    """The descriptors that are watched, and what is called when one is ready."""

    def __init__(self) -> None:
        self.is_open = False
        self._selector = selectors.DefaultSelector()
        self._silent = False

    def watch(self, descriptor: Any, event: int, handle: asyncio.Handle) -> None:
        """Call it whenever the descriptor is ready. Raises: NetworkRefused."""
        if not self.is_open:
            raise NetworkRefused(
                "the test world has no sockets: a client's own was not watched",
                hint='World(app, sinks="real") lets sinks call; a database of the test is what they call',
            )
        self._silent = False
        handles = self._handles(descriptor)
        self._set(descriptor, {**handles, event: handle})

    def forget(self, descriptor: Any, event: int) -> bool:
        """No longer. Returns: whether it was watched."""
        handles = self._handles(descriptor)
        was = handles.pop(event, None)
        if was is not None:
            was.cancel()
            self._set(descriptor, handles)
        return was is not None

    def wait(self) -> list[asyncio.Handle]:
        """What is called now: really waits for it; once all have been silent it only looks."""
        if not self._selector.get_map():
            return []
        ready = [
            handle
            for key, mask in self._selector.select(0 if self._silent else SILENT_S)
            for event, handle in key.data.items()
            if mask & event
        ]
        self._silent = not ready
        return ready

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()

    def _handles(self, descriptor: Any) -> dict[int, asyncio.Handle]:
        key = self._selector.get_map().get(descriptor)
        return dict(key.data) if key is not None else {}

    def _set(self, descriptor: Any, handles: dict[int, asyncio.Handle]) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
        if handles:
            self._selector.register(descriptor, sum(handles), handles)
