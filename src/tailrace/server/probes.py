"""What a worker answers over HTTP: `/health`, `/ready` and `/metrics`, for what restarts it and for
Prometheus.

Rules of this file: sockets and paths; what is answered are routes that are given. It listens on loopback
unless told, answers to addresses and its own name alone (server/hosts.py), and keeps no log of requests.
Needs the extra `aws`, whose aiohttp it is. Made by server/fleet.py.
Stands alone because a node has a server of its own, which a worker without an engine does not.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tailrace.server.hosts import is_allowed
from tailrace.server.http import Route

if TYPE_CHECKING:
    from aiohttp.web import AppRunner, Request, Response

GRACE_S: Final = 1.0
"""What requests under way may take when it ends."""


class Probes:
    """Paths that are answered at an address. Shape: port 0 means any free one."""

    def __init__(self, host: str, port: int, routes: Mapping[str, Route]) -> None:
        self._host = host
        self._port = port
        self._routes = routes
        self._runner: AppRunner | None = None

    async def start(self) -> int:
        """Listen. Returns: the port. Raises: OSError."""
        from aiohttp import web

        application = web.Application()
        for path in self._routes:
            application.router.add_get(path, self._answer)
        runner = self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=GRACE_S)
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port).start()
        port: int = runner.addresses[0][1]
        return port

    async def _answer(self, request: "Request") -> "Response":
        from aiohttp import web

        if not is_allowed(request.headers.get("Host", "").encode(), self._host):
            return web.Response(status=403, text="this name is not one of this worker's\n")
        status, kind, body = await self._routes[request.path]()
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    async def close(self) -> None:
        """Listen no more. Repeatable."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
