"""DynamoDB's wire protocol: bytes of a request → an operation and its payload, and answers → bytes.

Rules of this file: pure: no sockets, no clock, no randomness; every refusal is an `ApiError` in AWS's words,
in AWS's order of checks (semantics §6.1). What an operation is, the caller's table says. Called by
`api.dispatch`, which `server.connection` and `server.inprocess` share.
"""

import re
from base64 import b32encode
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes

import orjson
from isal.isal_zlib import crc32

from tailrace.api.cbor import cbor_of, read_cbor
from tailrace.errors import CORAL, ApiError
from tailrace.streams.dates import http_date
from tailrace.streams.moment import Moment

Payload: TypeAlias = dict[str, Any]
Headers: TypeAlias = Mapping[bytes, bytes]
"""Names in lower case; values without the blanks around them."""
OperationT = TypeVar("OperationT")

BODY_LIMIT: Final = 16 * 1024 * 1024
"""The largest request. Source: semantics §6.1."""
JSON_1_0: Final = b"application/x-amz-json-1.0"
JSON_PLAIN: Final = b"application/json"
CONTENT_TYPES: Final = frozenset((JSON_1_0, JSON_PLAIN))
JSON_1_1: Final = b"application/x-amz-json-1.1"
CBOR: Final = b"application/x-amz-cbor-1.1"
KINESIS_TARGET: Final = b"Kinesis_20131202"
KINESIS_TYPES: Final = CONTENT_TYPES | {JSON_1_1, CBOR}
NOT_FOUND_BODY: Final = b"<UnknownOperationException/>\n"
TOO_LARGE: Final = ApiError(
    "RequestEntityTooLargeException", "Request body is too large.", status=413, prefix=CORAL
)
BUSY: Final = ApiError(
    "ServiceUnavailable",
    "Service is unavailable: too many large requests at once. Please retry.",
    status=503,
    prefix=CORAL,
)
CREDENTIAL: Final = b"Credential="
END_OF_CREDENTIAL: Final = re.compile(rb"[,&\s]")
SCOPE_PARTS: Final = 5
REGION: Final = re.compile(rb"[a-z0-9-]{1,64}")
ACCOUNT: Final = re.compile(rb"[0-9]{12}")
CAPITAL_MESSAGE: Final = frozenset(("SerializationException", "TransactionCanceledException"))
REASONS: Final = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    409: b"Conflict",
    412: b"Precondition Failed",
    413: b"Payload Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


class Request(NamedTuple):
    """One request, whole."""

    method: bytes
    url: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep: bool


class Answer(NamedTuple):
    """One answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes


# ---- requests ----------------------------------------------------------------------------------------------


def read_call(
    headers: Headers,
    query: bytes,
    body: bytes,
    operations: Mapping[bytes, OperationT],
    is_signed: bool = False,
) -> tuple[OperationT, Payload]:
    """What a POST asks for.

    Shape:   `operations` by the raw `X-Amz-Target`; `query` is what stands behind the `?`; with `is_signed`
             the Authorization header is known to have all of its parts.
    Raises:  ApiError, the first that AWS would find: JSON, target, authentication. Parameters are not looked
             at.
    Source:  semantics §6.1.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        if body and content_type(headers) != CBOR:  # a map of CBOR is never JSON
            raise ApiError("SerializationException", None, prefix=CORAL) from None
        payload = read_cbor(body) if body else None  # nothing at all is missed last
    if type(payload) is not dict and body:
        raise ApiError("SerializationException", None, prefix=CORAL)
    operation = operations.get(headers.get(b"x-amz-target", b""))
    if operation is None:
        raise ApiError("UnknownOperationException", None, prefix=CORAL)
    if (
        query
        or not (is_signed or all_but_signature(headers.get(b"authorization", b"")))
        or (b"x-amz-date" not in headers and b"date" not in headers)
    ):
        check_authentication(headers, query)
    if payload is None:
        raise ApiError("SerializationException", None, prefix=CORAL)
    return operation, payload


