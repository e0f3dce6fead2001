"""The composition root: the only place that picks implementations and joins the parts.

Rules of this file: no behaviour of its own beyond opening, joining and closing. `open_engine` for whoever only reads,
`build_worker` for the runtime, `Node` for everything that `tailrace serve` and `dev` run in one process.
"""

import asyncio
import logging
import os
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from tailrace import __version__
from tailrace.clocks.manual import ManualClock
from tailrace.clocks.system import SystemClock
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore, state_of
from tailrace.errors import StoreError
from tailrace.leases.lease import LEASE_DURATION_MS
from tailrace.runtime.ending import DRAIN_S, end_within, end_worker, still_at_work
from tailrace.server.crash_points import crash_points
from tailrace.server.housekeeping import fill_indexes, housekeep
from tailrace.server.http import HttpServer, HttpSettings
from tailrace.server.turns import Joined, Turns
from tailrace.stores.opened import EngineOptions as EngineOptions
from tailrace.stores.opened import OpenEngine
from tailrace.telemetry import PointReached, pass_by

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.app.app import Mapping as Handler
    from tailrace.app.function_settings import NamedFunction
    from tailrace.functions.runners import Runners
    from tailrace.ports import Clock, Sink, StateStore
    from tailrace.runtime.around import Around
    from tailrace.runtime.builds import Builds
    from tailrace.runtime.dependencies import Dependencies
    from tailrace.runtime.opening import Openings
    from tailrace.runtime.tally import Tallies
    from tailrace.runtime.windowing import Windows
    from tailrace.runtime.worker import Worker
    from tailrace.server.lambda_service import LambdaService
    from tailrace.server.observe import Observed
    from tailrace.sinks.making import Declared

_log = logging.getLogger("tailrace.server")
DISCOVERY_MS: Final = 1_000
"""How often a worker looks for streams that no finished shard has announced."""
RENEWAL_MS: Final = LEASE_DURATION_MS // 3


def open_engine(options: EngineOptions, reached: PointReached = pass_by) -> OpenEngine:
    """Open an engine. Raises: StoreError, SettingsError."""
    clock: Clock = SystemClock()
    if options.clock == "manual":
        start_ms = options.clock_start_ms
        clock = ManualClock() if start_ms is None else ManualClock(start_ms)
    return OpenEngine(options, clock, reached)


# ---- applications ------------------------------------------------------------------------------------------------------


def create_tables(app: "App", engine: Engine) -> None:
    """Make the app's tables where they are not there yet. Raises: SettingsError when one is there and differs."""
    from tailrace.sources.app_tables import (
        create_tables as create,
    )  # with it comes the app, which `serve` needs not

    create(app, engine)


def build_worker(
    app: "App",
    engine: Engine,
    flushed: Callable[[], Awaitable[None]],
    *,
    owner: str,
    reached: PointReached = pass_by,
    around: "Around | None" = None,
    discovery_ms: int = DISCOVERY_MS,
    renewal_ms: int = RENEWAL_MS,
    overrides: "Mapping[Callable[..., Any], Callable[..., Any]] | None" = None,
    in_processes: bool = False,
    tallies: "Tallies | None" = None,
    changes: bool = False,
) -> "Worker":
    """A worker for the app on this engine; what it saves is durable when `flushed` returns.

    Shape:   `overrides` stand for providers of Depends; `in_processes` gives functions processes of their own; `tallies` go on being counted; the app `changes`
             when it will be told to declare something else.
    """
    from tailrace.app.code_version import code_version
    from tailrace.functions.runners import Runners
    from tailrace.runtime.around import Around
    from tailrace.runtime.builds import Builds
    from tailrace.runtime.opening import Openings
    from tailrace.runtime.parts import Parts
    from tailrace.runtime.tally import Tallies
    from tailrace.runtime.window_changes import WindowChanges
    from tailrace.runtime.worker import Worker
    from tailrace.sinks.making import Declared, SinkMaker
    from tailrace.sinks.projection_places import ProjectionPlaces
    from tailrace.sources.embedded import EmbeddedSource
    from tailrace.stores.dynamodb import DynamoDbStateStore

    around = around or Around()
    state = effects_state = around.state(EngineStateStore(engine, flushed))
    if (remote := around.remote(app.remote)) is not None:
        effects_state = DynamoDbStateStore(*remote)
    needed = _needed(app, engine, flushed, remote, app.overrides if overrides is None else overrides)
    runners, openings = Runners(engine.clock, in_processes=in_processes), Openings(engine.clock)

    builds = Builds(app.name, state, engine.clock, ProjectionPlaces(app, state, effects_state, engine))
    tallies = tallies or Tallies()
    declared = Declared(engine.settings.account, around, openings)
    windows = _windows_of(app, needed, engine, state, declared)
    maker = SinkMaker(
        app, Parts(effects_state, engine.clock, reached, tallies), declared, needed, runners.of, builds,
        {name: WindowChanges(each, state, engine.clock, tallies.of(name)) for name, each in windows.items()},
    )  # fmt: skip
    worker = Worker(
        app, state=state, clock=engine.clock, source_of=lambda table: around.source(EmbeddedSource(engine, table.name, table.only_stream)),
        sink_of=lambda mapping: around.sink(mapping, maker.make(mapping)),
        owner=owner, reached=reached, discovery_ms=discovery_ms, renewal_ms=renewal_ms, ended=partial(_end, openings, needed, runners), tallies=tallies,
        code_version_of=code_version, last_sequence=lambda: engine.last_sequence, retention_ms=engine.settings.retention_ms,
    )  # fmt: skip
    worker.withdrawn = runners.withdraw
    worker.windows = list(windows.values())
    _add_dead_letters(worker, app, state, engine, maker.make, around, changes=changes)
    _add_projector(worker, app, builds, state, engine, flushed)
    return worker


