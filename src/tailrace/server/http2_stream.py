"""One stream of HTTP/2: a request and its answer, which may go on.

Rules of this file: it knows neither frames nor windows: those are the connection's (`server.http2`), of which
it knows what `Carrier` says.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol

from tailrace.api.streaming import Streamed
from tailrace.api.taking import LARGE
from tailrace.api.wire import Request
from tailrace.server.answering import Answerer
from tailrace.server.http import HttpServer
from tailrace.server.streaming import Writable, head_bytes, poured


class Carrier(Protocol):
    """The connection of a stream."""

    def has(self, stream: "Http2Stream") -> bool:
        """Whether the client still waits for the answer."""

    def owe(self, size: int) -> None:
        """So many more bytes of whole answers wait to leave; fewer, when it is negative."""

    def remember(self, task: "asyncio.Task[None]") -> None:
        """Work that is under way, also when the client no longer wants it."""

    def respond(self, stream: "Http2Stream", answer: bytes) -> None:
        """Let an answer leave, or the first lines of one that goes on. Shape: as HTTP/1.1 has it."""

    def push(self, stream: "Http2Stream", data: bytes) -> None:
        """Put more of an answer behind what waits."""

    def end(self, stream: "Http2Stream") -> None:
        """No more comes of an answer that goes on."""

    def reset(self, stream: "Http2Stream") -> None:
        """Break the stream off."""


class Http2Stream(Answerer):
    """One request and its answer. It also is the outlet of an answer that goes on."""

    __slots__ = (
        "_answer", "_begun", "_connection", "began", "body", "goes_on", "id", "is_answered",
        "is_ended", "is_ready", "is_refused", "is_whole", "pending", "request", "touched", "writable",
    )  # fmt: skip

    def __init__(self, connection: Carrier, server: HttpServer, number: int) -> None:
        self.id = number
        self._connection = connection
        self._server = server
        self._answering = None
        self._answer = b""
        self._begun: asyncio.Future[bool] | None = None
        self.request = Request(b"", b"", {}, b"", True)
        self.body = bytearray()  # as far as it has come
        self._held = 0
        self.began = self.touched = server.tick
        self.is_whole = False  # the request has come
        self.is_answered = False  # the head of the answer has left
        self.goes_on = False
        self.is_ended = False  # no more of the answer comes
        self.is_refused = False  # what still comes of the request is of no use
        self.is_ready = False  # its turn to send will come
        self.pending: deque[memoryview] = deque()
        self.writable = Writable(server.loop)

    def work(self) -> None:
        """Do what was asked for."""
        request = self.request._replace(body=bytes(self.body))
        self.body.clear()
        if len(request.body) <= LARGE:
            self.hold(0)  # what is large is held until it is answered
        self._handle(request)

    # ---- as every connection answers -----------------------------------------------------------------------

    def _queue(self, answer: bytes) -> None:
        self._answer = answer
        self._connection.owe(len(answer))
        self._server.turns.add(self)

    def take(self) -> list[bytes]:
        """The answer."""
        return [self._answer]

    def send(self, answers: list[bytes], *, failed: bool) -> None:
        """Let it leave, or an error when its commit has failed."""
        self._answer = b""
        self._connection.owe(-len(answers[0]))
        if failed:
            self.goes_on = False
        self._connection.respond(self, self._fault(closing=False) if failed else answers[0])
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(not failed)

    def _begin(self, answering: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = super()._begin(answering)
        self._connection.remember(task)
        return task

    async def _stream(self, request: Request, kind: bytes, extra: bytes, streamed: Streamed) -> None:
        server, connection = self._server, self._connection
        self._begun = server.loop.create_future()
        self.goes_on = True
        self._queue(head_bytes(server.stamp, server.ids.next(), extra, closing=False))
        try:
            if not await self._begun:
                return  # the commit has failed: the client was told so instead
            is_whole = await poured(streamed, self, kind)
        except asyncio.CancelledError:
            if not connection.has(self):
                raise
            is_whole = True  # the server stops
        if is_whole:
            connection.end(self)
        else:
            connection.reset(self)

    # ---- as an outlet --------------------------------------------------------------------------------------

    @property
    def is_blocked(self) -> bool:
        """Whether the client has yet to take what was written."""
        return bool(self.pending)

    def write(self, frame: bytes) -> None:
        """As `Outlet` has it."""
        self._connection.push(self, frame)

    async def drain(self) -> None:
        """As `Outlet` has it."""
        await self.writable.wait()

    def cancel(self) -> None:
        """End work that ends with the client."""
        if self._answering is not None:
            self._answering.cancel()
