"""AWS's Signature Version 4: what is signed, with what, and the headers that say so.

Theory of operation: a request is brought into one canonical text, that text is hashed, and the hash is signed
with a key that is derived from the secret for one day, region and service. A verifier builds the same text
from what arrived: `canonical_request` and `signature` are for both sides.
Rules of this file: pure; times come as AWS writes them ("20260131T235959Z"), paths and queries as they stand
on the wire, escaped once. Sources: IAM User Guide, "Create a signed AWS API request"; S3 API Reference,
"Signature Calculations for the Authorization Header"; botocore.auth, the oracle of the tests.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from posixpath import normpath
from typing import Final
from urllib.parse import quote

from msgspec import Struct

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
"""In place of the hash of a body that TLS alone protects; only S3 takes it."""
EMPTY_HASH: Final = sha256(b"").hexdigest()
NOT_SIGNED: Final = frozenset(
    (
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    )
)
"""Headers that a proxy may change. Source: botocore.auth, SIGNED_HEADERS_BLACKLIST."""
UNESCAPED: Final = "-._~"
"""What stands for itself beside letters and digits. Source: RFC 3986 §2.3."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who calls. Shape: `token` belongs to temporary ones and is sent beside the signature."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Scope(Struct, frozen=True):
    """What a signature is good for. Shape: `service` is the signing name ("dynamodb", also for its streams);
    in S3 paths stand as they are.
    """

    region: str
    service: str

    @property
    def has_plain_paths(self) -> bool:
        """Whether a path is signed as it is sent: not escaped again, its dots and doubled slashes kept."""
        return self.service.startswith("s3")


def signed_headers(
    credentials: Credentials,
    scope: Scope,
    stamp: str,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    payload_hash: str,
) -> dict[str, str]:
    """Headers to send: those given, those that a signature needs, and `authorization`; names in lower case.

    Shape:   `path` escaped for the wire, `query` escaped names and values, `headers` with "host" among them,
             `payload_hash` as of `payload_hash_of`.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    sent["x-amz-date"] = stamp
    if credentials.token is not None:
        sent["x-amz-security-token"] = credentials.token
    if scope.has_plain_paths:
        sent["x-amz-content-sha256"] = payload_hash
    names = sorted(name for name in sent if name not in NOT_SIGNED)
    text = canonical_request(scope, method, path, query, sent, names, payload_hash)
    signed = signature(credentials.secret_key, scope, stamp, text)
    scoped = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    sent["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scoped}, "
        f"SignedHeaders={';'.join(names)}, Signature={signed}"
    )
    return sent


def payload_hash_of(body: bytes) -> str:
    """What Signature Version 4 signs of it. Shape: SHA-256 in hexadecimal digits."""
    return sha256(body).hexdigest() if body else EMPTY_HASH


def canonical_request(
    scope: Scope,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    names: Sequence[str],
    payload_hash: str,
) -> str:
    """The text whose hash is signed. Shape: `headers` by names in lower case; `names` are those that are
    signed, sorted.

    >>> scope = Scope("us-east-1", "dynamodb")
    >>> canonical_request(scope, "GET", "/", [("b", ""), ("a", "1")], {"host": "a  b"}, ["host"], "hash")
    'GET\\n/\\na=1&b=\\nhost:a b\\n\\nhost\\nhash'
    """
    lines = "".join(f"{name}:{_trimmed(headers[name])}\n" for name in names)
    arguments = "&".join(f"{name}={value}" for name, value in sorted(query)) if query else ""
    return (
        f"{method}\n{_canonical_path(scope, path)}\n{arguments}\n{lines}\n{';'.join(names)}\n{payload_hash}"
    )


def signature(secret_key: str, scope: Scope, stamp: str, canonical: str) -> str:
    """The signature of a canonical request, in hexadecimal."""
    day = stamp[:8]
    hashed = sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{stamp}\n{day}/{scope.region}/{scope.service}/aws4_request\n{hashed}"
    return hmac.digest(_key(secret_key, day, scope.region, scope.service), text.encode(), "sha256").hex()


@lru_cache(maxsize=256)
def _key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _trimmed(value: str) -> str:
    return " ".join(value.split()) if " " in value or "\t" in value else value


def _canonical_path(scope: Scope, path: str) -> str:
    if path in ("", "/"):
        return "/"
    if scope.has_plain_paths:
        return path
    normal = normpath(f"/{path.lstrip('/')}")
    if path.endswith("/") and normal != "/":
        normal += "/"
    return quote(normal, safe=f"/{UNESCAPED}")
