"""Answers to what is no operation in JSON: forms, health, the extra routes, a page's preflight.

Rules of this file: it makes bytes, it sends none. Called by `server.connection`.
"""

import logging
from typing import TYPE_CHECKING, Final

from tailrace.api.protocols import FORM, XML, HttpAnswer
from tailrace.api.wire import (
    BUSY,
    JSON_1_0,
    JSON_PLAIN,
    NOT_FOUND_BODY,
    TOO_LARGE,
    Request,
    answer_bytes,
    error_body,
    internal_server_error,
)

if TYPE_CHECKING:
    from tailrace.server.http import HttpServer, Route

_log = logging.getLogger("tailrace.server")

INTERNAL_ERROR: Final = error_body(internal_server_error())
TEXT: Final = b"text/plain; charset=utf-8"
ALLOWED: Final = (
    b"Access-Control-Allow-Methods: POST, GET, OPTIONS\r\nAccess-Control-Max-Age: 172800\r\n"
    b"Access-Control-Allow-Headers: %b\r\n"
)
ASKED: Final = b"access-control-request-headers"
USUAL: Final = (
    b"authorization, content-type, x-amz-date, x-amz-security-token, x-amz-target, x-amz-content-sha256, "
    b"x-amz-user-agent, amz-sdk-invocation-id, amz-sdk-request"
)
"""What a page that asks for no header by name may send."""
REFUSALS: Final = {413: TOO_LARGE, 503: BUSY}
RETRY: Final = b"Retry-After: 1\r\n"


def refusal(server: "HttpServer", status: int) -> bytes:
    """The last answer of a connection that is taken nothing more from."""
    known = REFUSALS.get(status)
    body = b"" if known is None else error_body(known)
    server.dispatcher.count("-", str(status))
    return answer_bytes(
        server.stamp,
        status,
        body,
        request_id=server.ids.next() if body else b"",
        kind=JSON_1_0 if body else b"",
        extra=RETRY if status == BUSY.status else b"",
        closing=True,
    )


def other_answer(server: "HttpServer", request: Request, path: bytes, extra: bytes) -> bytes:
    """GET /, CORS preflight; everything else is unknown. Shape: `extra` are further header lines."""
    closing = not request.keep
    if request.method == b"GET" and path == b"/":
        return answer_bytes(
            server.stamp,
            200,
            server.health,
            request_id=server.ids.next(),
            kind=TEXT,
            extra=extra,
            closing=closing,
        )
    if request.method == b"OPTIONS" and extra:
        extra += ALLOWED % request.headers.get(ASKED, USUAL)
        return answer_bytes(
            server.stamp, 200, b"", request_id=server.ids.next(), kind=b"", extra=extra, closing=closing
        )
    return not_found(server, extra, closing=closing, without_body=request.method == b"HEAD")


def route_of(server: "HttpServer", method: bytes, path: bytes) -> "Route | None":
    """The extra route that answers a request; None: it is another one's."""
    return server.routes.get(path.decode("latin-1")) if method == b"GET" else None


async def routed_answer(
    server: "HttpServer", request: Request, path: bytes, route: "Route", extra: bytes
) -> bytes:
    """What an extra route answers. Never raises."""
    closing = not request.keep
    try:
        status, kind, body = await route()
    except Exception:  # a fault of a view must not end the connection
        _log.exception("%s failed", path.decode("latin-1"))
        return answer_bytes(server.stamp, 500, INTERNAL_ERROR, closing=closing)
    return answer_bytes(server.stamp, status, body, kind=kind.encode("latin-1"), extra=extra, closing=closing)


async def rest_answer(server: "HttpServer", request: Request, extra: bytes) -> bytes:
    """What the service of a path answers. It does what was asked even if the client has gone."""
    answer = await server.dispatcher.ask(request.method, request.url, request.headers, request.body)
    return _answer_bytes(server, request, answer, server.ids.next(), JSON_PLAIN, extra)


def foreign_answer(server: "HttpServer", request: Request, query: bytes, extra: bytes) -> bytes:
    """The answer to a body that is no JSON: a form is one of AWS's Query protocol and answered in XML."""
    if not request.headers.get(b"content-type", b"").startswith(FORM):
        return not_found(server, extra, closing=not request.keep)
    request_id = server.ids.next()
    answer = server.dispatcher.execute_form(request.headers, query, request.body, request_id.decode())
    return _answer_bytes(server, request, answer, request_id, XML, extra)


def _answer_bytes(
    server: "HttpServer", request: Request, answer: HttpAnswer, request_id: bytes, kind: bytes, extra: bytes
) -> bytes:
    return answer_bytes(
        server.stamp,
        answer.status,
        answer.body,
        request_id=request_id,
        kind=kind,
        extra=extra + answer.lines(),
        closing=not request.keep,
    )


def not_found(server: "HttpServer", extra: bytes, *, closing: bool, without_body: bool = False) -> bytes:
    """AWS's answer to what is no operation at all."""
    return answer_bytes(
        server.stamp,
        404,
        NOT_FOUND_BODY,
        request_id=server.ids.next(),
        kind=b"",
        extra=extra,
        closing=closing,
        without_body=without_body,
    )
