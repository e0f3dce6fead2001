"""One client's connection: HTTP/1.1 on httptools, with keep-alive, pipelining, limits and time-outs.

Rules of this file: every byte a client may send ends in AWS's error or in a clean close. Answers leave
in the order of the requests, only through `server.turns`. Memory is bounded: headers, body, answers that wait
for a slow reader. Time is the server's `tick`, looked at by its sweep. Made by `server.http`.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, cast

import httptools

from tailrace.api.streaming import Streamed
from tailrace.api.taking import LARGE
from tailrace.api.wire import Request
from tailrace.server.answering import Answerer
from tailrace.server.http import Guest, HttpServer
from tailrace.server.others import refusal
from tailrace.server.streaming import Chunks, head_bytes, poured

OF_UPGRADES: Final = frozenset((b"upgrade", b"http2-settings"))
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Answerer, Guest):
    """The protocol of one connection."""

    __slots__ = (
        "__weakref__", "_answers", "_answers_size", "_are_twins", "_backlog", "_began", "_beside",
        "_chunks", "_headers", "_in_body", "_in_flight", "_in_headers", "_is_asking", "_is_last",
        "_is_paused", "_is_refused", "_lower_names", "_names", "_parser", "_parts", "_paused_at", "_piece",
        "_received", "_size", "_touched", "_transport", "_unfinished", "_url", "on_header",
    )  # fmt: skip

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._received: dict[bytes, bytes] = {}
        # The parser calls this once a header; the first of several lines of one name counts. C's method:
        # one of ours would be a seventh of a GetItem.
        self.on_header = self._received.setdefault
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._names: tuple[bytes, ...] = ()
        self._lower_names: tuple[bytes, ...] = ()
        self._are_twins = False  # names that differ in nothing but case
        self._url = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._piece = self._unfinished = self._beside = 0
        self._held = 0
        self._in_headers = False
        self._in_body = False
        self._began = self._touched = self._paused_at = server.tick
        self._answers: list[bytes] = []
        self._answers_size = 0
        self._in_flight = 0
        self._backlog: deque[Request] = deque()
        self._answering = None
        self._chunks: Chunks | None = None  # the answer that goes on
        self._is_asking = False  # an answer is made beside the loop's turn: what comes after it waits
        self._is_paused = False  # the client does not read
        self._is_last = False  # nothing more is taken from the wire
        self._is_refused = False  # what still arrives is thrown away

    # ---- the transport's side ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._server.remember(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End. All is given back at once, because parser and connection hold each other."""
        self._is_last = True
        self._backlog.clear()
        self._parts = []
        self._answers = []
        self._received.clear()
        self._headers = {}
        self._parser = None
        if self._held:
            self.hold(0)
        if self._answering is not None:
            self._answering.cancel()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came; whole requests are executed inside."""
        parser = self._parser
        if self._is_last or parser is None:
            return
        self._touched = self._server.tick
        self._piece = len(data)
        if self._in_headers:
            self._unfinished += self._piece
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(parser, data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(400)
            return
        # A header without an end never reaches a callback, so incomplete headers are judged by what came.
        # Requests before this one in the same piece count too, hence the allowance of a piece.
        if self._in_headers:
            if self._unfinished > self._server.settings.header_bytes + self._piece:
                self._refuse(400)
            return
        if self._in_body:
            self._judge_body()

    def _stay(self, parser: httptools.HttpRequestParser, rest: bytes) -> None:
        """The client would rather speak another protocol (`Upgrade: h2c`): it is answered in this one. The
        parser takes the body for that protocol's, so a new one reads the request again without the wish.
        """
        if parser.get_method() == b"CONNECT":  # it has its answer, and what follows is for somebody else
            self._is_last = True
            return
        lines = b"".join(b"%b: %b\r\n" % line for line in self._headers.items() if line[0] not in OF_UPGRADES)
        head = b"%b %b HTTP/%b\r\n" % (parser.get_method(), self._url, parser.get_http_version().encode())
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"%b%b\r\n%b" % (head, lines, rest))

    def _judge_body(self) -> None:
        """An incomplete body counts against all bodies; what grows beside it (trailers) as headers do."""
        self._beside += self._piece
        if self._beside > self._server.settings.header_bytes + self._piece:
            self._refuse(400)
        elif not self.hold(self._size):
            self._refuse(503)

    def eof_received(self) -> bool:
        """The client sends nothing more, but may still read: answers that wait are sent first. One that goes
        on has most likely lost its reader.
        """
        if self._is_refused or self._chunks is not None or not self._is_busy():
            return False
        if self._in_headers or self._in_body:
            self._in_headers = self._in_body = False  # the rest of that request will never come
            self._parts = []
            self.hold(0)
        self._is_last = True
        return self._is_busy()

    def pause_writing(self) -> None:
        """The client reads slower than it asks: stop taking requests."""
        self._is_paused = True
        self._paused_at = self._server.tick
        self._pause_reading()
        if self._chunks is not None:
            self._chunks.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_paused = False
        if self._chunks is not None:
            self._chunks.resume()
        self._work_backlog()

    # ---- the parser's side ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins: what the last one left is forgotten."""
        self._received.clear()
        self._url = b""
        self._parts = []
        self._size = 0
        self._unfinished = self._piece  # at most all of this piece is of this request
        self._in_headers = True
        self._began = self._server.tick

    def on_url(self, url: bytes) -> None:
        """The target, perhaps in pieces."""
        self._url += url

    def on_headers_complete(self) -> None:
        """Judge a body before it comes."""
        self._in_headers = False
        self._in_body = True
        self._size = 0
        if self._is_last:
            return
        received = self._received
        names = tuple(received)
        if names != self._names:  # a client sends the same names again and again
            self._names, self._lower_names = names, tuple(name.lower() for name in names)
            self._are_twins = len(set(self._lower_names)) < len(names)
        headers = self._headers = dict(zip(self._lower_names, received.values(), strict=True))
        if self._are_twins:
            for name, value in reversed(tuple(zip(self._lower_names, received.values(), strict=True))):
                headers[name] = value  # the first one counts
        if self._unfinished > self._server.settings.header_bytes and self._are_too_long(headers):
            self._refuse(400)
            return
        length = headers.get(b"content-length")
        if length is not None and (len(length) > 20 or int(length) > self._server.settings.body_bytes):
            self._refuse(413)
        elif b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
            if self._is_busy_with_answers():
                self._queue(CONTINUE)
            else:
                self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        self._beside = 0
        if self._size > self._server.settings.body_bytes:
            self._refuse(413)
        elif not self._is_last:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """Execute the request, or put it off while answers wait for a slow reader."""
        self._in_body = False
        parser = self._parser
        if self._is_last or parser is None:
            return
        parts = self._parts
        headers = self._headers
        if b"upgrade" in headers and parser.should_upgrade():
            return  # `_stay` has it read again
        keep = parser.should_keep_alive() and not self._server.is_draining
        if b"connection" in headers and parser.get_http_version() == "1.0":
            keep = False
        request = Request(
            parser.get_method(),
            self._url,
            headers,
            parts[0] if len(parts) == 1 else b"".join(parts),
            keep,
        )
        self._parts = []
        if self._held and not self._is_asking and self._size <= LARGE:
            self.hold(0)  # what is large is held until it is answered
        if not keep:
            self._is_last = True
        if self._backlog or self._is_blocked():
            self._backlog.append(request)
            self._pause_reading()
        else:
            self._handle(request)

    def _are_too_long(self, headers: dict[bytes, bytes]) -> bool:
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers.items())
        return size > self._server.settings.header_bytes

    def _begin(self, answering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let a coroutine answer; later requests of this client wait, so that answers keep their order."""
        self._is_asking = True
        self._pause_reading()
        return super()._begin(answering)

    async def _answer_beside(self, answering: Coroutine[Any, Any, None]) -> None:
        try:
            await super()._answer_beside(answering)
        finally:
            self._is_asking = False
            self._touched = self._server.tick
        if not self._transport.is_closing():
            self._work_backlog()

    async def _stream(self, request: Request, kind: bytes, extra: bytes, streamed: Streamed) -> None:
        server, transport = self._server, self._transport
        self._chunks = chunks = Chunks(transport, server.loop, is_chunked=request.keep)
        if self._is_paused:
            chunks.pause()
        self._queue(head_bytes(server.stamp, server.ids.next(), extra, closing=not request.keep))
        try:
            if not await chunks.begun:
                return  # the commit has failed: the client was told so instead
            if not (self._is_paused or transport.is_closing()):
                transport.resume_reading()  # else nobody would see that the client goes
            is_whole = await poured(streamed, chunks, kind)
        except asyncio.CancelledError:
            if transport.is_closing():
                raise
            is_whole = True  # the server stops
        finally:
            self._chunks = None
        if is_whole:
            chunks.end()
        if self._is_last and not self._backlog:
            self._end()
        elif not is_whole:
            transport.close()

    def _refuse(self, status: int) -> None:
        """Answer once more, then take nothing more from this client."""
        if self._is_refused:
            return
        self._is_refused = self._is_last = True
        self._in_headers = self._in_body = False
        self._parts = []
        self.hold(0)
        self._paused_at = self._server.tick
        answer = refusal(self._server, status)
        if self._backlog:
            self._server.loop.call_soon(self._queue, answer)  # behind what is still to be executed
        else:
            self._queue(answer)

    # ---- answers -------------------------------------------------------------------------------------------

    def _queue(self, answer: bytes) -> None:
        answers = self._answers
        answers.append(answer)
        self._answers_size += len(answer)
        if len(answers) == 1:
            self._server.turns.add(self)

    def take(self) -> list[bytes]:
        """The answers that wait; they no longer do."""
        answers, self._answers = self._answers, []
        self._in_flight += 1
        return answers

    def send(self, answers: list[bytes], *, failed: bool) -> None:
        """Write the answers, or, when their commit has failed, as many errors."""
        self._in_flight -= 1
        if not self._answers:
            self._answers_size = 0
        transport = self._transport
        if transport.is_closing():
            return
        if failed:
            answers = [CONTINUE if answer is CONTINUE else self._void(answer) for answer in answers]
        transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
        if self._chunks is not None:
            self._chunks.begin(failed=failed)
        if self._backlog:
            self._work_backlog()
        if self._is_last and not self._is_busy_with_answers() and not self._backlog:
            self._end()

    def _void(self, answer: bytes) -> bytes:
        closing = b"\r\nConnection: close\r\n" in answer.partition(b"\r\n\r\n")[0] + b"\r\n"
        return self._fault(closing=closing)

    def _end(self) -> None:
        """Close after the last answer; a refused client gets time to read it, and its bytes are ignored."""
        if self._is_refused and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _work_backlog(self) -> None:
        while self._backlog and not self._is_blocked():
            self._handle(self._backlog.popleft())
        if not self._backlog and not self._is_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _is_blocked(self) -> bool:
        return self._is_paused or self._is_asking or self._answers_size > self._server.settings.answer_bytes

    def _is_busy_with_answers(self) -> bool:
        return bool(self._answers) or self._in_flight > 0 or self._is_asking

    def _is_busy(self) -> bool:
        return self._is_busy_with_answers() or bool(self._backlog) or self._in_headers or self._in_body

    # ---- time ----------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Close what has stood still for too long. Called now and then, after the tick has moved."""
        now, settings = self._server.tick, self._server.settings
        if self._is_refused:
            if now - self._paused_at > settings.linger_seconds:
                self._transport.abort()
        elif self._is_paused:
            # An answer that goes on is read as fast as what is read can be worked on.
            most_s = settings.write_seconds if self._chunks is None else settings.request_seconds
            if now - self._paused_at > most_s:
                self._transport.abort()
        elif self._in_headers:
            if now - self._began > settings.header_seconds:
                self._transport.abort()
        elif self._in_body:
            if now - self._touched > settings.read_seconds or now - self._began > settings.request_seconds:
                self._transport.abort()
        elif not self._is_busy() and now - self._touched > settings.idle_seconds:
            self._transport.close()

    def finish(self) -> None:
        """Take no further request; close when what is under way is answered."""
        if not self._is_busy():
            self._is_last = True
            self._transport.close()
        elif not (self._in_headers or self._in_body):
            self._is_last = True
            if self._chunks is not None and self._answering is not None:
                self._answering.cancel()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
