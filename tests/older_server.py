"""A server that knows no header of ours, as AWS, Alternator and a `tailrace serve` of before are: a proxy
that takes the header out of what it passes on.

Rules of this file: everything else goes through; its metrics say which version it is, unless it is not one
of ours.
"""

from typing import Any

from tailrace.streams.positions import POSITION_HEADER
from tailrace.testing.proxy import Proxy, Refuse


class OlderServer(Proxy):
    """Before a server. Shape: `is_ours` it is a `tailrace serve`, as its metrics say."""

    def __init__(self, server: str, *, is_ours: bool) -> None:
        super().__init__(server)
        if not is_ours:
            self.on("/metrics", Refuse("NotFound", status=404))

    async def _forward(self, request: Any) -> Any:
        headers = {name: value for name, value in request.headers.items() if name != POSITION_HEADER}
        return await super()._forward(request._replace(headers=headers))