async def _end(openings: "Openings", needed: "Dependencies", runners: "Runners") -> None:
    await openings.close()
    await needed.close()
    await runners.close()


def _needed(
    app: "App", engine: Engine, flushed: Callable[[], Awaitable[None]], remote: "tuple[Any, str] | None",
    overrides: "Mapping[Callable[..., Any], Callable[..., Any]]",
) -> "Dependencies":  # fmt: skip
    """What handlers depend on, the clients of `app.client` among it."""
    from tailrace.runtime.dependencies import Dependencies
    from tailrace.server.handler_door import EngineDoor, providers_of_clients
    from tailrace.sinks.dynamodb_door import DynamoDbDoor

    clients = providers_of_clients(
        app, lambda: EngineDoor(engine, flushed) if remote is None else DynamoDbDoor(remote[0])
    )
    return Dependencies(ChainMap(cast("dict[Any, Any]", overrides), clients))


def _windows_of(
    app: "App", needed: "Dependencies", engine: Engine, state: "StateStore", declared: "Declared"
) -> "dict[str, Windows]":
    """Who keeps the windows of each mapping that has them, by the mapping's id."""
    from tailrace.runtime.watermark import MappingName, settled_until
    from tailrace.sinks.windowed import windows_of
    from tailrace.sources.embedded_log import EmbeddedLog

    # Of the engine's own state: the test world asks whether windows are over, and looking must not use up the faults that it injects.
    settled = partial(settled_until, state_of(engine), EmbeddedLog(engine), engine.clock)

    return {
        mapping.id: windows_of(
            app.name, replace(mapping, sink=declared.output(mapping)), mapping.window, target=mapping.target,
            needed=needed, account=engine.settings.account, state=state, clock=engine.clock, watermark=partial(settled, MappingName(app.name, mapping.id, mapping.table.name)),
        )
        for mapping in app.mappings if mapping.window is not None
    }  # fmt: skip


def _add_projector(
    worker: "Worker", app: "App", builds: "Builds", state: "StateStore", engine: Engine, flushed: Callable[[], Awaitable[None]],
) -> None:  # fmt: skip
    """Who brings up the builds of projections."""
    from tailrace.runtime.projector import Projector
    from tailrace.runtime.watermark import MappingName, oldest_of
    from tailrace.sources.embedded_items import EmbeddedItems
    from tailrace.sources.embedded_log import EmbeddedLog

    projections = [mapping.projection for mapping in app.mappings if mapping.projection is not None]
    if projections:
        worker.projector = Projector(
            app.name, projections, builds, items=EmbeddedItems(engine, flushed), state=state, clock=engine.clock,
            oldest=lambda each: oldest_of(state_of(engine), EmbeddedLog(engine), MappingName(app.name, each.mapping_id, each.table.name)),
        )  # fmt: skip


