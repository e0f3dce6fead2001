"""The embedded engine as a handler's client asks it: requests without a socket, in the commit of a turn.

Theory of operation: the engine belongs to the event loop. A coroutine asks it there and awaits the commit of
its turn; a thread hands its request to the loop and waits. In a test world `def` handlers run on the loop
itself, so their commit is made at once, as `world.put` does.
Rules of this file: the operations of the server, without its wire; a write descends from what its handler is
called for. Made by `compose_worker`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import cache
from typing import Any, Final

import orjson

from tailrace.api.registry import Operation, find_operations
from tailrace.app.app import App
from tailrace.app.client import AsyncClient, Client, Door, Members
from tailrace.app.typed import entity_among
from tailrace.engine.engine import Engine
from tailrace.engine.slices import at_once
from tailrace.errors import StoreError, Unavailable
from tailrace.runtime.causing import CAUSE

TARGET: Final = "DynamoDB_20120810."


class EngineDoor:
    """Made on the engine's loop. Shape: `flushed` returns when everything written before is durable."""

    def __init__(self, engine: Engine, flushed: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._flushed = flushed
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def call(self, operation: str, members: Members) -> Members:
        """One request, from a thread, or on a test world's own loop. Raises: ApiError, Unavailable."""
        if threading.get_ident() == self._thread:
            return DoorAtOnce(self._engine).call(operation, members)
        asked = self._call(operation, members, CAUSE.get())
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

    def begin(self, operation: str, members: Members) -> Awaitable[Members]:
        """One request of a coroutine. Raises: ApiError, Unavailable."""
        return self._call(operation, members, CAUSE.get())

    async def _call(self, name: str, members: Members, cause: str) -> Members:
        try:
            with self._engine.caused_by(cause):
                answer = _begun(self._engine, name, members)
            if isinstance(answer, Generator):
                answer = await self._in_slices(answer, cause)
            await self._flushed()
        except StoreError as error:
            raise Unavailable(f"{name}: {error}") from error
        return _read(answer)

    async def _in_slices(self, slices: "Generator[None, None, Any]", cause: str) -> Any:
        committer = self._engine.committer
        failures = committer.failures
        while True:
            try:
                with self._engine.caused_by(cause):
                    next(slices)
            except StopIteration as end:
                return end.value
            await asyncio.sleep(0)  # no other client waits for this one
            if committer.failures != failures:  # what earlier slices wrote went with it
                raise StoreError("the commit failed")


class DoorAtOnce:
    """The engine on the thread that it belongs to: every request with a commit of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(self, operation: str, members: Members) -> Members:
        """One request. Raises: ApiError, Unavailable."""
        try:
            with self._engine.caused_by(CAUSE.get()):
                answer = _begun(self._engine, operation, members)
                if isinstance(answer, Generator):
                    answer = at_once(answer)
            self._engine.committer.flush()
        except StoreError as error:
            raise Unavailable(f"{operation}: {error}") from error
        return _read(answer)

    async def begin(self, operation: str, members: Members) -> Members:
        """The same, for who awaits it."""
        return self.call(operation, members)


def providers_of_clients(app: App, door: Callable[[], Door]) -> dict[Callable[..., Any], Callable[..., Any]]:
    """What stands for `app.client` and `app.async_client` in a worker."""
    entity_of = entity_among(app.tables)

    async def client() -> Client:
        return Client(door(), entity_of)

    async def async_client() -> AsyncClient:
        return AsyncClient(door(), entity_of)

    return {app.client: client, app.async_client: async_client}


@cache
def _operations() -> Mapping[bytes, Operation]:
    return find_operations()


def _begun(engine: Engine, name: str, members: Members) -> Any:
    operation = _operations()[f"{TARGET}{name}".encode()]
    return operation.run(engine, operation.check(orjson.loads(orjson.dumps(members))))


def _read(answer: object) -> Mapping[str, Any]:
    if isinstance(answer, bytes):
        read: dict[str, Any] = orjson.loads(answer)
        return read
    assert isinstance(answer, Mapping)
    return answer
