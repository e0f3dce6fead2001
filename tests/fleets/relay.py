"""A way of bytes to a server that can be cut: for what a proxy of HTTP calls cannot do, and for PostgreSQL.

Theory of operation: a relay listens at a port of loopback, or at a socket file, and opens a connection to the
server for each that it gets. A cut is one of four. `refused`: connections are closed, new ones too.
`silent`: nothing goes through in either direction, and goes on afterwards, as over a network that has lost
its way for a while. `late`: requests go through and answers wait. `lost`: the server sees a request, and the
connection is closed instead of its answer.
Rules of this file: all relays of a `Relays` run in one thread; what tests call is safe in any other.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

from tests.patience import PATIENCE_S

Way: TypeAlias = Literal["refused", "silent", "late", "lost"]
Place: TypeAlias = int | Path
"""A port of loopback, or a socket file."""
T = TypeVar("T")

WAYS: Final[tuple[Way, ...]] = ("refused", "silent", "late", "lost")
PIECE: Final = 64 * 1024


class Relay:
    """A way to one server. Shape: `place` is where it listens."""

    def __init__(self, server: Place, loop: asyncio.AbstractEventLoop) -> None:
        self.place: Place = 0
        self._server = server
        self._loop = loop
        self._listener: asyncio.Server | None = None
        self._cut: Way | None = None
        self._healed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self, way: Way) -> None:
        """From now on it is cut like this."""
        self._loop.call_soon_threadsafe(self._change, way)

    def heal(self) -> None:
        """Everything goes through again."""
        self._loop.call_soon_threadsafe(self._change, None)

    def _change(self, way: Way | None) -> None:
        self._cut = way
        if way is None:
            self._healed.set()
        else:
            self._healed.clear()
        if way == "refused":
            for writer in list(self._open):
                writer.close()

    async def listen(self, place: Place) -> None:
        """Begin. Shape: 0 is any free port."""
        if isinstance(place, Path):
            self._listener = await asyncio.start_unix_server(self._connected, place)
            self.place = place
        else:
            self._listener = await asyncio.start_server(self._connected, "127.0.0.1", place)
            self.place = self._listener.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            if self._cut != "refused":
                answers, far = await self._reach()
                self._open.add(far)
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(reader, far, is_answer=False))
                    pumps.create_task(self._pump(answers, writer, is_answer=True))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # one of both has closed, or the relay ends
        finally:
            self._tasks.discard(task)
            for side in (writer, far):
                if side is not None:
                    self._open.discard(side)
                    side.close()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._server, Path):
            return await asyncio.open_unix_connection(self._server)
        return await asyncio.open_connection("127.0.0.1", self._server)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Pass bytes on in one direction. Raises: ConnectionResetError at its end, so that the other ends
        too.
        """
        while data := await reader.read(PIECE):
            while self._cut == "silent" or (self._cut == "late" and is_answer):
                await self._healed.wait()
            if self._cut == "lost" and is_answer:
                break
            writer.write(data)
            with suppress(ConnectionError):
                await writer.drain()
        raise ConnectionResetError


class Relays:
    """The thread of all relays of a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._relays: list[Relay] = []

    def open(self, server: Place, place: Place = 0) -> Relay:
        """A relay to a server, at a place of its own."""
        relay = Relay(server, self._loop)
        self._run(relay.listen(place))
        self._relays.append(relay)
        return relay

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for relay in self._relays:
            self._run(relay.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
