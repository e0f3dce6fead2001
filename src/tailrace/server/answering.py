"""One request to its answer, whatever the connection is: which operation or route it is for, and what of it
is done beside the loop's turn.

Rules of this file: nothing of sockets or of a version of HTTP. An answer is made as HTTP/1.1 has it, and
leaves through `_queue`; what cannot be answered at once goes to `_begin`. `server.connection` is HTTP/1.1's.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from tailrace.api.dispatch import Executed, Reply
from tailrace.api.encoding import BYTES_WRITTEN, TooLargeInside, chosen, decoded, encoded, encoding
from tailrace.api.streaming import Streamed
from tailrace.api.taking import LARGE, is_soon_read
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
from tailrace.errors import ApiError, InternalError
from tailrace.server.others import (
    INTERNAL_ERROR,
    foreign_answer,
    other_answer,
    rest_answer,
    route_of,
    routed_answer,
)

if TYPE_CHECKING:
    from tailrace.server.http import HttpServer

_log = logging.getLogger("tailrace.server")

REST: Final = b"/20"  # paths of AWS begin with the date of their API
IDENTITY: Final = b"identity"


class Answerer:
    """Answers requests of one client. Shape: `_answering` is work that ends when the client goes. Units:
    `_held` are the bytes that it has of the server's room for bodies.
    """

    __slots__ = ("_answering", "_held", "_server")

    _server: "HttpServer"
    _answering: "asyncio.Task[None] | None"
    _held: int

    def hold(self, size: int) -> bool:
        """Take this much of the server's room for bodies, not what was held. Returns: whether it is there."""
        server = self._server
        server.held += size - self._held
        self._held = size
        if server.held > server.most_held:
            server.most_held = server.held
        return server.held <= server.settings.bodies_bytes

    def _queue(self, answer: bytes) -> None:
        """Let an answer leave with the next commit."""
        raise NotImplementedError

    def _begin(self, answering: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Let a coroutine answer beside the loop's turn; whatever it raises is answered, too."""
        server = self._server
        server.turns.flush_soon()
        task = server.loop.create_task(self._answer_beside(answering))
        server.answering.add(task)
        task.add_done_callback(server.answering.discard)
        return task

    async def _answer_beside(self, answering: Coroutine[Any, Any, None]) -> None:
        try:
            await answering
        except Exception:  # whatever went wrong, the client is told
            _log.exception("a request could not be answered")
            self._queue(self._fault(closing=False))
        finally:
            self.hold(0)

    async def _stream(self, request: Request, kind: bytes, extra: bytes, streamed: Streamed) -> None:
        """Give an answer that goes on. Shape: `kind` is the request's content type; `extra` are header
        lines.
        """
        raise NotImplementedError

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
        executed: Executed
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
        """Answer a request that another process takes apart, unless it takes longer to send it there."""
        server = self._server
        if is_soon_read(request.headers, request.body):
            executed = server.dispatcher.execute(request.headers, query, request.body)
            server.turns.flush_soon()
            await self._answer_slowly(request, kind, extra, executed)
            return
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
            if not isinstance(executed, Reply | Streamed):
                executed = await server.slicing.run(executed)
        finally:
            server.collecting.go_on()
        await self._answer_slowly(request, kind, extra, executed)

    async def _answer_slowly(self, request: Request, kind: bytes, extra: bytes, executed: Executed) -> None:
        """Answer in slices: the rest of the work, then the compression of the answer; or go on answering."""
        slicing = self._server.slicing
        if not isinstance(executed, Reply | Streamed):
            executed = await slicing.run(executed)
        if isinstance(executed, Streamed):
            await self._stream(request, kind, extra, executed)
            return
        reply = executed
        name = chosen(request.headers, len(reply.body))
        if name is not None:
            reply = reply._replace(body=await slicing.run(encoding(reply.body, name)))
            extra += b"Content-Encoding: %b\r\n" % name
        self._reply(request, kind, extra, reply)

    async def _ask(self, answer: Coroutine[Any, Any, bytes]) -> None:
        self._queue(await answer)

    def _fault(self, *, closing: bool) -> bytes:
        server = self._server
        return answer_bytes(server.stamp, 500, INTERNAL_ERROR, request_id=server.ids.next(), closing=closing)
