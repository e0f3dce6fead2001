"""The HTTP server: listening, connections, their time-outs, the drain.

Rules of this file: sockets and the loop's timer, nothing about DynamoDB. Safe by default: it listens on
loopback, checks the Host header, and sends no CORS header unless an origin is configured. Made by node.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.api.dispatch import Dispatcher
from tailrace.api.wire import BODY_LIMIT, RequestIds, answer_bytes, error_body, stamped
from tailrace.errors import CORAL, ApiError
from tailrace.server.collecting import Collecting
from tailrace.server.hosts import ANY, host_name, is_allowed
from tailrace.server.slicing import Slicing
from tailrace.server.takers import Takers
from tailrace.server.trimming import WORTH, malloc_trim
from tailrace.server.turns import Turns
from tailrace.telemetry import PointReached, pass_by

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine

Route: TypeAlias = Callable[[], Awaitable[tuple[int, str, bytes]]]
HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""How a client begins that knows that we speak HTTP/2."""
MOST_HOSTS: Final = 256
"""Host headers remembered as good; each is checked anew beyond that."""


class HttpSettings(Struct, frozen=True):
    """Settings of one server.

    Shape:   port 0 means any free one; `hosts` are further names that clients may use for it ("*": any);
             `cors` is the one origin whose pages may ask ("*": any). `sync` full commits in a thread. `seed`
             keeps request identities of two starts apart.
    Units:   seconds, bytes. `header_seconds` from the first byte of a request; `read_seconds` without a byte;
             `request_seconds` for a whole request; `write_seconds` for a client that does not read;
             `linger_seconds` for one that was refused. `bodies_bytes` bounds all bodies together that are not
             complete or not yet answered.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: frozenset[str] = frozenset()
    cors: str | None = None
    sync: Literal["normal", "full"] = "normal"
    seed: bytes = b""
    header_bytes: int = 16_384
    body_bytes: int = BODY_LIMIT
    bodies_bytes: int = 16 * BODY_LIMIT
    answer_bytes: int = 1_048_576
    header_seconds: float = 15.0
    read_seconds: float = 30.0
    request_seconds: float = 300.0
    write_seconds: float = 60.0
    idle_seconds: float = 120.0
    linger_seconds: float = 2.0
    drain_seconds: float = 10.0

    def sweep_seconds(self) -> float:
        """How often time-outs are looked at: a quarter of the shortest one, at most once a second."""
        shortest = min(
            self.header_seconds,
            self.read_seconds,
            self.request_seconds,
            self.write_seconds,
            self.idle_seconds,
            self.linger_seconds,
        )
        return max(0.005, min(1.0, shortest / 4))


DEFAULTS: Final = HttpSettings()


class Guest(asyncio.Protocol):
    """A connection, as the server knows it."""

    __slots__ = ()

    def sweep(self) -> None:
        """Look at its time-outs."""
        raise NotImplementedError

    def finish(self) -> None:
        """Answer what is under way, and close."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once."""
        raise NotImplementedError


