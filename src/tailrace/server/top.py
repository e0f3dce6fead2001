"""The `top` verb: a fleet, or this node, look by look until the client goes.

Rules of this file: it waits between two looks and decides nothing; what is seen is a view (views/fleet.py).
Registered by `verbs`. Stands alone as every family of verbs does.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from tailrace.errors import TailraceError
from tailrace.server.control import Arguments, Subject, verb_of_values
from tailrace.views.fleet import fleet

LEAST_MS: Final = 100
MOST_MS: Final = 3_600_000


@verb_of_values("top", streams=True, works_afar=True)
async def top(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: every_ms, from one look to the next. Without a server it looks once: nothing moves."""
    every_ms = arguments.get("every_ms", 2_000)
    if not isinstance(every_ms, int) or not LEAST_MS <= every_ms <= MOST_MS:
        raise TailraceError(
            "`top` looks every 100 milliseconds to every hour.", hint="tailrace top --every 2s"
        )
    while True:
        yield await fleet(subject.reading)
        if subject.is_offline and not subject.is_far:
            return
        await asyncio.sleep(every_ms / 1_000)