def check_authentication(headers: Headers, query: bytes) -> None:
    """Require the form of a signed request by any signer. Raises: ApiError. Source: semantics §6.1."""
    authorization = headers.get(b"authorization")
    members = _query_members(query)
    if b"X-Amz-Algorithm" in members:
        if authorization is not None:
            raise ApiError(
                "InvalidSignatureException",
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
                prefix=CORAL,
            )
        _check_query(members)
        return
    if authorization is None or not authorization.startswith(b"AWS4-"):
        raise ApiError(
            "MissingAuthenticationTokenException", "Request is missing Authentication Token", prefix=CORAL
        )
    parameters = _named(authorization.replace(b",", b" ").split()[1:])
    missing = [
        f"Authorization header requires '{name}' parameter. "
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parameters.get(name.encode())
    ]
    if b"x-amz-date" not in headers and b"date" not in headers:
        missing.append(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        )
    if missing:
        text = authorization.decode("latin-1")
        raise ApiError(
            "IncompleteSignatureException", f"{''.join(missing)}Authorization={text}", prefix=CORAL
        )


def _query_members(query: bytes) -> dict[bytes, bytes]:
    return _named(query.split(b"&")) if query else {}


def _named(parts: Iterable[bytes]) -> dict[bytes, bytes]:
    """`name=value` by name; what has no value has an empty one, and counts as missing."""
    return {name: value for name, _, value in (part.partition(b"=") for part in parts)}


def _check_query(members: Mapping[bytes, bytes]) -> None:
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    missing = [
        f"AWS query-string parameters must include '{name}'. "
        for name in names
        if not members.get(name.encode())
    ]
    if missing:
        raise ApiError(
            "IncompleteSignatureException",
            f"{''.join(missing)}Re-examine the query-string parameters.",
            prefix=CORAL,
        )


def all_but_signature(signed: bytes) -> bytes:
    """What an Authorization header has in common with the next one of its client; empty where parts are
    missing."""
    common, signature, _ = signed.partition(b"Signature=")
    if signature and CREDENTIAL in common and b"SignedHeaders=" in common:
        return common + signature
    return b""


def namespace_of(signed: bytes) -> tuple[str, str]:
    """Region and account of a request, from its Authorization header or its signed query; empty: it does not
    say.

    Shape:   `AccessKey/date/region/service/aws4_request`; an account is an access key of twelve digits.
    """
    credential = END_OF_CREDENTIAL.split(signed.partition(CREDENTIAL)[2], maxsplit=1)[0]
    parts = unquote_to_bytes(credential).split(b"/")
    if len(parts) < SCOPE_PARTS:
        return "", ""
    key, region = b"/".join(parts[:-4]), parts[-3]
    return (
        region.decode() if REGION.fullmatch(region) else "",
        key.decode() if ACCOUNT.fullmatch(key) else "",
    )