class HttpServer:
    """Serves an engine over HTTP.

    Shape:   `requests` counts answers by (operation, status); `turns` knows the commits; `stamp` are the
             lines that every answer begins with, with the time of the engine's clock as of the last sweep.
             Units: `held` are the bytes of all bodies that are not complete or not yet answered,
             `most_held` what they were at most since memory was given back.
    """

    loop: asyncio.AbstractEventLoop
    turns: Turns
    slicing: Slicing
    takers: Takers

    def __init__(
        self,
        engine: "Engine",
        settings: HttpSettings = DEFAULTS,
        routes: Mapping[str, Route] | None = None,
        reached: PointReached = pass_by,
        *,
        guest: "Callable[[HttpServer], Guest]",
    ) -> None:
        self.settings = settings
        self.routes = dict(routes or {})
        self.dispatcher = Dispatcher(engine, reached)
        self.ids = RequestIds(settings.seed)
        self.stamp = stamped(engine.clock.now().wall_ms)
        self.health = f"healthy: dynamodb.{engine.settings.region}.amazonaws.com ".encode()
        self.connections: set[Guest] = set()
        self._guest = guest
        self.tick = 0.0
        self.held = self.most_held = 0
        self.answering: set[asyncio.Task[None]] = set()
        self.collecting = Collecting()
        self._engine = engine
        self._reached = reached
        self._good_hosts: set[bytes | None] = {None}  # only HTTP/1.0 comes without; a browser never does
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """Answers by (operation, status)."""
        return self.dispatcher.requests

    async def start(self) -> int:
        """Listen. Returns: the port. Raises: OSError when it is taken."""
        self.loop = asyncio.get_running_loop()
        self.turns = Turns(
            self._engine, self.loop, in_thread=self.settings.sync == "full", reached=self._reached
        )
        self.slicing = Slicing(self.loop, self.turns.flush_soon)
        self.takers = Takers()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server = await self.loop.create_server(
            lambda: self._guest(self), self.settings.host, self.settings.port, backlog=1024
        )
        self._sweep()
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def drain(self, within_s: float | None = None) -> None:
        """Take no further connections or requests, answer what is under way, close. Repeatable.

        Shape:   `within_s` bounds the wait further than `drain_seconds` does.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in tuple(self.connections):
            connection.finish()
        assert self._empty is not None
        try:
            most_s = self.settings.drain_seconds
            await asyncio.wait_for(self._empty.wait(), most_s if within_s is None else min(within_s, most_s))
        except TimeoutError:
            for connection in tuple(self.connections):
                connection.abort()
        await self.turns.settle()

    async def close(self) -> None:
        """End everything; clients that still wait get no answer. Repeatable."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self.connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            await asyncio.sleep(0)
            await self.turns.settle()
            self.turns.close()
            await self.takers.close()

    # ---- what connections ask for --------------------------------------------------------------------------

    @property
    def is_draining(self) -> bool:
        """Whether each answer is the last of its connection."""
        return self._server is None

    def forget(self, connection: Guest) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None:
            self._empty.set()

    def remember(self, connection: Guest) -> None:
        """Until `forget`: a drain waits for it."""
        self.connections.add(connection)
        if self._empty is not None:
            self._empty.clear()

    def knows_host(self, header: bytes | None) -> bool:
        """Whether the Host header names this server."""
        if header in self._good_hosts:
            return True
        if header is None or not is_allowed(header, self.settings.host, self.settings.hosts):
            return False
        if len(self._good_hosts) < MOST_HOSTS:
            self._good_hosts.add(header)
        return True

    def forbidden_host(self, header: bytes, *, closing: bool) -> bytes:
        """The answer to a request for another name."""
        self.dispatcher.count("-", "403")
        error = ApiError(
            "AccessDeniedException",
            f"Tailrace does not answer to the host name {host_name(header)!r}: use localhost or an "
            "address, or allow the name.",
            status=403,
            prefix=CORAL,
        )
        return answer_bytes(self.stamp, 403, error_body(error), request_id=self.ids.next(), closing=closing)

    def cors_lines(self, headers: Mapping[bytes, bytes]) -> bytes:
        """The header lines for a page of the configured origin; none for others."""
        origin = headers.get(b"origin")
        allowed = (self.settings.cors or "").encode("latin-1")
        if origin is None or (allowed != ANY.encode() and origin != allowed):
            return b""
        return (
            b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Expose-Headers: x-amzn-requestid, "
            b"x-amz-crc32\r\n"
            b"Vary: Origin\r\n" % allowed
        )

    def _sweep(self) -> None:
        self.tick = self.loop.time()
        self.stamp = stamped(self._engine.clock.now().wall_ms)
        for connection in tuple(self.connections):
            connection.sweep()
        self.takers.sweep(self.tick)
        if self.most_held - self.held >= WORTH:
            self.most_held = self.held
            malloc_trim()
        self._timer = self.loop.call_later(self.settings.sweep_seconds(), self._sweep)
