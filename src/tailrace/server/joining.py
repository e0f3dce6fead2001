"""Joining a turn: whoever writes beside the HTTP server waits for the same commit as the answers of that turn.

Rules of this file: no commit of its own; it stands in `server.turns` as one more connection that has nothing to send.
Used by `compose` for the runtime's state store.
"""

import asyncio

from tailrace.errors import StoreError
from tailrace.server.turns import Turns


class Joined:
    """`await joined()` returns when everything written before it is durable. Raises: StoreError when it never will be."""

    def __init__(self, turns: Turns, loop: asyncio.AbstractEventLoop) -> None:
        self._turns = turns
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []
        self._flying: list[asyncio.Future[None]] = []

    async def __call__(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            self._turns.add(self)
        await future

    def take(self) -> list[bytes]:
        """Nothing to send; those who wait are in this commit."""
        self._flying, self._waiting = self._waiting, []
        return []

    def send(self, answers: list[bytes], *, failed: bool) -> None:
        """The commit has ended."""
        landed, self._flying = self._flying, []
        for future in landed:
            if future.done():
                continue
            if failed:
                future.set_exception(StoreError(self._turns.commit_error or "the commit failed"))
            else:
                future.set_result(None)