def content_type(headers: Headers) -> bytes | None:
    """The content type of a request without its parameters, if it is one that AWS's endpoint reads."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind if kind in CONTENT_TYPES or (kind in KINESIS_TYPES and is_of_kinesis(headers)) else None


def is_of_kinesis(headers: Headers) -> bool:
    """Whether a request names an operation of Kinesis."""
    return headers.get(b"x-amz-target", b"").startswith(KINESIS_TARGET)


# ---- answers -----------------------------------------------------------------------------------------------


def error_body(error: ApiError) -> bytes:
    """The body of an error. Source: semantics §6.1 (which errors say `Message`)."""
    members: dict[str, object] = {"__type": error.prefix + error.code}
    if error.message is not None:
        members["Message" if error.code in CAPITAL_MESSAGE else "message"] = error.message
    members.update(error.extra)
    return orjson.dumps(members)


def answer_body(headers: Headers, members: object) -> bytes:
    """The body of an answer, in the form that the request has."""
    return body_in(content_type(headers), members)


def body_in(kind: bytes | None, members: object) -> bytes:
    """Members in the form of a content type: CBOR in its own, and JSON in all others."""
    return cbor_of(members) if kind == CBOR else orjson.dumps(members, default=_plain)


def _plain(value: object) -> object:
    """What JSON has no form of its own for."""
    match value:
        case bytes():
            return b2a_base64(value, newline=False).decode()
        case Moment(ms):
            return ms / 1_000
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


def refusal_body(headers: Headers, error: ApiError) -> bytes:
    """The body of an error, in the form that the request has: Kinesis' has no namespaces."""
    if not is_of_kinesis(headers):
        return error_body(error)
    members: dict[str, object] = {
        "__type": "InternalFailure" if error.code == "InternalServerError" else error.code
    }
    if error.message is not None:
        members["message"] = error.message
    return answer_body(headers, members)


def internal_server_error() -> ApiError:
    """What a client learns of a fault of the server."""
    return ApiError("InternalServerError", "Internal server error", status=500)


_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SUFFIXES: Final = tuple(bytes((high, low)) for high in _ALPHABET for low in _ALPHABET)


class RequestIds:
    """Request identities: 52 upper-case letters and digits, never the same twice for one seed.

    A block of 1,024 shares fifty characters of a hash; two more count inside it.
    """

    def __init__(self, seed: bytes = b"") -> None:
        self._key = blake2b(seed, digest_size=32).digest()
        self._number = 0
        self._prefix = b""

    def next(self) -> bytes:
        """The next identity."""
        number = self._number
        self._number = number + 1
        if not number & 1023:
            block = blake2b((number >> 10).to_bytes(8), key=self._key, digest_size=32).digest()
            self._prefix = b32encode(block)[:50]
        return self._prefix + _SUFFIXES[number & 1023]


SERVER: Final = b"Server"
"""What AWS's front end calls itself."""


def stamped(wall_ms: int) -> bytes:
    """The lines that every answer begins with: who answers, and when, to the second. Too dear for every
    answer.

    >>> stamped(1_357_000_000_123)
    b'Server: Server\\r\\nDate: Tue, 01 Jan 2013 00:26:40 GMT\\r\\n'
    """
    return b"Server: %b\r\nDate: %b\r\n" % (SERVER, http_date(wall_ms).encode())


_SUCCESS: Final = (
    b"HTTP/1.1 200 OK\r\n%bContent-Type: application/x-amz-json-1.0\r\n"
    b"x-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\nContent-Length: %d\r\n\r\n%b"
)


def success_bytes(stamp: bytes, request_id: bytes, body: bytes) -> bytes:
    """The usual answer, whole: status 200, the usual content type, the connection stays open."""
    return _SUCCESS % (stamp, request_id, crc32(body), len(body), body)


def answer_bytes(
    stamp: bytes,
    status: int,
    body: bytes,
    *,
    request_id: bytes = b"",
    kind: bytes = JSON_1_0,
    extra: bytes = b"",
    closing: bool = False,
    without_body: bool = False,
) -> bytes:
    """Any answer, whole.

    Shape:   `stamp` comes from `stamped`; `extra` are further header lines, each with its CRLF; without a
             request identity there is no checksum either; `without_body` answers a HEAD.
    """
    lines = [b"HTTP/1.1 %d %b\r\n%b" % (status, REASONS[status], stamp)]
    if kind:
        lines.append(b"Content-Type: %b\r\n" % kind)
    if request_id:
        lines.append(b"x-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\n" % (request_id, crc32(body)))
    if closing:
        lines.append(b"Connection: close\r\n")
    lines.append(b"%bContent-Length: %d\r\n\r\n" % (extra, len(body)))
    if not without_body:
        lines.append(body)
    return b"".join(lines)