def _add_dead_letters(
    worker: "Worker",
    app: "App",
    state: "StateStore",
    engine: Engine,
    sink_of: "Callable[[Handler, str], Sink]",
    around: "Around",
    *,
    changes: bool,
) -> None:
    """Who puts dead letters back, and who tells destinations of them."""
    from tailrace.runtime.courier import Courier
    from tailrace.runtime.redriver import Redriver
    from tailrace.sinks.destinations import destination_of

    def handler_of(name: str) -> "Handler":
        (found,) = [each for each in app.mappings if each.id == name]
        return found

    worker.redrives.redriver = Redriver(
        app.name, state, engine.clock, worker, worker.sinks, lambda handler, run: sink_of(handler_of(handler), run),
        lambda handler, sink: worker.guards.around(handler_of(handler), sink),
    )  # fmt: skip
    destinations: dict[str, Any] = {}
    functions: dict[str, str] = {}

    def declared() -> None:
        for kept in (destinations, functions):
            kept.clear()
        for each in app.mappings:
            if each.destination is not None:
                is_arn = isinstance(each.destination, str)
                found = destination_of(each.destination) if is_arn else each.destination
                destinations[each.id] = around.destination(each.id, found)
            if each.function_name:
                functions[each.id] = each.function_name

    declared()
    worker.declared = declared
    if destinations or changes:
        worker.courier = Courier(
            app.name, state, engine.clock, destinations, worker.stream_of, engine.settings.account, functions, worker.tallies
        )  # fmt: skip


# ---- a node ------------------------------------------------------------------------------------------------------------


