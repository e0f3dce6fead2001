"""The streams of a node that runs beside, as a command reads them: through its control socket.

Rules of this file: the verbs are the server's own (server/log_verbs.py); a question blocks a thread. Stands
alone because it is loaded only where a node runs. Made by live_stream.py.
"""

from typing import TypeVar

import msgspec

from tailrace.cli.connection import ask
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import Place
from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.runtime.threads import in_thread

T = TypeVar("T")


class NodeLog:
    """A `LogReader` of the engine of a node."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """The streams of a table. Raises: SourceError."""
        return _read(await self._asked("log.streams", table=table), list[StreamRef])

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream. Raises: SourceError."""
        return _read(await self._asked("log.shards", stream=_text(stream)), list[Shard])

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError."""
        asked = {"shard": _text(shard), "after": after, "limit": limit}
        return _read(await self._asked("log.read", **asked), ReadDone)

    async def pending_since(self, shard: Shard) -> int | None:
        """None: what is shown is durable, and of what is not nothing is known."""
        return None

    async def _asked(self, verb: str, **arguments: object) -> str:
        try:
            return str(await in_thread(ask, self._place, verb, arguments))
        except CommandFailure as error:
            raise SourceError(str(error.args[0]).rstrip("."), hint=error.hint) from error


def _read(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
