"""An operation of tests whose answer goes on, for as long as a test wants.

Rules of this file: the test's thread says what is written, the server's loop writes it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from tailrace.api.registry import DYNAMODB, Operation
from tailrace.api.shapes import Input, structure
from tailrace.api.streaming import Outlet, Streamed, StreamReset
from tests.serving import Served

NAME: Final = "Narrate"


class Narration:
    """One answer that goes on. Shape: `ends` says how it ended: whole, reset, cancelled; "" while it goes
    on. `written` counts frames that the outlet took.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.ends: list[str] = []
        self.kinds: list[bytes] = []
        self.written = 0
        self.outlets: list[Outlet] = []
        self._told: list[asyncio.Queue[bytes | Exception | None]] = []
        served.server.dispatcher._operations[f"DynamoDB_20120810.{NAME}".encode()] = Operation(
            DYNAMODB, NAME, Input(structure(NAME)), lambda payload: payload, self._run
        )

    def _run(self, engine: Any, payload: dict[str, Any]) -> Streamed:
        return Streamed(self._write_to)

    async def _write_to(self, outlet: Outlet, kind: bytes) -> None:
        self.kinds.append(kind)
        told: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._told.append(told)
        self.outlets.append(outlet)
        try:
            while (what := await told.get()) is not None:
                if isinstance(what, Exception):
                    raise what
                outlet.write(what)
                await outlet.drain()
                self.written += 1
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        except StreamReset:
            self.ends.append("reset")
            raise
        except Exception:
            self.ends.append("failed")
            raise
        self.ends.append("whole")

    @property
    def begun(self) -> int:
        """How many answers have begun."""
        return len(self._told)

    def tell(self, *what: bytes | Exception | None, to: int = -1) -> None:
        """Let an answer write these frames; None ends it, an exception is raised in it."""

        def put() -> None:
            for one in what:
                self._told[to].put_nowait(one)

        self.served.call(put)

    def look(self, what: Callable[[], Any]) -> Any:
        """Something as the loop sees it."""
        return self.served.call(what)
