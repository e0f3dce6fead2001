"""Answers that go on, over HTTP/1.1: chunks that leave as the client reads them.

Theory of operation: the first lines leave as every answer does, with the commit before it. Then the operation
writes (`api.streaming`), and waits where the transport's buffer is full. An answer whose connection is to be
closed has no chunks: its end is the connection's, which clients of HTTP/1.0 understand, too.
Rules of this file: what is broken off has no last chunk. `Connection` owns it; `poured` is HTTP/2's, too.
"""

import asyncio
import logging
from typing import Final

from tailrace.api.event_stream import CONTENT_TYPE
from tailrace.api.streaming import Outlet, Streamed, StreamReset

_log = logging.getLogger("tailrace.server")

LAST_CHUNK: Final = b"0\r\n\r\n"


def head_bytes(stamp: bytes, request_id: bytes, extra: bytes, *, closing: bool) -> bytes:
    """The first lines of an answer that goes on. Shape: `stamp` and `extra` as in `answer_bytes`."""
    last = b"Connection: close\r\n" if closing else b"Transfer-Encoding: chunked\r\n"
    return b"HTTP/1.1 200 OK\r\n%bContent-Type: %b\r\nx-amzn-RequestId: %b\r\n%b%b\r\n" % (
        stamp,
        CONTENT_TYPE,
        request_id,
        extra,
        last,
    )


async def poured(streamed: Streamed, outlet: Outlet, kind: bytes) -> bool:
    """Let the operation write all of its answer. Returns: whether it is whole; else it was broken off."""
    try:
        await streamed.write_to(outlet, kind)
    except StreamReset:
        return False
    except Exception:  # a fault of one answer must not end the connection of others
        _log.exception("an answer that goes on has failed")
        return False
    return True


class Writable:
    """Whether a client can take more: what an outlet waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None
        self.is_full = False

    def fill(self) -> None:
        """It can take no more."""
        self.is_full = True

    def empty(self) -> None:
        """It has caught up."""
        self.is_full = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self) -> None:
        """Return when it can take more."""
        while self.is_full:
            self._waiting = self._loop.create_future()
            await self._waiting


class Chunks:
    """The outlet of an answer over HTTP/1.1. Shape: `begun` says that its head has left, or never will."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, is_chunked: bool
    ) -> None:
        self.begun: asyncio.Future[bool] = loop.create_future()
        self._transport = transport
        self._writable = Writable(loop)
        self._is_chunked = is_chunked

    @property
    def is_blocked(self) -> bool:
        """Whether the transport's buffer is full."""
        return self._writable.is_full

    def write(self, frame: bytes) -> None:
        """As `Outlet` has it."""
        if self._transport.is_closing():
            return
        if self._is_chunked:
            self._transport.writelines((b"%x\r\n" % len(frame), frame, b"\r\n"))
        else:
            self._transport.write(frame)

    async def drain(self) -> None:
        """As `Outlet` has it."""
        await self._writable.wait()

    def end(self) -> None:
        """No more comes."""
        if self._is_chunked and not self._transport.is_closing():
            self._transport.write(LAST_CHUNK)

    def begin(self, *, failed: bool) -> None:
        """The head has left, or an error in its place. Repeatable."""
        if not self.begun.done():
            self.begun.set_result(not failed)

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._writable.fill()

    def resume(self) -> None:
        """It no longer is."""
        self._writable.empty()
