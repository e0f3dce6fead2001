"""A fast HTTP load generator: keep-alive connections, one request in flight on each.

Rules of this file: the client must not be the bottleneck, so requests are ready-made bytes and answers are
looked at only for their status and length. Every answer that is not 200 counts as an error and the first one
is shown.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import orjson

HEAD = (
    "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.0\r\n"
    "X-Amz-Target: {service}.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0\r\nContent-Length: "
)
Requests = Callable[[int], Iterator[bytes]]


def request(operation: str, payload: object, service: str = "DynamoDB_20120810") -> bytes:
    """One ready-made request."""
    body = orjson.dumps(payload)
    return HEAD.format(service=service, operation=operation).encode() + b"%d\r\n\r\n" % len(body) + body


@dataclass(slots=True)
class Load:
    """What a load found. Units: seconds."""

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    first_error: bytes = b""
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """The latency that so many percent of the requests stayed below, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._load = load
        self._requests = requests
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0
        self.is_stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._next()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        head = data.find(b"\r\n\r\n")
        if head < 0 or len(data) < head + 4 + _content_length(data[:head]):
            self._buffer = data
            return
        self._buffer = b""
        self._load.requests += 1
        self._load.latencies.append(time.perf_counter() - self._sent_at)
        if not data.startswith(b"HTTP/1.1 200"):
            self._load.errors += 1
            self._load.first_error = self._load.first_error or data
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_stopping:
            self._load.errors += 1
            self._load.first_error = self._load.first_error or f"connection lost: {exc}".encode()
        if not self._done.done():
            self._done.set_result(None)

    def _next(self) -> None:
        following = None if self.is_stopping else next(self._requests, None)
        if following is None:
            self.is_stopping = True
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(following)


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"content-length:")
    return int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


async def drive(port: int, requests: Requests, connections: int, seconds: float = 3600.0) -> Load:
    """Send requests over so many connections until they run out or the time is up."""
    loop = asyncio.get_running_loop()
    load = Load()
    opened: list[_Connection] = []
    finished: list[asyncio.Future[None]] = []
    begun = time.perf_counter()
    for index in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        iterator = requests(index)
        _, connection = await loop.create_connection(
            lambda iterator=iterator, done=done: _Connection(load, iterator, done),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        opened.append(connection)
        finished.append(done)
    _, pending = await asyncio.wait(finished, timeout=seconds)
    for connection in opened:
        connection.is_stopping = True
    if pending:
        await asyncio.wait(pending, timeout=10)
    load.seconds = time.perf_counter() - begun
    return load


def run(port: int, requests: Requests, connections: int, seconds: float = 3600.0) -> Load:
    """`drive` in an event loop of its own, the fastest that is installed."""
    try:
        import uvloop

        return uvloop.run(drive(port, requests, connections, seconds))
    except ImportError:
        return asyncio.run(drive(port, requests, connections, seconds))
