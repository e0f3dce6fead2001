"""The admin API: newline-delimited JSON on a unix socket, in the data directory or a private one.

Rules of this file: it knows lines, sockets and the registry of verbs, never what a verb does (`verbs`,
`tail`, `story`). A request is `{"v":1,"verb":…,"arguments":{…}}`; the answers are lines `{"v":1,"value":…}`,
the last line is `{"v":1,"done":true}` or `{"v":1,"error":{"message":…,"hint":…}}`. Whatever arrives, the
answer is a line and the server lives on. A verb that changes something leaves a line in the log and a row in
the audit. `compose.Node` runs the server; `cli.connection` is its client, and runs the same verbs itself when
no server has the directory.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import orjson
from msgspec import Struct, field

from tailrace.engine.state import EngineStateStore
from tailrace.errors import InternalError, TailraceError
from tailrace.server.audit import audited
from tailrace.server.control_socket import listen, place_socket, remove_leftovers
from tailrace.views.live import Live

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.deadletters.core.requests import Progress, RedriveRequest
    from tailrace.engine.engine import Engine
    from tailrace.ports import Clock, StateStore
    from tailrace.projections.run.projector import Projector
    from tailrace.snapshots.run.forgetting import Janitor
    from tailrace.snapshots.run.planning import Planner
    from tailrace.snapshots.run.snapshotter import Snapshotter
    from tailrace.tables.schema import TableSchema
    from tailrace.values.types import Item
    from tailrace.verification.run.mirrors import Mirrors
    from tailrace.views.checkpoints import AskedPositions
    from tailrace.views.reading import ViewSources

VERSION: Final = 1
LINE_LIMIT: Final = 65_536
"""The longest request, in bytes: a key of DynamoDB has at most 3,072."""

_log = logging.getLogger("tailrace.control")

Arguments: TypeAlias = Mapping[str, Any]


class ControlledWorker(Live, Protocol):
    """Whatever can say how its handlers fare, and is told what they are to do: the worker."""

    app: "App"
    projector: "Projector | None"
    mirrors: "Mirrors | None"
    snapshots: "tuple[Snapshotter, Janitor] | None"

    @property
    def targets(self) -> "AskedPositions":
        """Of the mappings whose targets own the checkpoint."""

    async def look_at_pauses(self) -> None:
        """Learn at once which handlers are to start nothing new, and which may go on, or go on elsewhere."""

    async def begun(self) -> None:
        """Return when requests are taken."""

    def redrive(self, request: "RedriveRequest", progress: "Progress") -> "asyncio.Task[None]":
        """Carry out a redrive."""


class Subject(Struct):
    """What verbs act on; what they wrote is durable when `flushed` returns. Offline there is neither a worker
    nor anything to stop, and nothing new comes.
    """

    embedded: "Engine | None"
    clock: "Clock"
    worker: ControlledWorker | None = None
    stop: Callable[[], None] | None = None
    flushed: Callable[[], Awaitable[None]] | None = None
    is_offline: bool = False
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def engine(self) -> "Engine":
        """The engine that has the tables. Raises: InternalError where they are at another server."""
        if self.embedded is None:
            raise InternalError("this verb asks an engine, and works from afar")
        return self.embedded

    async def schemas(self) -> "list[TableSchema]":
        """What identifies the items of each table, by the names that people use."""
        from msgspec.structs import replace

        from tailrace.server.tables import tables

        return [replace(self.engine.schema(table), name=table) for table in tables(self.engine)]

    async def item(self, table: str, key: "Item") -> "Item | None":
        """An item as it is now; None: there is none. Raises: ApiError, SourceError."""
        return self.engine.get(table, key)

    def changes(self, table: str, *, from_start: bool) -> AsyncGenerator[dict[str, Any], None]:
        """A table's changes as they come, where they are at another server. Raises: SourceError."""
        raise InternalError("the engine's changes are told by its commits")

    async def table_size(self, table: str) -> tuple[int, int]:
        """About how many items, and bytes, a table has. Raises: ApiError, SourceError."""
        described = self.engine.describe_table(table)
        return described.get("ItemCount", 0), described.get("TableSizeBytes", 0)

    def projector(self, app: str) -> "Projector | None":
        """What brings up the projections of an app; None: it runs elsewhere."""
        is_its = self.worker is not None and self.worker.app.name == app
        return self.worker.projector if self.worker is not None and is_its else None

    def mirrors(self) -> "Mirrors | None":
        """The sinks of the app that runs here, as they are compared with their tables; None: none runs."""
        return None if self.worker is None else self.worker.mirrors

    def planner(self) -> "Planner | None":
        """What says what snapshots would read; None: no app runs here that has any."""
        snapshots = None if self.worker is None else self.worker.snapshots
        return None if snapshots is None else snapshots[0].planner

    async def tables(self) -> list[dict[str, Any]]:
        """The tables, with their streams and the shards of them."""
        # Imported at the first request, as all that answers.
        from tailrace.server.tables import table_values

        return table_values(self.engine)

    def runs(self, worker: ControlledWorker | None) -> None:
        """From now on this is what runs; None: nothing does."""
        self.worker = worker

    @property
    def state(self) -> "StateStore":
        """What is kept beside the tables; what is written to it is durable when that returns."""
        return EngineStateStore(self.engine, self.settle)

    @property
    def reading(self) -> "ViewSources":
        """What views are given."""
        # Imported at the first request: the start is measured, and many servers are never asked.
        from tailrace.sources.embedded_log import EmbeddedLog
        from tailrace.views.reading import ViewSources

        log, retention_ms = EmbeddedLog(self.engine), self.engine.settings.retention_ms
        return ViewSources(self.state, log, self.clock, self.worker, retention_ms)

    @property
    def is_far(self) -> bool:
        """Whether workers may run elsewhere, which are told by rows alone."""
        return self.embedded is None

    async def settle(self) -> None:
        """Return when everything that was written is durable. Raises: StoreError."""
        if self.flushed is None:
            self.engine.committer.flush()
        else:
            await self.flushed()