class Node:
    """Everything in one process: engine, HTTP server, control socket, housekeeping, and the app's worker."""

    def __init__(
        self,
        options: EngineOptions,
        http: HttpSettings | None = None,
        app: "App | None" = None,
        functions: "Mapping[str, NamedFunction] | None" = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._functions = functions
        self._drain_s = drain_s
        self._lambdas: LambdaService | None = None
        self._options = options
        self._http_settings = http
        self.app = app
        self.reached = crash_points()
        self._tasks: list[asyncio.Task[Any]] = []
        self._tallies: Tallies | None = None
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()
        self.preparing: Callable[[App], Awaitable[None]] | None = None

    async def start(self) -> int:
        """Open everything and listen. Returns: the port. Raises: StoreError, SettingsError, OSError."""
        from tailrace.server.admin import Admin
        from tailrace.server.control import Subject
        from tailrace.server.remembered import recall_time, remember_time
        from tailrace.server.scrape import routes

        self.engine = open_engine(self._options, self.reached)
        if self.engine.directory is not None and self.engine.directory.exposure is not None:
            _log.warning(
                self.engine.directory.exposure, extra={"hint": f"chmod 700 {self.engine.directory.path}"}
            )
        try:
            if self._options.clock_start_ms is None:
                recall_time(self.engine)
            remember_time(self.engine)
            self.subject = Subject(
                self.engine, self.engine.clock, stop=self.stopping.set, about=self._about()
            )
            self.http = HttpServer(
                self.engine, self._http_settings or HttpSettings(),
                routes(self._observed), self.reached,
            )  # fmt: skip
            port = await self.http.start()
            self.engine.endpoint = f"localhost:{port}"
            self.engine.share_reads(asyncio.get_running_loop())
            self.turns = self.http.turns
            self._admin = Admin(self.subject, self._options.directory, port)
            await self._admin.start()
            await self._start_beside()
        except BaseException:  # whatever it was, what is open is given back before it goes on
            await self.stop()
            raise
        return port

    async def _start_beside(self) -> None:
        loop = asyncio.get_running_loop()
        self._joined = self.subject.flushed = Joined(self.turns, loop)
        self._tasks.append(loop.create_task(housekeep(self.engine, self._joined)))
        self._tasks.append(loop.create_task(fill_indexes(self.engine, self._joined)))
        if self.app is not None:
            await self._start_worker(self.app)
        if self._functions:
            await self._start_lambdas(self._functions)

    async def _start_lambdas(self, functions: "Mapping[str, NamedFunction]") -> None:
        from tailrace.functions.pool import ProcessRunner
        from tailrace.server.lambda_service import LambdaService

        self._lambdas = LambdaService(
            self.engine, functions, ProcessRunner, self._joined, self._use, lambda: self._worker
        )
        self.http.rest = self._lambdas.answer
        await self._lambdas.start()

    async def _use(self, app: "App") -> None:
        """Run the event source mappings that this app declares now; before there is one, there is no worker."""
        if self._worker is not None:
            await self._worker.change()
        elif app.mappings:  # unchecked: one that is disabled is declared no longer on purpose
            await self._start_worker(app, checked=False)

    def _observed(self) -> "Observed":
        # Imported when somebody first asks: the start is measured, and many servers are never scraped.
        from tailrace.server.snapshot import observed

        return observed(
            self.subject, self.http, __version__, None if self._lambdas is None else self._lambdas.invoked.all
        )

    def _about(self) -> dict[str, object]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "app": None if self.app is None else self.app.name,
        }

    async def _start_worker(self, app: "App", *, checked: bool = True) -> None:
        from tailrace.runtime.tally import Tallies

        if checked:
            create_tables(app, self.engine)
        self._tallies = self._tallies or Tallies()  # they go on being counted when a worker follows another
        worker = build_worker(
            app,
            self.engine,
            self._joined,
            owner=f"pid-{os.getpid()}",
            reached=self.reached,
            in_processes=True,
            tallies=self._tallies,
            changes=not checked,
        )
        if checked and self.preparing is not None:
            await self.preparing(app)
        if checked:
            await worker.check()
        self._worker = self.subject.worker = worker
        self._working = asyncio.get_running_loop().create_task(worker.run())
        self._working.add_done_callback(self._worker_ended)

    def _worker_ended(self, working: "asyncio.Task[None]") -> None:
        # A worker that ends by itself is a fault of ours: the node must not go on as if all were well.
        if not working.cancelled() and working.exception() is not None:
            self.stopping.set()

    async def _stop_worker(self, within_s: float) -> list[str]:
        worker, working = self._worker, self._working
        if worker is None or working is None:
            return []
        self._worker = self._working = self.subject.worker = None
        return await end_worker(worker, working, within_s, self.turns.commit_error)

    async def replace_app(self, app: "App") -> None:
        """Hand over to another version of the app: the old one drains, the new one begins at its checkpoints."""
        for words in await self._stop_worker(self._drain_s):
            _log.warning("left behind by the reload: %s", words)
        try:
            await self._start_worker(app)
        except BaseException:  # whatever it was, what is open is given back before it goes on
            if self.app is not None:
                await self._start_worker(self.app)
            raise
        self.app = app

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """Every change of every table from now on."""
        from tailrace.server.progress import tables
        from tailrace.server.tail import Follower, follow

        followers: dict[str, Follower] = {}

        def current() -> list[Follower]:
            for table in tables(self.engine):
                if table not in followers:
                    followers[table] = Follower(self.engine, table)
            return list(followers.values())

        for follower in current():
            follower.skip_to_now()
        async for change in follow(self.engine, current):
            yield change

    async def stop(self) -> list[str]:
        """Drain within the bound and close everything, in the order in which one needs the other. Repeatable.

        Returns: what was left, in words: then this process should end at once, for some of it may go on.
        """
        loop, left = asyncio.get_running_loop(), []
        due = loop.time() + self._drain_s
        http = getattr(self, "http", None)
        if http is not None and hasattr(http, "turns"):
            await http.drain(self._drain_s)
        try:
            if self._lambdas is not None and not await end_within(self._lambdas.close(), due - loop.time()):
                left.append("invocations and changes of event source mappings did not end")
            left += await self._stop_worker(due - loop.time())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if hasattr(self, "_admin"):
                await self._admin.close()
            if http is not None and hasattr(http, "turns"):
                await http.close()
            try:
                self.engine.close()
            except StoreError as error:  # nothing of it was answered
                left.append(f"the last state of what runs here is not saved: {error.args[0]}")
        return left or await still_at_work()


@asynccontextmanager
async def running_worker(app: "App", options: EngineOptions) -> AsyncIterator[Engine]:
    """An engine and the app's worker without a server, for benchmarks and tools; drained at the end of the block."""
    engine = open_engine(options)
    loop = asyncio.get_running_loop()
    turns = Turns(engine, loop, in_thread=options.sync == "full")
    try:
        create_tables(app, engine)
        worker = build_worker(app, engine, Joined(turns, loop), owner=f"pid-{os.getpid()}", in_processes=True)
        await worker.check()
        working = loop.create_task(worker.run())
        yield engine
        worker.stop()
        await working
        await turns.settle()
    finally:
        turns.close()
        engine.close()
