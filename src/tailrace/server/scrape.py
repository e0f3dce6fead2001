"""The GET paths beside DynamoDB's: `/metrics` and `/ready`.

Rules of this file: light. What answers is imported at the first request, because the start of a server is
measured and many are never scraped. node.py hands the routes to the HTTP server.
Stands alone because what answers is loaded late.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.server.observe import Limits, Observed, Response


def routes(
    look: "Callable[[], Awaitable[Observed]]", limits: "Limits | None" = None
) -> "dict[str, Callable[[], Awaitable[Response]]]":
    """The extra GET paths of the HTTP server; each request takes a new look."""

    async def metrics() -> "Response":
        from tailrace.server import observe

        return observe.metrics(await look())

    async def ready() -> "Response":
        from tailrace.server import observe

        return observe.ready(await look(), limits or observe.Limits())

    return {"/metrics": metrics, "/ready": ready}