Answer: TypeAlias = Callable[[Subject, Arguments], Awaitable[object]]
"""A verb that answers once."""
Answers: TypeAlias = Callable[[Subject, Arguments], AsyncGenerator[object, None]]
"""One that answers value by value."""


class Verb(Struct, frozen=True):
    """One word of the API.

    Shape:   `run` gives its values, one or many; `changes`: it is audited, and refused offline unless it
             works there too; `streams`: it ends when the client goes; `works_afar`: it asks nothing but the
             state and the streams, wherever these are.
    """

    name: str
    run: Answers
    changes: bool = False
    streams: bool = False
    works_offline: bool = False
    works_afar: bool = False


VERBS: Final[dict[str, Verb]] = {}


class RequestError(TailraceError):
    """The request is not one that this server understands."""


def verb(
    name: str, *, changes: bool = False, works_offline: bool = False, works_afar: bool = False
) -> Callable[[Answer], Answer]:
    """Register a verb that answers once under its name."""

    def register(answer: Answer) -> Answer:
        async def run(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
            yield await answer(subject, arguments)

        VERBS[name] = Verb(name, run, changes, works_offline=works_offline, works_afar=works_afar)
        return answer

    return register


def verb_of_values(
    name: str,
    *,
    changes: bool = False,
    streams: bool = False,
    works_offline: bool = False,
    works_afar: bool = False,
) -> Callable[[Answers], Answers]:
    """Register a verb that answers value by value; with `streams` until its client goes."""

    def register(run: Answers) -> Answers:
        VERBS[name] = Verb(name, run, changes, streams, works_offline, works_afar)
        return run

    return register


def registered_verbs() -> Mapping[str, Verb]:
    """Every verb there is. Imported when the first request comes, because most servers are never asked."""
    import_module("tailrace.server.verbs")
    return VERBS


def find_verb(name: str, verbs: Mapping[str, Verb] | None = None) -> Verb:
    """The verb of that name. Raises: RequestError with the nearest name."""
    verbs = registered_verbs() if verbs is None else verbs
    known = verbs.get(name)
    if known is None:
        import difflib

        near = difflib.get_close_matches(name, verbs, n=1)
        raise RequestError(
            f"There is no verb {name!r}. Known: {', '.join(sorted(verbs))}.",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )
    return known


def read_request(line: bytes, verbs: Mapping[str, Verb] | None = None) -> tuple[Verb, Arguments]:
    """One request line. Raises: RequestError for anything else."""
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"The request is not JSON: {error}.") from error
    if not isinstance(request, dict):
        raise RequestError("A request is one JSON object on one line.")
    if request.get("v") != VERSION:
        raise RequestError(
            f"This server speaks version {VERSION} of the admin API, not {request.get('v')!r}.",
            hint="use the `tailrace` command of the server's own version",
        )
    name, arguments = request.get("verb"), request.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise RequestError("A request has a text `verb` and an object `arguments`.")
    return find_verb(name, verbs), arguments


