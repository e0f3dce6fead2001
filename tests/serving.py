"""A real HTTP server on a free loopback port, in a thread of the test: for tests that need sockets.

Rules of this file: the loop and the engine belong to the thread; tests talk to it through
sockets, or through `call`.
"""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.ports import Store
from tailrace.server.http import HttpServer, HttpSettings, Route
from tailrace.server.preface import Newcomer
from tailrace.stores.memory import MemoryStore
from tests.patience import PATIENCE_S

Result = TypeVar("Result")
START_MS = 1_780_000_000_000
HEAD = (
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
    "X-Amz-Target: DynamoDB_20120810.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0\r\n"
)


class Served:
    """A running server."""

    def __init__(
        self,
        settings: HttpSettings,
        store: Store,
        routes: dict[str, Route] | None,
        engine: EngineSettings | None = None,
    ) -> None:
        self.points: list[str] = []
        self.clock = ManualClock(START_MS)
        self.engine = Engine(store, self.clock, engine or EngineSettings(), reached=self.points.append)
        self.server = HttpServer(
            self.engine, replace(settings, port=0), routes, self.points.append, guest=Newcomer
        )
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.port = self.run(self.server.start())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function on the server's loop."""

        async def calling() -> Result:
            return function()

        return self.run(calling())

    def stop(self) -> None:
        """End it."""
        self.run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE_S)
        self.loop.close()
        with contextlib.suppress(Exception):  # a store that a test has broken cannot be closed properly
            self.engine.close()

    def connect(self) -> "Client":
        """A new connection."""
        return Client(self.port)


class Client:
    """A socket that knows where an answer ends."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has closed is no error here."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        """One answer. Raises: EOFError when the server has closed instead."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), headers, body

    def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send, then receive one answer."""
        self.send(data)
        return self.receive()

    def is_closed(self) -> bool:
        """Whether the server closes, without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError(self.buffer)
        self.buffer += data


def request(operation: str, payload: object, *lines: str) -> bytes:
    """One request, with further header lines."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    extra = "".join(f"{line}\r\n" for line in lines)
    return f"{HEAD.format(operation=operation)}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(operation: str, *pieces: bytes) -> bytes:
    """One request with a chunked body."""
    head = f"{HEAD.format(operation=operation)}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@contextlib.contextmanager
def serving(
    settings: HttpSettings = HttpSettings(),  # noqa: B008 - frozen
    *,
    store: Store | None = None,
    routes: dict[str, Route] | None = None,
    engine: EngineSettings | None = None,
) -> Iterator[Served]:
    """A server until the block ends."""
    served = Served(settings, store or MemoryStore(), routes, engine)
    try:
        yield served
    finally:
        served.stop()
