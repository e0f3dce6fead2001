"""Requests without sockets: the very path of the HTTP server, with the commit at once.

Rules of this file: same bytes in, same bytes out as over HTTP. Called by the test world's boto3 client and by
tests.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from isal.isal_zlib import crc32

from tailrace.api.dispatch import Dispatcher, Reply
from tailrace.api.protocols import FORM, XML
from tailrace.api.streaming import Streamed
from tailrace.api.wire import (
    BODY_LIMIT,
    JSON_PLAIN,
    NOT_FOUND_BODY,
    SERVER,
    TOO_LARGE,
    Answer,
    RequestIds,
    content_type,
    error_body,
    internal_server_error,
    refusal_body,
)
from tailrace.engine.slices import at_once
from tailrace.errors import CORAL, ApiError, StoreError
from tailrace.runtime.causing import CAUSE, NO_REQUEST
from tailrace.streams.ancestry import TRACE_HEADER, trace_id
from tailrace.streams.dates import http_date
from tailrace.telemetry import PointReached, pass_by

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine

_log = logging.getLogger("tailrace.server")

SECOND_MS: Final = 1_000
NOT_HERE: Final = ApiError(
    "UnsupportedOperationException",
    "A client inside the process has no connection for an answer that goes on: ask a server that "
    "`tailrace serve` or `tailrace dev` has started.",
    prefix=CORAL,
)
"""What an operation answers here whose answer has no end yet."""


class InProcess:
    """A client's door to an engine in the same process.

    Guarantee: what a call wrote is durable when it returns, as over HTTP.
    """

    def __init__(self, engine: "Engine", reached: PointReached = pass_by) -> None:
        self._engine = engine
        self._reached = reached
        self._dispatcher = Dispatcher(engine, reached)
        self._ids = RequestIds()
        self._second = -1
        self._date = ""

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """Answers by (operation, status)."""
        return self._dispatcher.requests

    def call(self, headers: Mapping[str, str | bytes], body: bytes, query: str = "") -> Answer:
        """One POST. Never raises for what a client did."""
        lowered = {name.lower().encode("latin-1"): _as_bytes(value) for name, value in headers.items()}
        if cause := CAUSE.get():  # a handler's client: its writes descend from what the handler is called for
            lowered.setdefault(TRACE_HEADER, trace_id(cause, 0, NO_REQUEST).encode())
        kind = content_type(lowered)
        if kind is None and lowered.get(b"content-type", b"").startswith(FORM):
            request_id = self._ids.next().decode()
            answer = self._dispatcher.execute_form(lowered, query.encode("latin-1"), body, request_id)
            return self._answer(answer.status, answer.body, XML)
        if kind is None and body:
            return self._answer(404, NOT_FOUND_BODY)
        if len(body) > BODY_LIMIT:
            reply = Reply(TOO_LARGE.status, error_body(TOO_LARGE))
        else:
            executed = self._dispatcher.execute(lowered, query.encode("latin-1"), body)
            if not isinstance(executed, Reply | Streamed):
                executed = at_once(executed)
            if isinstance(executed, Streamed):
                executed = Reply(NOT_HERE.status, refusal_body(lowered, NOT_HERE))
            reply = self._flushed(executed)
        self._reached("answer.sent")
        return self._answer(reply.status, reply.body, kind or JSON_PLAIN, reply.lines)

    def _answer(self, status: int, body: bytes, kind: bytes | None = None, lines: bytes = b"") -> Answer:
        second = self._engine.clock.now().wall_ms // SECOND_MS
        if second != self._second:
            self._second, self._date = second, http_date(second * SECOND_MS)
        headers = {
            "Server": SERVER.decode(),
            "Date": self._date,
            "x-amzn-RequestId": self._ids.next().decode(),
            "x-amz-crc32": str(crc32(body)),
            "Content-Length": str(len(body)),
            **dict(line.split(": ", 1) for line in lines.decode().splitlines()),
        }
        return Answer(status, headers if kind is None else {"Content-Type": kind.decode(), **headers}, body)

    def _flushed(self, reply: Reply) -> Reply:
        committer = self._engine.committer
        if not committer.is_dirty:
            return reply
        try:
            committer.flush()
        except StoreError as error:
            _log.error("the commit failed", extra={"error": str(error.args[0]), "hint": error.hint})
            return Reply(500, error_body(internal_server_error()))
        return reply


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