def error_line(error: TailraceError) -> bytes:
    """The last line of an answer that went wrong."""
    return _line({"error": {"message": str(error.args[0]), "hint": error.hint}})


# ---- the server --------------------------------------------------------------------------------------------


class ControlServer:
    """Serves the admin API on the socket of one directory, which the caller owns: the data directory whose
    lock it holds, or its own.
    """

    def __init__(self, subject: Subject, directory: Path, verbs: Mapping[str, Verb] | None = None) -> None:
        self._subject = subject
        self._verbs = verbs
        self._directory = directory
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> Path:
        """Listen, and return where. Raises: StoreError."""
        path = place_socket(self._directory)
        self._server = await asyncio.start_unix_server(self._serve, sock=listen(path), limit=LINE_LIMIT)
        return path

    async def close(self) -> None:
        """Stop listening, end every open answer, remove the socket. Repeatable."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        connections = [task for task in self._connections if task is not asyncio.current_task()]
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        remove_leftovers(self._directory)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client or the server is going: no answer is read
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection can carry another."""
        try:
            line = await reader.readline()
        except ValueError:
            writer.write(error_line(RequestError(f"The request is longer than {LINE_LIMIT} bytes.")))
            await writer.drain()
            return False
        if not line:
            return False
        try:
            chosen, arguments = read_request(line, self._verbs)
        except RequestError as error:
            writer.write(error_line(error))
            await writer.drain()
            return True
        if not chosen.streams:
            await self._answer(chosen, arguments, writer)
            return True
        await self._until_gone(reader, self._answer(chosen, arguments, writer))
        return False

    async def _until_gone(self, reader: asyncio.StreamReader, answer: Any) -> None:
        """Run an answer without end until the client closes its side."""
        gone, answering = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(answer)
        try:
            await asyncio.wait({gone, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, answering):
                task.cancel()
            await asyncio.gather(gone, answering, return_exceptions=True)

    async def _answer(self, chosen: Verb, arguments: Arguments, writer: asyncio.StreamWriter) -> None:
        subject = self._subject
        if chosen.changes:
            _log.info("admin: %s %s", chosen.name, orjson.dumps(dict(arguments)).decode())
        try:
            async with (
                audited(subject.state, subject.clock, chosen.name, arguments, changes=chosen.changes),
                contextlib.aclosing(chosen.run(subject, arguments)) as values,
            ):
                async for value in values:
                    writer.write(_line({"value": value}))
                    await writer.drain()
            writer.write(_line({"done": True}))
        except TailraceError as error:
            writer.write(error_line(error))
        except ConnectionError:
            raise
        except Exception:  # a fault of one verb must not end the server that others write to
            _log.exception("admin: %s failed", chosen.name)
            writer.write(error_line(TailraceError("The server failed at this; its log says how.")))
        await writer.drain()


def _line(members: dict[str, object]) -> bytes:
    return orjson.dumps({"v": VERSION, **members}, default=str) + b"\n"
