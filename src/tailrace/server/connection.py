"""One client's connection: HTTP/1.1 on httptools, with keep-alive, pipelining, limits and time-outs.

Rules of this file: every byte a client may send ends in AWS's error or in a clean close. Answers leave
in the order of the requests, only through `server.turns`. Memory is bounded: headers, body, answers that wait
for a slow reader. Time is the server's `tick`, looked at by its sweep. Made by `server.http`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, cast

import httptools

from tailrace.api.dispatch import Reply
from tailrace.api.encoding import BYTES_WRITTEN, TooLargeInside, chosen, decoded, encoded, encoding
from tailrace.api.taking import LARGE
from tailrace.api.wire import (
    CONTENT_TYPES,
    JSON_1_0,
    JSON_PLAIN,
    Request,
    answer_bytes,
    content_type,
    error_body,
    success_bytes,
)
from tailrace.engine.slices import Slices
from tailrace.errors import ApiError, InternalError
from tailrace.server.http import Guest, HttpServer
from tailrace.server.others import (
    INTERNAL_ERROR,
    foreign_answer,
    other_answer,
    refusal,
    rest_answer,
    route_of,
    routed_answer,
)

_log = logging.getLogger("tailrace.server")

REST: Final = b"/20"  # paths of AWS begin with the date of their API
IDENTITY: Final = b"identity"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Guest):
    """The protocol of one connection."""

    __slots__ = (
        "__weakref__", "_answering", "_answers", "_answers_size", "_are_twins", "_backlog", "_began",
        "_beside", "_headers", "_held", "_in_body", "_in_flight", "_in_headers", "_is_asking", "_is_last",
        "_is_paused", "_is_refused", "_lower_names", "_names", "_parser", "_parts", "_paused_at", "_piece",
        "_received", "_server", "_size", "_touched", "_transport", "_unfinished", "_url", "on_header",
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
        self._held = 0  # what this connection has of the server's room for bodies
        self._in_headers = False
        self._in_body = False
        self._began = self._touched = self._paused_at = server.tick
        self._answers: list[bytes] = []
        self._answers_size = 0
        self._in_flight = 0
        self._backlog: deque[Request] = deque()
        self._answering: asyncio.Task[None] | None = None
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
        self._hold(0)
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
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
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

    def _judge_body(self) -> None:
        """An incomplete body counts against all bodies; what grows beside it (trailers) as headers do."""
        self._beside += self._piece
        if self._beside > self._server.settings.header_bytes + self._piece:
            self._refuse(400)
        elif not self._hold(self._size):
            self._refuse(503)

    def _hold(self, size: int) -> bool:
        """Take this much of the server's room for bodies, not what was held. Returns: whether it is there."""
        server = self._server
        server.held += size - self._held
        self._held = size
        if server.held > server.most_held:
            server.most_held = server.held
        return server.held <= server.settings.bodies_bytes

    def eof_received(self) -> bool:
        """The client sends nothing more, but may still read: answers that wait are sent first."""
        if self._is_refused or not self._is_busy():
            return False
        if self._in_headers or self._in_body:
            self._in_headers = self._in_body = False  # the rest of that request will never come
            self._parts = []
            self._hold(0)
        self._is_last = True
        return self._is_busy()

    def pause_writing(self) -> None:
        """The client reads slower than it asks: stop taking requests."""
        self._is_paused = True
        self._paused_at = self._server.tick
        self._pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_paused = False
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
            self._hold(0)  # what is large is held until it is answered
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

    # ---- one request ---------------------------------------------------------------------------------------

    def _handle(self, request: Request) -> None:
        server = self._server
        method, url, headers, body, keep = request
        if not server.knows_host(headers.get(b"host")):
            self._queue(server.forbidden_host(headers.get(b"host", b""), closing=not keep))
            return
        extra = server.cors_lines(headers) if server.settings.cors is not None else b""
        path, _, query = url.partition(b"?")
        if method != b"POST" or path != b"/":
            if path.startswith(REST) and server.dispatcher.serves_paths:
                self._begin(self._ask(rest_answer(server, request, extra)))
            elif (route := route_of(server, method, path)) is not None:
                self._begin(self._ask(routed_answer(server, request, path, route, extra)))
            else:
                self._queue(other_answer(server, request, path, extra))
            return
        declared = headers.get(b"content-type", b"")
        kind = declared if declared in CONTENT_TYPES else content_type(headers)
        if kind is None:
            if body:
                self._queue(foreign_answer(server, request, query, extra))
                return
            kind = JSON_PLAIN
        if len(body) > LARGE:
            self._answering = self._begin(self._answer_large(request, query, kind, extra))
            return
        if b"content-encoding" in headers or headers.get(b"accept-encoding", IDENTITY) != IDENTITY:
            self._handle_encoded(request, query, kind, extra)
            return
        executed = server.dispatcher.execute(headers, query, body)
        if type(executed) is not Reply:
            self._answering = self._begin(self._answer_slowly(request, kind, extra, executed))
            return
        status, answer, lines = executed
        if status == 200 and keep and kind is declared and declared == JSON_1_0 and not (extra or lines):
            self._queue(success_bytes(server.stamp, server.ids.next(), answer))
            return
        self._reply(request, kind, extra, executed)

    def _handle_encoded(self, request: Request, query: bytes, kind: bytes, extra: bytes) -> None:
        """A request whose body is compressed, or that takes a compressed answer."""
        server, headers = self._server, request.headers
        executed: Reply | Slices[Reply]
        try:
            body = decoded(request.body, headers.get(b"content-encoding", IDENTITY), LARGE)
        except TooLargeInside:
            self._answering = self._begin(self._answer_large(request, query, kind, extra))
            return
        except ApiError as error:
            executed = Reply(error.status, error_body(error))
        else:
            executed = server.dispatcher.execute(headers, query, body)
        if isinstance(executed, Reply) and len(executed.body) <= BYTES_WRITTEN:
            name = chosen(headers, len(executed.body))
            if name is not None:
                executed = executed._replace(body=encoded(executed.body, name))
                extra += b"Content-Encoding: %b\r\n" % name
            self._reply(request, kind, extra, executed)
        else:
            self._answering = self._begin(self._answer_slowly(request, kind, extra, executed))

    def _reply(self, request: Request, kind: bytes, extra: bytes, reply: Reply) -> None:
        stamp, request_id, closing = self._server.stamp, self._server.ids.next(), not request.keep
        status, body, lines = reply
        extra += lines
        self._queue(
            answer_bytes(stamp, status, body, request_id=request_id, kind=kind, extra=extra, closing=closing)
        )

    async def _answer_large(self, request: Request, query: bytes, kind: bytes, extra: bytes) -> None:
        """Answer a request that another process takes apart."""
        server = self._server
        try:
            taken = await server.takers.take(request, query, server.settings.body_bytes)
        except InternalError as error:
            _log.error("a large request could not be taken apart: %s", error)
            self._reply(request, kind, extra, Reply(500, INTERNAL_ERROR))
            return
        server.collecting.put_off(server.loop.time())
        try:
            executed = server.dispatcher.execute_taken(request.headers, taken, query)
            server.turns.flush_soon()
            await self._answer_slowly(request, kind, extra, executed)
        finally:
            server.collecting.go_on()

    async def _answer_slowly(
        self, request: Request, kind: bytes, extra: bytes, executed: Reply | Slices[Reply]
    ) -> None:
        """Answer in slices: the rest of the work, then the compression of the answer."""
        slicing = self._server.slicing
        reply = executed if isinstance(executed, Reply) else await slicing.run(executed)
        name = chosen(request.headers, len(reply.body))
        if name is not None:
            reply = reply._replace(body=await slicing.run(encoding(reply.body, name)))
            extra += b"Content-Encoding: %b\r\n" % name
        self._reply(request, kind, extra, reply)

    def _begin(self, answering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let a coroutine answer; later requests of this client wait, so that answers keep their order."""
        self._is_asking = True
        self._pause_reading()
        self._server.turns.flush_soon()
        task = self._server.loop.create_task(self._answer_beside(answering))
        self._server.answering.add(task)
        task.add_done_callback(self._server.answering.discard)
        return task

    async def _answer_beside(self, answering: Coroutine[Any, Any, None]) -> None:
        try:
            await answering
        except Exception:  # whatever went wrong, the client is told
            _log.exception("a request could not be answered")
            self._queue(self._fault(closing=False))
        finally:
            self._is_asking = False
            self._touched = self._server.tick
            self._hold(0)
        if not self._transport.is_closing():
            self._work_backlog()

    async def _ask(self, answer: Coroutine[Any, Any, bytes]) -> None:
        self._queue(await answer)

    def _refuse(self, status: int) -> None:
        """Answer once more, then take nothing more from this client."""
        if self._is_refused:
            return
        self._is_refused = self._is_last = True
        self._in_headers = self._in_body = False
        self._parts = []
        self._hold(0)
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
        if self._backlog:
            self._work_backlog()
        if self._is_last and not self._is_busy_with_answers() and not self._backlog:
            self._end()

    def _void(self, answer: bytes) -> bytes:
        closing = b"\r\nConnection: close\r\n" in answer.partition(b"\r\n\r\n")[0] + b"\r\n"
        return self._fault(closing=closing)

    def _fault(self, *, closing: bool) -> bytes:
        server = self._server
        return answer_bytes(server.stamp, 500, INTERNAL_ERROR, request_id=server.ids.next(), closing=closing)

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
            if now - self._paused_at > settings.write_seconds:
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

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
