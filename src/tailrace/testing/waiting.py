"""What would really wait in a test world: `time.sleep` passes virtual time, a blocking connection is pointed out.

Rules of this file: only while a world runs, only in its thread, and everything is put back. Handlers that are coroutines are warned: what
they do here would stop every other handler of a real worker. Called by world.py around everything that it runs.
"""

import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from tailrace.clocks.manual import ManualClock


class BlockingCall(UserWarning):
    """A coroutine blocks: await what waits, or declare the handler without `async`, so that it runs in a thread."""


@contextmanager
def nothing_waits(clock: ManualClock, is_inline: Callable[[], bool]) -> Iterator[None]:
    """Let nothing wait for real. Shape: `is_inline` says whether what runs now would run in a thread of a real worker."""
    thread, sleep = threading.get_ident(), time.sleep

    def pass_time(seconds: Any) -> None:
        if threading.get_ident() != thread:
            sleep(seconds)
            return
        if not is_inline():
            warnings.warn(
                f"time.sleep({seconds}) blocks the event loop; write `await asyncio.sleep({seconds})`",
                BlockingCall, stacklevel=2,
            )  # fmt: skip
        clock.advance(ceil(seconds * 1_000))

    def connect(self: socket.socket, address: Any) -> None:
        if threading.get_ident() == thread and not is_inline() and self.getblocking():
            warnings.warn(
                f"a connection to {address} blocks the event loop: await it, or declare the handler without `async`",
                BlockingCall, stacklevel=2,
            )  # fmt: skip
        super(socket.socket, self).connect(address)

    time.sleep = pass_time
    socket.socket.connect = connect  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        time.sleep = sleep
        del socket.socket.connect
